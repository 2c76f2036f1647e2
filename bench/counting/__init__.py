"""Whole programs that count lines and characters, beside `allcores count`, on inputs that are made for it.

Each measurement is a whole process, from its start to its end, with the files in the page cache: what somebody who
types the command waits for. ``python -m bench.counting --help``.
"""
