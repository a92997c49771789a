"""The machine edanas runs on: where downloads are kept, and how many cores there are to use."""

import os
from pathlib import Path


def home() -> Path:
    """The folder in the environment variable `EDANAS_HOME`, or else `~/.cache/edanas`; it may not exist."""
    return Path(os.environ.get("EDANAS_HOME") or Path.home() / ".cache" / "edanas").expanduser()


def usable_cores() -> int:
    """Cores this process may run on, which a container can make fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
