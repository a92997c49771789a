"""Progressive shrinking: a supernet's training begins with large backbones, and the space opens by and by."""

import numpy as np

from edanas.core.space import Genomes, SearchSpace
from edanas.core.types import Backbone

ORDER = ("kernel", "depth", "expand", "width")
"""Ends of the names of the variables that open one after the other; all others are open from the start."""


class Shrinking:
    """What is open of a space, by the progress of a training (Cai et al., Once-for-All, 2020, Section 3.3).

    First kernel sizes become elastic, then depths, then expansions, and here at last widths; each for an
    equal share of the training, after one in which none is. What is not open yet has its largest choice.

    Args:
        space: The whole of it.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        turns = [self._turn(variable.name) for variable in space.variables]
        self._opens = np.array(turns) / (len(ORDER) + 1)

    @staticmethod
    def _turn(name: str) -> int:
        last = name.rpartition(".")[2]
        return ORDER.index(last) + 1 if last in ORDER else 0

    def smallest(self, done: float) -> Backbone:
        """The smallest backbone that is open when the share `done` of the training is behind."""
        return self._restricted(np.zeros_like(self.space.counts), done)

    def sample_backbone(self, rng: np.random.Generator, done: float) -> Backbone:
        """A random one, each open choice uniform."""
        return self._restricted(rng.integers(0, self.space.counts), done)

    def _restricted(self, genome: Genomes, done: float) -> Backbone:
        genes = np.where(self._opens > done, self.space.counts - 1, genome)
        return self.space.backbone(self.space.canonical(genes))
