"""The floor: write as many bytes as the patches have, from one small buffer, and see them to the disk.

``python bare_write.py BYTES OUT``.
"""

import os
import sys

BLOCK = bytes(1 << 20)


def main(size, output):
    """Write and flush."""
    left = int(size)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    while left:
        left -= os.write(descriptor, BLOCK[:left])
    os.fsync(descriptor)


if __name__ == "__main__":
    main(*sys.argv[1:])
