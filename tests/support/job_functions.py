"""Functions for jobs in other processes: an item is a name, and a folder in which attempts are counted."""

import os
import signal
import time
from pathlib import Path

from edanas.executors.slurm_job import SlurmJob  # noqa: F401 - imported here, so that jobs start alike


def attempt(item: tuple[str, Path]) -> str:
    """Return a name in capitals; some names end or interrupt their process, at all attempts or the first."""
    name, folder = item
    kind = name.partition(":")[0]
    with (folder / name).open("a") as file:
        file.write("attempt\n")
    is_first = len((folder / name).read_text().splitlines()) == 1
    if kind == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "preempted" and is_first:
        # The signal with which SLURM announces the end of a job.
        os.kill(os.getpid(), signal.SIGUSR2)
        time.sleep(60)
    if kind == "raises":
        raise ValueError("no such thing")
    return name.upper()


def attempts(folder: Path, name: str) -> int:
    return len((folder / name).read_text().splitlines())
