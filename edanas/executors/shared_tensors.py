"""Pickles whose large tensors are files, which processes of one machine map into memory and share."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

SMALLEST = 2**20
"""Number of bytes from which a tensor is written to a file of its own."""


def dumps(value: Any, folder: Path) -> bytes:
    """Return the pickle of an object; its large tensors in the memory of the CPU are files in a folder.

    A process that loads the pickle maps the files. It may change the tensors: changes stay in the process.

    Args:
        value: The object.
        folder: An existing folder, which must exist as long as the pickle is loaded.

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
    def __init__(self, file: io.BytesIO, folder: Path) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.folder = folder

    def reducer_override(self, value: Any) -> Any:
        """Return the reduction of a large tensor to its file, and the usual reduction of other objects."""
        # Parameters and other subclasses have attributes that a file does not hold.
        if type(value) is not torch.Tensor or value.requires_grad or value.device.type != "cpu":
            return NotImplemented
        if value.layout != torch.strided or value.numel() * value.element_size() < SMALLEST:
            return NotImplemented
        path = self.folder / f"{len(list(self.folder.iterdir()))}.bin"
        values = value.contiguous().view(-1).view(torch.uint8).numpy()
        values.tofile(path)
        return _mapped, (str(path), value.dtype, tuple(value.shape))


def _mapped(path: str, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the tensor in a file; writing to it copies the page in this process."""
    return torch.from_numpy(np.memmap(path, np.uint8, "c")).view(dtype).view(shape)
