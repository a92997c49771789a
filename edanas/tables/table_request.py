"""The request for a table, and the check of existing files against it."""

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
"""Files of the working folder: the backbones profiled so far, and the request that they belong to."""

DECISIVE = (
    *("data", "split", "seed", "supernet", "weights", "classifier", "criterion", "inference", "evaluation"),
    *("scheme", "training", "recalibration"),
)
"""The settings that determine exit profiles; other settings may differ."""


@dataclass(frozen=True)
class TableRequest:
    """The request for a table.

    Args:
        settings: Settings of the run that trained the supernet, or of the training to come.
        out: The table's file.
        backbones: Most backbones.
        run: The folder of a run with the supernet; `None` = train one in the working folder.
        held_out: The second part to profile on.

    Raises:
        TableError: A value is out of range, or `out` is a folder.
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
        """The working folder, with the unfinished table."""
        return self.out.with_name(f"{self.out.name}.work")

    @property
    def supernet(self) -> Path:
        """The folder of the supernet."""
        return self.run or self.work

    def identity(self) -> dict[str, Any]:
        """Return the values that determine the table's rows, in JSON's types."""
        return {"settings": decisive_settings(self.settings), "held_out": self.held_out}

    def differences(self, identity: Mapping[str, Any]) -> list[str]:
        """Return a line for each difference from the identity of an earlier request."""
        lines = changed_settings(identity["settings"], self.settings)
        if identity["held_out"] != self.held_out:
            lines.append(f"held-out part: was {identity['held_out']}, now {self.held_out}")
        return lines

    def bind(self, data: str) -> None:
        """Check that the working folder belongs to this request; the first call records the request there.

        Args:
            data: Digest of the images.

        Raises:
            RunError: It belongs to another request or other images, or the folder cannot be written.
        """
        record = self.work / ORDER
        if record.exists():
            try:
                before = json.loads(record.read_text(encoding="utf-8"))
                lines = self.differences(before)
                if before["data"] != data:
                    lines.append("the images of the data set have changed")
            except (OSError, ValueError, LookupError, TypeError) as error:
                raise RunError(f"{record}: damaged ({error}); --overwrite starts anew") from error
            if lines:
                raise RunError(
                    f"{self.work} holds another unfinished table. Changed: {'; '.join(lines)}. Use the same "
                    "settings to go on, another --out to start anew, or --overwrite to discard it"
                )
            return
        with writing(record):
            record.with_suffix(".partial").write_bytes(self._record(data))
            record.with_suffix(".partial").replace(record)

    def discard(self, data: str) -> None:
        """Delete the table and the unfinished one; a supernet of the same request is kept.

        Args:
            data: Digest of the images.
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
    """Return the settings that determine exit profiles, in JSON's types."""
    plain = to_plain(settings)
    return {name: plain[name] for name in DECISIVE}


def changed_settings(before: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return a line for each decisive setting that differs from an earlier result of `decisive_settings`."""
    return [
        f"{path}: was {shown(old)}, now {shown(new)}"
        for path, (old, new) in differences(resolve([("", before)]), settings).items()
        if path.partition(".")[0] in DECISIVE
    ]


def supernet_digest(folder: Path) -> str:
    """Return the SHA-256 of the trained supernet's weights in `folder`, names and shapes included.

    Raises:
        RunError: The checkpoint is missing or damaged, or its training is not finished.
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
        raise RunError(f"{path}: is no checkpoint of a supernet") from error
    if step < steps:
        raise RunError(f"{path}: the supernet is trained for {step} of {steps} steps; finish the run first")
    return digest.hexdigest()


def check_images(run: Path, data: str) -> None:
    """Check that a run used these images.

    Raises:
        RunError: It used other images: samples to be profiled may be among its training samples.
    """
    if not (run / ARCHIVE).exists():
        return
    with Archive(run, read_only=True) as archive:
        if archive.meta().get("data", data) != data:
            raise RunError(f"{run}: its supernet was trained on other images; has the data set changed?")
