"""What settings say of the machine: where networks run, and on how many threads."""

from typing import TYPE_CHECKING

from edanas.core.errors import ConfigError
from edanas.core.machine import usable_cores
from edanas.core.settings import Settings

if TYPE_CHECKING:
    import torch


def device_of(settings: Settings) -> "torch.device":
    """Where networks run; see `named_device`."""
    return named_device(settings.device)


def named_device(name: str) -> "torch.device":
    """`auto`, `cpu`, `cuda` or `cuda:N` as torch has it.

    Raises:
        ConfigError: The device is not there.
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
        raise ConfigError(f"device: '{name}' is not there; found {count} CUDA devices; try 'auto'")
    return device


def threads_of(settings: Settings) -> int:
    """How many threads torch uses: as set, or one for each core this process may run on."""
    return settings.threads or usable_cores()
