"""Pickles whose large tensors are files, which processes of one machine map into memory and share."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

SMALLEST = 2**20
"""Number of bytes from which a tensor is written to a file of its own."""


def dumps(value: Any, folder: Path | None) -> bytes:
    """Return the pickle of an object for workers, whose GPUs may differ from those of this process.

    Tensors of a GPU are loaded into the memory of the CPU. The process that loads the pickle may change all
    tensors: changes stay in the process.

    Args:
        value: The object.
        folder: An existing folder for large tensors, which processes that load the pickle map into memory. It
            must exist as long as the pickle is loaded. `None` = the pickle holds all tensors.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pickled = dumps(torch.zeros(2**20), Path(folder))
        ...     len(pickled) < 1000, pickle.loads(pickled).shape
        (True, torch.Size([1048576]))
    """
    file = io.BytesIO()
    _Pickler(file, folder).dump(value)
    return file.getvalue()


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, folder: Path | None) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.folder = folder

    def reducer_override(self, value: Any) -> Any:
        """Return the reduction of a tensor of a GPU, the reduction of a large tensor, or the usual one."""
        if isinstance(value, torch.Tensor) and value.device.type != "cpu":
            # Parameters keep their type; all others become plain tensors.
            kind = nn.Parameter if isinstance(value, nn.Parameter) else _tensor
            return kind, (value.detach().cpu(), value.requires_grad)
        # Parameters and other subclasses have attributes that a file does not hold.
        if self.folder is None or type(value) is not torch.Tensor or value.requires_grad:
            return NotImplemented
        if value.layout != torch.strided or value.numel() * value.element_size() < SMALLEST:
            return NotImplemented
        path = self.folder / f"{len(list(self.folder.iterdir()))}.bin"
        values = value.contiguous().view(-1).view(torch.uint8).numpy()
        values.tofile(path)
        return _mapped, (str(path), value.dtype, tuple(value.shape))


def _tensor(value: torch.Tensor, requires_grad: bool) -> torch.Tensor:  # noqa: FBT001 - as of nn.Parameter
    return value.requires_grad_(requires_grad)


def _mapped(path: str, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the tensor in a file; writing to it copies the page in this process."""
    return torch.from_numpy(np.memmap(path, np.uint8, "c")).view(dtype).view(shape)
