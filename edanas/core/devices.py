"""The device and the number of threads that the settings choose."""

from typing import TYPE_CHECKING

from edanas.core.errors import ConfigError
from edanas.core.machine import processor_name, usable_cores
from edanas.core.settings import Settings

if TYPE_CHECKING:
    import torch

_assigned: int | None = None
"""Number of the GPU of this process; `None` = no GPU was assigned."""


def device_of(settings: Settings) -> "torch.device":
    """Return torch's device for the setting `device`; errors as in `named_device`."""
    return named_device(settings.device)


def named_device(name: str) -> "torch.device":
    """Return torch's device for `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        ConfigError: The machine has no such device.

    Example:
        >>> named_device("cpu")
        device(type='cpu')
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device: found '{name}'; allowed: auto, cpu, cuda or cuda:N") from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ConfigError(f"device: '{name}' does not exist; found {count} CUDA devices; try 'auto'")
    return device


def assign_gpu(index: int) -> None:
    """Assign a GPU to this process; settings that name the CPU or one GPU come first.

    Args:
        index: Number of the GPU; with fewer GPUs, the numbers begin again.
    """
    global _assigned
    _assigned = index


def worker_device(settings: Settings) -> "torch.device":
    """Return the device of a worker, which may be on another machine than the calling process.

    `auto` and `cuda` are the GPU that `assign_gpu` assigned, or the first GPU. `cuda:N` is the only GPU if
    the worker has one GPU. Errors as in `named_device`.

    Example:
        >>> worker_device(Settings(device="cpu"))
        device(type='cpu')
    """
    import torch

    device = settings.device
    count = torch.cuda.device_count() if device != "cpu" and torch.cuda.is_available() else 0
    if count == 1 and device != "auto":
        device = "cuda"
    if count and device in {"auto", "cuda"}:
        device = f"cuda:{(_assigned or 0) % count}"
    return named_device(device)


def device_kind(device: "torch.device") -> str:
    """Return the name of a GPU or processor; workers of equal names measure comparable times."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()


def threads_of(settings: Settings) -> int:
    """Return the number of torch's threads: the setting `threads`, or the usable cores if it is 0."""
    return settings.threads or usable_cores()
