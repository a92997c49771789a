"""A training's state in one file: read and written whole, or not at all."""

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
"""What torch raises, on reading and on loading, where a file is not what it should be."""


class Checkpoint:
    """The file that a cut training goes on from.

    Args:
        path: It may not exist yet; its folder does.
        of: What is trained, for messages, e.g. `supernet`.
    """

    def __init__(self, path: Path, of: str) -> None:
        self.path, self.of = path, of

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace the file; a kill leaves the old one or the new one.

        Args:
            state: Tensors, numbers and texts in mappings and lists: what torch reads back without code.

        Raises:
            RunError: It cannot be written.
        """
        # By way of memory, since torch reports a full disk as a fault of its file format.
        content = io.BytesIO()
        torch.save(dict(state), content)
        # Under a name of its own, which the next attempt overwrites: a kill leaves nothing lying about.
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
        """The state, `None` where there is none yet; what it lacks inside is the file's fault.

        Raises:
            RunError: The file is damaged, or what the block makes of it fails as a damaged one would; where
                memory is short, what says so passes as it is, and the file is not blamed.
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
                f"({_line(error)}); delete the file to train anew"
            ) from error


def _line(error: Exception) -> str:
    """An error's text on one line, which the names of a whole network would not fit on."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", width=240, placeholder=" ...")
