"""Parts of a small run: the smallest real supernet and a few dozen digits."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edanas.core.config import resolve
from edanas.core.progress import Silent
from edanas.core.settings import SplitSettings, TrainingSettings
from edanas.core.space import SearchSpace
from edanas.core.types import DataParts, ImageSet, LoadedData
from edanas.data.digits import Digits
from edanas.data.splits import split
from edanas.evaluation.workbench import Workbench
from edanas.exits.classifiers import PoolLinear
from edanas.exits.criteria import ScoreMargin
from edanas.exits.inference import EarlyStop
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.training.schemes import Joint

OPTIONS: dict[str, Any] = {
    "widths": [0.1, 0.35],
    "resolutions": [8, 12],
    "depths": [1, 2],
    "kernels": [3, 5],
    "expansions": [3],
    "stem_stride": 1,
    "final_expand": 0,
    "last_width": 0,
}
THRESHOLDS = (0.05, 0.2, None)
CPU = torch.device("cpu")
PLAIN = TrainingSettings(epochs=2, batch_size=16, learning_rate=0.01, augment=())


@functools.cache
def parts(count: int = 140, seed: int = 0) -> DataParts:
    """Return the first `count` digits in four parts, of which the train part holds 64."""
    loaded = Digits().load(12, 0).samples.subset(np.arange(count))
    shares = SplitSettings(train=0.46, calibration=0.14, validation=0.2, test=0.2)
    return split(LoadedData(loaded, np.full(count, "", dtype=np.str_)), shares, seed)


def provider() -> OFAMobileNetV3Provider:
    return OFAMobileNetV3Provider(**OPTIONS)


def space() -> SearchSpace:
    return SearchSpace(provider().variables(), THRESHOLDS, provider().exit_points)


def workbench(folder: Path, data: DataParts | None = None, **settings: Any) -> Workbench:
    """Return a workbench as `compose` does; `settings` as in a settings file, keys with `__` for dots."""
    chosen = {name.replace("__", "."): value for name, value in settings.items()}
    small = {
        "supernet": {"name": "ofa-mbv3", **OPTIONS},
        "thresholds": ["none" if t is None else t for t in THRESHOLDS],
        "training": {"epochs": 1, "batch_size": 16, "learning_rate": 0.01, "augment": ["shift"]},
        "finetune": {"epochs": 1, "batch_size": 16, "learning_rate": 0.01, "augment": []},
        "recalibration": 48,
    }
    return Workbench(
        settings=resolve([("small", small), ("given", chosen)]),
        provider=provider(),
        classifier=PoolLinear(),
        criterion=ScoreMargin(),
        inference=EarlyStop(),
        scheme=Joint(),
        space=space(),
        parts=data or parts(),
        device=CPU,
        folder=folder,
    )


class RecordedBars(Silent):
    """Progress that records the totals, steps and notes of bars."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.moves: list[int] = []
        self.notes: list[str] = []
        self.lines: list[str] = []

    @contextmanager
    def task(self, label: str, total: int) -> Iterator["RecordedBars"]:
        self.totals.append(total)
        yield self

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.moves.append(steps)
        self.notes.append(note)

    def say(self, line: str) -> None:
        self.lines.append(line)


def relabelled(data: ImageSet, labels: torch.Tensor) -> ImageSet:
    return replace(data, labels=labels)


def equal_states(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    """Return whether two networks hold the same values, bit for bit."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
