"""Progressive shrinking: a supernet's training begins with large backbones, and smaller ones join later."""

import numpy as np

from edanas.core.space import Genomes, SearchSpace
from edanas.core.types import Backbone

ORDER = ("kernel", "depth", "expand", "width")
"""Name endings of variables in the order in which they become elastic; all others are so from the start."""


class Shrinking:
    """The elastic part of a search space during a training (Cai et al., Once-for-All, 2020, Section 3.3).

    The training has five equal parts. In the first no variable of these kinds is elastic. Then kernel sizes
    become elastic, then depths, expansions, and widths. Variables that are not elastic have their largest
    choice.

    Args:
        space: The whole search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        ranks = [self._rank(variable.name) for variable in space.variables]
        self._elastic_from = np.array(ranks) / (len(ORDER) + 1)

    @staticmethod
    def _rank(name: str) -> int:
        last = name.rpartition(".")[2]
        return ORDER.index(last) + 1 if last in ORDER else 0

    def smallest(self, done: float) -> Backbone:
        """Return the smallest backbone at the progress `done`, from 0 to 1."""
        return self._restricted(np.zeros_like(self.space.counts), done)

    def sample_backbone(self, rng: np.random.Generator, done: float) -> Backbone:
        """Draw a random backbone, with uniform choices of the elastic variables."""
        return self._restricted(rng.integers(0, self.space.counts), done)

    def _restricted(self, genome: Genomes, done: float) -> Backbone:
        genes = np.where(self._elastic_from > done, self.space.counts - 1, genome)
        return self.space.backbone(self.space.canonical(genes))
