"""The machine edanas runs on: where downloads are kept, how many cores there are, how torch computes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


def home() -> Path:
    """The folder in the environment variable `EDANAS_HOME`, or else `~/.cache/edanas`; it may not exist."""
    return Path(os.environ.get("EDANAS_HOME") or Path.home() / ".cache" / "edanas").expanduser()


def usable_cores() -> int:
    """Cores this process may run on, which a container can make fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """Inside, torch computes in so many threads, cuDNN with kernels that repeat; then as before."""
    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark
    torch.set_num_threads(threads)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.deterministic, cudnn.benchmark = before[1:]
