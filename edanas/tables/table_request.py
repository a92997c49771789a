"""What table is wanted, and whether what already lies at its place belongs to it."""

import hashlib
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.config import differences, resolve, to_plain
from edanas.core.convert import shown
from edanas.core.errors import RunError, TableError, unknown
from edanas.core.runfolder import writing
from edanas.core.settings import Settings
from edanas.evaluation.shared import CHECKPOINT
from edanas.tables.file_format import HELD_OUT

ROWS, ORDER = "rows.journal", "order.json"
"""In the working folder: the backbones profiled so far, and what table they are for."""

DECISIVE = (
    *("data", "split", "seed", "supernet", "weights", "classifier", "criterion", "inference", "evaluation"),
    *("scheme", "training", "recalibration"),
)
"""The settings that exit profiles follow from; the others a table may be built with as one likes."""


@dataclass(frozen=True)
class TableRequest:
    """What table is wanted.

    Args:
        settings: Of the run that trained the supernet, or of the training that is to come.
        out: The table's file.
        backbones: How many at most.
        run: The folder of a run to take the supernet from; `None` = one is trained in the working folder.
        held_out: The second part to profile on.

    Raises:
        TableError: A value is out of range, or the file's place is taken by a folder.
    """

    settings: Settings
    out: Path
    backbones: int
    run: Path | None = None
    held_out: str = HELD_OUT[0]

    def __post_init__(self) -> None:
        if self.backbones < 1:
            raise TableError(f"backbones: found {self.backbones}; allowed: 1 or more")
        if self.held_out not in HELD_OUT:
            raise TableError(f"held out: {unknown('part', self.held_out, HELD_OUT)}")
        if self.out.is_dir():
            raise TableError(
                f"{self.out}: is a folder; expected a file, e.g. {self.out / 'table.safetensors'}"
            )

    @property
    def work(self) -> Path:
        """Where what is in the making lies."""
        return self.out.with_name(f"{self.out.name}.work")

    @property
    def supernet(self) -> Path:
        """The folder with the supernet."""
        return self.run or self.work

    def asked(self) -> dict[str, Any]:
        """What the table's rows follow from, in JSON's types."""
        return {"settings": decisive_settings(self.settings), "held_out": self.held_out}

    def changed_settings(self, asked: Mapping[str, Any]) -> list[str]:
        """In words, where another order asked otherwise."""
        lines = changed_settings(asked["settings"], self.settings)
        if asked["held_out"] != self.held_out:
            lines.append(f"held-out part: was {asked['held_out']}, now {self.held_out}")
        return lines

    def bind(self, data: str) -> None:
        """Make sure that what is in the making is for this order; the first one is noted.

        Args:
            data: Names the images.

        Raises:
            RunError: It is for another, or on other images; or the folder cannot be written.
        """
        note = self.work / ORDER
        if note.exists():
            try:
                before = json.loads(note.read_text(encoding="utf-8"))
                lines = self.changed_settings(before)
                if before["data"] != data:
                    lines.append("the images of the data set have changed")
            except (OSError, ValueError, LookupError, TypeError) as error:
                raise RunError(f"{note}: damaged ({error}); --overwrite begins the table anew") from error
            if lines:
                raise RunError(
                    f"{self.work} holds a table in the making, of another kind. Changed: {'; '.join(lines)}. "
                    "Use the same to go on, another --out to start anew, or --overwrite to discard it"
                )
            return
        with writing(note):
            note.with_suffix(".partial").write_bytes(self._note(data))
            note.with_suffix(".partial").replace(note)

    def discard(self, data: str) -> None:
        """Delete the table and what is in the making; a supernet of this very order stays.

        Args:
            data: Names the images.
        """
        paths = [self.out, self.work / ROWS]
        note = self.work / ORDER
        if not note.exists() or note.read_bytes() != self._note(data):
            paths += [self.work / CHECKPOINT, note]
        for path in paths:
            with writing(path):
                path.unlink(missing_ok=True)

    def _note(self, data: str) -> bytes:
        return json.dumps({**self.asked(), "data": data}).encode()


def decisive_settings(settings: Settings) -> dict[str, Any]:
    """The settings that exit profiles follow from, in JSON's types."""
    plain = to_plain(settings)
    return {name: plain[name] for name in DECISIVE}


def changed_settings(before: Mapping[str, Any], settings: Settings) -> list[str]:
    """In words, where `settings` decide otherwise than those that `decisive_settings` gave."""
    return [
        f"{path}: was {shown(old)}, now {shown(new)}"
        for path, (old, new) in differences(resolve([("", before)]), settings).items()
        if path.partition(".")[0] in DECISIVE
    ]


def supernet_digest(folder: Path) -> str:
    """SHA-256 of the trained supernet's weights in `folder`, names and shapes included.

    Raises:
        RunError: There is none, it is damaged, or it is not trained to the end.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        raise RunError(
            f"{folder}: holds no trained supernet ({CHECKPOINT}); expected the folder of a run with "
            "evaluation 'shared', or no --run, to train one"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        step, steps, network = int(state["step"]), int(state["schedule"]["steps"]), state["network"]
        digest = hashlib.sha256()
        for name in sorted(network):
            array = network[name].contiguous().numpy()
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(array.tobytes())
    except (RuntimeError, LookupError, ValueError, TypeError, EOFError, OSError, AttributeError) as error:
        raise RunError(f"{path}: the supernet's checkpoint is damaged ({type(error).__name__})") from error
    except pickle.UnpicklingError as error:
        raise RunError(f"{path}: is no supernet's checkpoint") from error
    if step < steps:
        raise RunError(f"{path}: the supernet is trained for {step} of {steps} steps; finish the run first")
    return digest.hexdigest()


def check_images(run: Path, data: str) -> None:
    """Make sure that a run was on these images.

    Raises:
        RunError: It was on others: what it trained on may now be what profiles are taken on.
    """
    if not (run / ARCHIVE).exists():
        return
    with Archive(run, read_only=True) as archive:
        if archive.meta().get("data", data) != data:
            raise RunError(f"{run}: its supernet was trained on other images; has the data set changed?")
