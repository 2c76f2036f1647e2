"""The storm test: very many tasks of every kind, while another process kills workers; then an exact audit."""
