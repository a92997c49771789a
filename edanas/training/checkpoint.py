"""The state of a training in one file, read and written as a whole."""

import io
import pickle
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from edanas.core.errors import RunError
from edanas.core.machine import out_of_memory
from edanas.core.runfolder import writing

UNREADABLE = (
    *(RuntimeError, LookupError, ValueError, TypeError, AttributeError),
    *(EOFError, OSError, pickle.UnpicklingError),
)
"""Errors that torch raises when it reads or loads a damaged file."""


class Checkpoint:
    """The file from which an interrupted training continues.

    Args:
        path: The file, which need not exist yet, in a folder that exists.
        of: Noun for the trained network in messages, e.g. `supernet`.

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
        """Replace the file; after a kill it is either the old or the new one.

        Args:
            state: Tensors, numbers and texts in mappings and lists, which torch reads without running code.

        Raises:
            RunError: The file cannot be written.
        """
        # Serialised in memory first, since torch reports a full disk as an error of the file format.
        content = io.BytesIO()
        torch.save(dict(state), content)
        # A fixed name, which the next attempt overwrites, so that kills do not leave files behind.
        partial = self.path.with_suffix(".partial")
        with writing(self.path):
            try:
                partial.write_bytes(content.getbuffer())
                partial.replace(self.path)
            except OSError:
                partial.unlink(missing_ok=True)
                raise

    @contextmanager
    def reading(self, device: torch.device | str = "cpu") -> Iterator[dict[str, Any] | None]:
        """Yield the state, or `None` if there is no file; the block restores the training from it.

        Raises:
            RunError: The file is damaged, or the block raises an error as from a damaged file. Errors of
                memory exhaustion are not converted.
        """
        try:
            if not self.path.exists():
                yield None
                return
            yield torch.load(self.path, map_location=device, weights_only=True)
        except UNREADABLE as error:
            if out_of_memory(error):
                raise
            raise RunError(
                f"{self.path}: the {self.of}'s checkpoint is damaged or of another network "
                f"({_one_line(error)}); delete the file to train anew"
            ) from error


def _one_line(error: Exception) -> str:
    """Return an error's text on one line, shortened."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", width=240, placeholder=" ...")
