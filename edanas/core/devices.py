"""The device and the number of threads that the settings choose."""

from typing import TYPE_CHECKING

from edanas.core.errors import ConfigError
from edanas.core.machine import usable_cores
from edanas.core.settings import Settings

if TYPE_CHECKING:
    import torch


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


def threads_of(settings: Settings) -> int:
    """Return the number of torch's threads: the setting `threads`, or the usable cores if it is 0."""
    return settings.threads or usable_cores()
