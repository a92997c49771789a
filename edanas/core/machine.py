"""The machine edanas runs on: where downloads are kept, how many cores there are, how torch computes."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""How drivers and torch's allocator for CPUs say it, in the text of a `RuntimeError`."""

_KERNELS = "PRIMITIVE_CACHE_CAPACITY"
"""What oneDNN asks the environment for, behind one of `_PREFIXES`."""

_PREFIXES = "ONEDNN_", "DNNL_"


def home() -> Path:
    """The folder in the environment variable `EDANAS_HOME`, or else `~/.cache/edanas`; it may not exist."""
    return Path(os.environ.get("EDANAS_HOME") or Path.home() / ".cache" / "edanas").expanduser()


def usable_cores() -> int:
    """Cores this process may run on, which a container can make fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def clock(device: "torch.device") -> Callable[[], float]:
    """Seconds, to take differences of; on an accelerator once it has done what it was asked.

    On a CPU with one thread it is this thread's time, which is blind to what else runs.
    """
    import torch

    if device.type == "cuda":

        def synchronised() -> float:
            torch.cuda.synchronize(device)
            return time.perf_counter()

        return synchronised
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter


def out_of_memory(error: Exception) -> bool:
    """Return whether `error` means that memory ran short, on any device."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if not isinstance(error, RuntimeError):
        return isinstance(error, MemoryError)
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in _NO_MEMORY)


def keep_kernels(count: int) -> None:
    """Have oneDNN keep so many kernels instead of 1,024, unless the environment says how many.

    It makes one for every shape that it meets. Without effect once anything was convolved.
    """
    if not any(prefix + _KERNELS in os.environ for prefix in _PREFIXES):
        os.environ[_PREFIXES[0] + _KERNELS] = str(count)


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """Inside, torch computes in so many threads, cuDNN with kernels that repeat; then as before."""
    import torch

    cudnn = torch.backends.cudnn
    before = torch.get_num_threads(), cudnn.deterministic, cudnn.benchmark
    torch.set_num_threads(threads)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.deterministic, cudnn.benchmark = before[1:]
