"""Tables: the same grid of texts for the terminal and for a page."""


def plain(head, body):
    """For the terminal: numbers to the right, the first and the last column to the left."""
    grid = [tuple(cell.replace("**", "") for cell in line) for line in (head, *body)]
    widths = [max(len(line[column]) for line in grid) for column in range(len(head))]
    out = []
    for line in grid:
        cells = [
            text.ljust(width) if column in (0, len(head) - 1) else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def markdown(head, body):
    """In Markdown; a vertical bar in a note would end its cell."""
    rule = [":--" if column in (0, len(head) - 1) else "--:" for column in range(len(head))]
    grid = [[cell.replace("|", "\\|") for cell in line] for line in (head, rule, *body)]
    return "\n".join("| " + " | ".join(line) + " |" for line in grid)
