"""Stages of progressive shrinking: a supernet's training begins with the full network; choices open later."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from edanas.core.space import Genomes, SearchSpace
from edanas.core.types import Backbone

FULL = "full network"
"""Name of the first stage."""


class ShrinkingStage(NamedTuple):
    """One stage of progressive shrinking.

    Args:
        name: Name of the stage, for messages.
        kind: Last part of the names of the variables that open in this stage; empty for the first stage.
        choices: Number of the largest choices of each such variable that are open; 0 = all.
        epochs: Epochs in the source, from which the share of the steps follows.
        rate: Peak of the learning rate, relative to that of the first stage.
        networks: Number of networks that are trained in each step.
    """

    name: str
    kind: str
    choices: int
    epochs: float
    rate: float
    networks: int


PUBLISHED = (
    ShrinkingStage(FULL, "", 0, 180, 1.0, 1),
    ShrinkingStage("elastic kernel", "kernel", 0, 125, 0.96 / 2.6, 1),
    ShrinkingStage("elastic depth, phase 1", "depth", 2, 25, 0.08 / 2.6, 2),
    ShrinkingStage("elastic depth, phase 2", "depth", 0, 125, 0.24 / 2.6, 2),
    ShrinkingStage("elastic expansion, phase 1", "expand", 2, 25, 0.08 / 2.6, 4),
    ShrinkingStage("elastic expansion, phase 2", "expand", 0, 125, 0.24 / 2.6, 4),
    ShrinkingStage("elastic width, phase 1", "width", 2, 25, 0.08 / 2.6, 4),
    ShrinkingStage("elastic width, phase 2", "width", 0, 125, 0.24 / 2.6, 4),
)
"""The stages of Once-for-All, with epochs, learning rates and networks in a step as published.

The source has no elastic width; its stages are those of the expansion.
"""


class Progress(NamedTuple):
    """A moment of the training.

    Args:
        stage: Index of the stage.
        done: Progress within the stage, from 0 to below 1.
        share: Share of the training's steps that the stage has.
    """

    stage: int
    done: float
    share: float


class Shrinking:
    """Stages of progressive shrinking for a search space.

    Stages that open nothing are left out: those of variables with a single choice, and the first phase of
    variables with two choices. Variables that are not open have their largest choice. The resolution and
    other variables that no stage names are always open.

    Source: Cai et al., "Once-for-All: Train one network and specialize it for efficient deployment", ICLR
    2020, Section 3.3 and Appendix.

    Args:
        space: The whole search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._kinds = np.array([variable.name.rpartition(".")[2] for variable in space.variables])
        self.stages = tuple(self._opening())
        ends = np.cumsum([stage.epochs for stage in self.stages])
        self._ends = ends / ends[-1]

    def at(self, done: float) -> Progress:
        """Return the moment at the progress `done` of the training, from 0 to 1."""
        stage = min(int(np.searchsorted(self._ends, done, side="right")), len(self.stages) - 1)
        begin = float(self._ends[stage - 1]) if stage else 0.0
        share = float(self._ends[stage]) - begin
        return Progress(stage, min(max((done - begin) / share, 0.0), 1.0), share)

    def trained_choices(self, stage: int) -> int:
        """Return the number of choices that were open before a stage for the variables that it opens."""
        kind = self.stages[stage].kind
        return max((each.choices for each in self.stages[:stage] if each.kind == kind), default=1)

    def smallest(self, stage: int) -> Backbone:
        """Return the smallest backbone that a stage trains."""
        return self._restricted(np.zeros_like(self.space.counts), stage)

    def sample_backbone(self, rng: np.random.Generator, stage: int) -> Backbone:
        """Draw a random backbone of a stage; open choices are equally likely."""
        lowest = self._lowest(stage)
        return self._restricted(rng.integers(lowest, self.space.counts), stage)

    def _opening(self) -> Iterator[ShrinkingStage]:
        for stage in PUBLISHED:
            counts = self.space.counts[self._of(stage.kind)]
            most = int(counts.max(initial=1))
            if not stage.kind or most > max(1, stage.choices):
                yield stage

    def _of(self, kind: str) -> "np.typing.NDArray[np.bool_]":
        """Return for each gene whether it belongs to a variable of a kind."""
        own = np.zeros(len(self.space.counts), dtype=np.bool_)
        own[: len(self._kinds)] = self._kinds == kind
        return own

    def _lowest(self, stage: int) -> Genomes:
        """Return the index of the smallest open choice of each gene."""
        lowest = np.zeros_like(self.space.counts)
        for kind in {each.kind for each in PUBLISHED if each.kind}:
            opened = [each for each in self.stages[: stage + 1] if each.kind == kind]
            own = self._of(kind)
            choices = opened[-1].choices if opened else 1
            if choices:
                lowest[own] = np.maximum(0, self.space.counts[own] - choices)
        return lowest

    def _restricted(self, genome: Genomes, stage: int) -> Backbone:
        genes = np.maximum(genome, self._lowest(stage))
        return self.space.backbone(self.space.canonical(genes))
