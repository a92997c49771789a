"""Trainings of a small supernet, and their interruption."""

from dataclasses import replace

import torch
from small_runs import PLAIN, parts, provider, space

from edanas.exits.classifiers import PoolLinear
from edanas.exits.criteria import ScoreMargin
from edanas.training.sandwich import SandwichTraining, SupernetWithExits
from edanas.training.schedule import TimeSlice
from edanas.training.schemes import Joint
from edanas.training.shrinking_training import ShrinkingTraining

SETTINGS = replace(PLAIN, epochs=3, batch_size=32, augment=("shift", "erase"), label_smoothing=0.1, ema=0.9)


def fresh(source=None, dropout=0.3):
    source = source or provider()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        task = parts().task
        return SupernetWithExits(source.supernet(task), source, PoolLinear(dropout=dropout), task)


def trainer(path, network=None, settings=SETTINGS, scheme=None, over=None, seed=5, save_every=60.0):
    kind = ShrinkingTraining if settings.shrinking else SandwichTraining
    return kind(
        network or fresh(),
        over or space(),
        parts(),
        settings,
        scheme or Joint(),
        ScoreMargin(),
        seed,
        path,
        save_every,
    )


class Steps(TimeSlice):
    """A time slice that is over after a number of steps."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    def is_over(self) -> bool:
        self.left -= 1
        return self.left < 0


class CutError(Exception):
    """Stops a training in the middle of a step."""


class CutShort(Joint):
    """Raises CutError after `after` losses."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def loss(self, batch):
        self.left -= 1
        if self.left < 0:
            raise CutError
        return super().loss(batch)


STEPS = 2
"""Steps of an epoch: 64 samples in batches of 32."""

LOSSES = 3 * STEPS
"""Losses of an epoch: the largest, the smallest and a random network in each step."""
