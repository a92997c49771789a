"""`python -m edanas.cli`, the same as the console script."""

import sys

from edanas.cli import main

if __name__ == "__main__":
    sys.exit(main())
