"""Where edanas keeps what it downloads."""

import os
from pathlib import Path


def home() -> Path:
    """The folder in the environment variable `EDANAS_HOME`, or else `~/.cache/edanas`; it may not exist."""
    return Path(os.environ.get("EDANAS_HOME") or Path.home() / ".cache" / "edanas").expanduser()
