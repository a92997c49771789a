"""Progressive shrinking: a supernet's training begins with large backbones and adds small backbones later."""

import numpy as np

from edanas.core.space import Genomes, SearchSpace
from edanas.core.types import Backbone

ORDER = ("kernel", "depth", "expand", "width")
"""Last parts of variable names, in the order in which the variables become elastic."""


class Shrinking:
    """Restriction of a search space during the training of a supernet.

    An elastic variable has all its choices; any other variable is fixed at its largest choice. The training
    has five equal sections. In the first section, kernel sizes, depths, expansions and widths are fixed. One
    of the four kinds becomes elastic at the beginning of each later section, in this order. All other
    variables, such as the resolution, are always elastic. Cai et al., Once-for-All, ICLR 2020, Section 3.3.

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
        """Return the smallest backbone at the progress `done` of the training, from 0 to 1."""
        return self._restricted(np.zeros_like(self.space.counts), done)

    def sample_backbone(self, rng: np.random.Generator, done: float) -> Backbone:
        """Draw a random backbone at the progress `done`; choices of elastic variables are uniform."""
        return self._restricted(rng.integers(0, self.space.counts), done)

    def _restricted(self, genome: Genomes, done: float) -> Backbone:
        genes = np.where(self._elastic_from > done, self.space.counts - 1, genome)
        return self.space.backbone(self.space.canonical(genes))
