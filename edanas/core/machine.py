"""Properties of the machine: download folder, usable cores, clock, memory errors, and torch's modes."""

import errno
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
"""Phrases for a lack of memory in a `RuntimeError` of a driver or of torch's CPU allocator."""

_KERNELS = "PRIMITIVE_CACHE_CAPACITY"
"""Name of oneDNN's environment variable for its number of cached kernels, after one of `_PREFIXES`."""

_PREFIXES = "ONEDNN_", "DNNL_"


def home() -> Path:
    """Return the folder of downloads, which may not exist yet.

    It is the value of the environment variable `EDANAS_HOME`, or `~/.cache/edanas` if that is not set.
    """
    return user_path(os.environ.get("EDANAS_HOME") or Path.home() / ".cache" / "edanas")


def user_path(path: str | Path) -> Path:
    """Return a path whose first part `~` or `~name` is replaced by the folder of that user.

    The path stays as it is if there is no such user.

    Example:
        >>> user_path("~no-such-user/images").as_posix()
        '~no-such-user/images'
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def usable_cores() -> int:
    """Return the number of cores that this process may use; a container can restrict it.

    Example:
        >>> usable_cores() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """Return the name of the processor, or that of its architecture if the system gives no name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def clock(device: "torch.device") -> Callable[[], float]:
    """Return a function that returns a time in seconds, for measurements of durations on `device`.

    On a CUDA device, the function first waits for pending work. If torch uses one thread on a CPU, the
    function returns the CPU time of the calling thread, so that other processes do not count.
    """
    import torch

    if device.type == "cuda":

        def synchronised() -> float:
            torch.cuda.synchronize(device)
            return time.perf_counter()

        return synchronised
    return time.thread_time if torch.get_num_threads() == 1 else time.perf_counter


def out_of_memory(error: Exception) -> bool:
    """Return whether `error` reports a lack of memory, on any device."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if not isinstance(error, RuntimeError):
        return isinstance(error, MemoryError)
    import torch

    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in _NO_MEMORY)


def keep_kernels(count: int) -> None:
    """Let oneDNN cache `count` kernels instead of 1,024, unless the environment sets a number.

    oneDNN compiles one kernel for each shape. A call after the first convolution has no effect.
    """
    if not any(prefix + _KERNELS in os.environ for prefix in _PREFIXES):
        os.environ[_PREFIXES[0] + _KERNELS] = str(count)


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """Use `threads` threads of torch and deterministic kernels of cuDNN inside the context.

    Example:
        >>> import torch
        >>> with computing(threads=1):
        ...     torch.get_num_threads()
        1
    """
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
