"""Import this module in a program of a test, and no write waits for the disk, as in `tests/conftest.py`."""

import os

from edanas.core import archive

os.fsync, archive._SYNCHRONOUS = os.fstat, "OFF"  # type: ignore[assignment]
