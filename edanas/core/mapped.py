"""Arrays larger than memory: in temporary files that are mapped, with few of their pages resident."""

import math
import mmap
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edanas.core.machine import home

if TYPE_CHECKING:
    import torch

LARGEST = 2**28
"""Number of bytes above which an array is in a file, and not in memory."""

CHUNK = 2**26
"""Number of bytes that are copied together."""

_PERIOD = 0.2
"""Seconds between two releases of resident pages."""


def empty_bytes(shape: Sequence[int]) -> npt.NDArray[np.uint8]:
    """Return an array of bytes to fill; above `LARGEST` it is in a temporary file under `EDANAS_HOME`.

    The file is deleted with the array. Pages of the file that the process has read or written leave its
    resident memory at once; the operating system keeps them as long as memory is free.

    Args:
        shape: Shape of the array.

    Example:
        >>> empty_bytes((2, 3)).shape
        (2, 3)
    """
    if math.prod(shape) <= LARGEST:
        return np.empty(shape, dtype=np.uint8)
    folder = home() / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        array: np.memmap[Any, np.dtype[np.uint8]] = np.memmap(file, np.uint8, "w+", shape=tuple(shape))
    released(array)
    return array


def rows_at(images: "torch.Tensor", indices: npt.NDArray[np.int64]) -> "torch.Tensor":
    """Return the images at `indices` as a copy, which is in a file if it is large; see `empty_bytes`.

    Args:
        images: Images (N, C, H, W).
        indices: Indices of images, in any order.
    """
    import torch

    at = torch.from_numpy(np.ascontiguousarray(indices))
    size = images[:1].numel() * images.element_size()
    if images.dtype != torch.uint8 or images.device.type != "cpu" or size * len(at) <= LARGEST:
        return images[at]
    copy = torch.from_numpy(empty_bytes((len(at), *images.shape[1:])))
    # A row that is read may bring half a megabyte of its file into memory, so many rows bring all of it.
    step = max(1, _rows(copy) // 64)
    for target, some in zip(torch.split(copy, step), torch.split(at, step), strict=True):
        target[:] = images[some]
        release()
    return copy


def joined_rows(parts: Sequence["torch.Tensor"]) -> "torch.Tensor":
    """Return images (N, C, H, W) one after the other, in a file if they are large; see `empty_bytes`."""
    import torch

    shape = sum(map(len, parts)), *parts[0].shape[1:]
    if any(part.dtype != torch.uint8 for part in parts) or math.prod(shape) <= LARGEST:
        return torch.cat(list(parts))
    copy, end = torch.from_numpy(empty_bytes(shape)), 0
    for part in parts:
        for piece in pieces(part):
            copy[end : end + len(piece)] = piece
            end += len(piece)
    return copy


def pieces(samples: "torch.Tensor") -> "Iterator[torch.Tensor]":
    """Yield samples (N, ...) in order, in pieces of `CHUNK` bytes at most.

    After each piece, pages of mapped arrays leave the resident memory. A pass over all samples therefore
    needs memory for one piece, however seldom the thread of `released` runs.

    Example:
        >>> import torch
        >>> [len(piece) for piece in pieces(torch.zeros(3, 1, 2, 2))]
        [3]
    """
    import torch

    for piece in torch.split(samples, _rows(samples)):
        yield piece
        release()


def _rows(samples: "torch.Tensor") -> int:
    """Return the number of samples in a piece of `CHUNK` bytes."""
    return max(1, CHUNK // max(1, samples[:1].numel() * samples.element_size()))


def released(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a mapped array whose pages leave the resident memory of the process as long as it exists.

    An array in memory, or one of `LARGEST` bytes and less, is returned as it is. Changes of an array of mode
    `c` are lost.
    """
    mapping = getattr(array, "_mmap", None)
    if isinstance(mapping, mmap.mmap) and array.nbytes > LARGEST and hasattr(mapping, "madvise"):
        _maps.append(weakref.ref(mapping))
        if not _thread.is_alive():
            _thread.start()
    return array


_maps: list["weakref.ref[mmap.mmap]"] = []
_releasing = threading.Lock()


def _release_pages() -> None:
    while not _never.wait(_PERIOD):
        release()


def release() -> None:
    """Let the pages of all mapped arrays leave the resident memory; they come back when they are read."""
    with _releasing:
        for reference in list(_maps):
            mapping = reference()
            if mapping is None:
                _maps.remove(reference)
            else:
                # The pages stay in the page cache of the system.
                mapping.madvise(mmap.MADV_DONTNEED)


_never = threading.Event()
_thread = threading.Thread(target=_release_pages, name="edanas-release", daemon=True)
