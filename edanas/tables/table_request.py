"""The request for a table, and checks that existing files match the request."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.config import differences, resolve, to_plain
from edanas.core.convert import shown
from edanas.core.errors import RunError, TableError, unknown
from edanas.core.finite import check_finite
from edanas.core.records import parse
from edanas.core.runfolder import replace_file, writing
from edanas.core.settings import Settings
from edanas.evaluation.shared import CHECKPOINT
from edanas.tables.file_format import HELD_OUT
from edanas.training.checkpoint import UNREADABLE, load_checked, torch_reason

ROWS, ORDER = "rows.journal", "order.json"
"""Files of the working folder: the rows profiled so far, and a record of the request."""

DECISIVE = (
    *("data", "split", "seed", "supernet", "weights", "classifier", "criterion", "inference", "evaluation"),
    *("scheme", "training", "recalibration"),
)
"""Settings that determine exit profiles; all other settings may change between two calls."""


@dataclass(frozen=True)
class TableRequest:
    """The request for a table.

    Args:
        settings: Settings with which the supernet was trained or is to be trained.
        out: Path of the table's file.
        backbones: Largest number of backbones in the table, 1 or more.
        run: Folder of a run with a trained supernet; `None`, the default, trains a supernet in the working
            folder.
        held_out: Name of the second part of the data to profile on, `calibration` (default) or `test`.

    Raises:
        TableError: `backbones` is below 1, `held_out` is not a valid part, or `out` is a folder.
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
        """The working folder, which holds the rows of an unfinished table."""
        return self.out.with_name(f"{self.out.name}.work")

    @property
    def supernet(self) -> Path:
        """The folder that holds the supernet: `run`, or the working folder."""
        return self.run or self.work

    def identity(self) -> dict[str, Any]:
        """Return the values that determine the table's rows, as a dictionary of JSON types."""
        return {"settings": decisive_settings(self.settings), "held_out": self.held_out}

    def differences(self, identity: Mapping[str, Any]) -> list[str]:
        """Return a line of text for each difference from `identity`, the result for an earlier request."""
        lines = changed_settings(identity["settings"], self.settings)
        if identity["held_out"] != self.held_out:
            lines.append(f"held-out part: was {identity['held_out']}, now {self.held_out}")
        return lines

    def bind(self, data: str) -> None:
        """Check that the working folder belongs to this request; in a new folder, record the request.

        Args:
            data: Digest of the images.

        Raises:
            RunError: The folder belongs to another request or to other images, its record is damaged, or the
                folder cannot be written to.
        """
        record = self.work / ORDER
        if record.exists():
            try:
                before = parse(record.read_text(encoding="utf-8"))
                lines = self.differences(before)
                if before["data"] != data:
                    lines.append("the samples of the data set have changed")
            except (OSError, ValueError, LookupError, TypeError) as error:
                raise RunError(
                    f"{record}: the record of the request is damaged ({error}); --overwrite discards it"
                ) from error
            if lines:
                raise RunError(
                    f"{self.work}: holds the unfinished table of another request. Changed: "
                    f"{'; '.join(lines)}. Use the same settings to continue, another --out to start again, "
                    "or --overwrite to discard the unfinished table"
                )
            return
        replace_file(record, self._record(data))

    def discard(self, data: str) -> None:
        """Delete the table and the rows of an unfinished table; a supernet of the same request is kept.

        Args:
            data: Digest of the images.

        Raises:
            RunError: A file cannot be deleted.
        """
        paths = [self.out, self.work / ROWS]
        record = self.work / ORDER
        if not record.exists() or record.read_bytes() != self._record(data):
            paths += [self.work / CHECKPOINT, record]
        for path in paths:
            with writing(path):
                path.unlink(missing_ok=True)

    def _record(self, data: str) -> bytes:
        return json.dumps({**self.identity(), "data": data}).encode()


def decisive_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings that determine exit profiles, as a dictionary of JSON types."""
    plain = to_plain(settings)
    return {name: plain[name] for name in DECISIVE}


def changed_settings(before: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return a line of text for each setting that differs from an earlier result of `decisive_settings`."""
    return [
        f"{path}: was {shown(old)}, now {shown(new)}"
        for path, (old, new) in differences(resolve([("", before)]), settings).items()
        if path.partition(".")[0] in DECISIVE
    ]


def supernet_digest(folder: Path) -> str:
    """Return the SHA-256 of the weights of the supernet in `folder`, including their names and shapes.

    Raises:
        RunError: The checkpoint is missing or damaged, or the supernet is not fully trained.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        raise RunError(
            f"{folder}: holds no trained supernet ({CHECKPOINT} is missing); expected the folder of a run "
            "with evaluation 'shared'. Without --run, a supernet is trained"
        )
    try:
        state = load_checked(path)
        step, steps, network = int(state["step"]), int(state["schedule"]["steps"]), state["network"]
        check_finite(network, path)
        digest = hashlib.sha256()
        for name in sorted(network):
            array = network[name].contiguous().numpy()
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(array.tobytes())
    except UNREADABLE as error:
        raise RunError(f"{path}: the supernet's checkpoint is damaged: {torch_reason(error)}") from error
    if step < steps:
        raise RunError(f"{path}: the supernet is trained for {step} of {steps} steps; finish the run first")
    return digest.hexdigest()


def check_images(run: Path, data: str) -> None:
    """Check that a run used the images of the table.

    With other images, the supernet may have been trained on samples that are to be profiled.

    Args:
        run: Folder of the run.
        data: Digest of the images.

    Raises:
        RunError: The run used other images.
    """
    if not (run / ARCHIVE).exists():
        return
    with Archive(run, read_only=True) as archive:
        if archive.meta().get("data", data) != data:
            raise RunError(
                f"{run}: the supernet was trained on other samples; check whether the data set has changed"
            )
