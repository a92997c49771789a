"""The program `python -m edanas`, which does the same as the console script `edanas`."""

import sys

from edanas.cli import main

if __name__ == "__main__":
    sys.exit(main())
