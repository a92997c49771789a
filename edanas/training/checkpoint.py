"""Checkpoints: the state of an interrupted training in one file."""

import io
import pickle
import textwrap
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from edanas.core.errors import RunError
from edanas.core.machine import out_of_memory
from edanas.core.records import MISMATCH
from edanas.core.runfolder import partial_files, replace_file

UNREADABLE = (
    *(RuntimeError, LookupError, ValueError, TypeError, AttributeError),
    *(EOFError, OSError, pickle.UnpicklingError, zipfile.BadZipFile, NotImplementedError, zlib.error),
)
"""Errors that torch raises when it reads a damaged file, or loads the state of another network."""


class Checkpoint:
    """The file from which an interrupted training continues.

    Args:
        path: Path of the file. The file may be absent; its folder must exist.
        of: Noun in messages for the network that is trained, e.g. `supernet`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoint = Checkpoint(Path(folder) / "state.pt", "supernet")
        ...     checkpoint.write({"step": 3})
        ...     with checkpoint.reading() as state:
        ...         print(state)
        {'step': 3}
    """

    def __init__(self, path: Path, of: str) -> None:
        self.path, self.of = path, of

    def write(self, state: Mapping[str, Any]) -> None:
        """Write the state, replacing the file at once.

        If the process is killed, the file holds either the old or the new state.

        Args:
            state: Tensors, numbers and texts, in dictionaries and lists. torch reads these types without
                running code from the file.

        Raises:
            RunError: The file cannot be written.
        """
        # Serialised in memory first, since torch reports a full disk as an error of the file format.
        content = io.BytesIO()
        torch.save(dict(state), content)
        # One process at a time trains, so these files are of killed processes.
        for left in partial_files(self.path.parent, self.path.name):
            left.unlink(missing_ok=True)
        replace_file(self.path, content.getbuffer())

    @contextmanager
    def reading(self, device: torch.device | str = "cpu") -> Iterator[dict[str, Any] | None]:
        """Yield the state in the file, or `None` if there is no file.

        The caller restores the training inside the `with` block, so that unsuitable content is reported too.

        Args:
            device: Device of the yielded tensors.

        Raises:
            RunError: The file is damaged, or the block raises an error of `UNREADABLE`. Errors that report
                exhausted memory are raised unchanged.
        """
        try:
            if not self.path.exists():
                yield None
                return
            yield load_checked(self.path, device)
        except UNREADABLE as error:
            if out_of_memory(error):
                raise
            raise RunError(
                f"{self.path}: the {self.of}'s checkpoint is damaged or of another network "
                f"({torch_reason(error)}); delete the file to train again"
            ) from error


def load_checked(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Return the content of a file of `torch.save`, whose checksums torch itself does not compare.

    Args:
        path: Path of the file.
        device: Device of the tensors.

    Raises:
        ValueError: A part of the file does not match its checksum.
        OSError: The file cannot be read. Other errors of `UNREADABLE` mean that the file is damaged, too.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "state.pt"
        ...     torch.save({"step": 3}, path)
        ...     load_checked(path)
        {'step': 3}
    """
    with zipfile.ZipFile(path) as parts:
        damaged = parts.testzip()
    if damaged:
        raise ValueError(f"its part '{damaged}' {MISMATCH}")
    content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return content


def torch_reason(error: Exception) -> str:
    """Return an error of `torch.load` on one line of at most 240 characters.

    Torch's advice to load an unreadable file without its protection is left out.

    Example:
        >>> torch_reason(pickle.UnpicklingError("Weights only load failed. Set weights_only to False."))
        'the file is not one that edanas wrote, or parts of it are missing'
    """
    if isinstance(error, pickle.UnpicklingError | zipfile.BadZipFile):
        return "the file is not one that edanas wrote, or parts of it are missing"
    return textwrap.shorten(f"{type(error).__name__}: {error}", width=240, placeholder=" ...")
