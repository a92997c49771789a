"""Which backbones stand in a table."""

import numpy as np
import numpy.typing as npt

from edanas.core.space import SearchSpace

_DENSE = 4
"""Where a table holds more than one backbone in so many, the space is listed and drawn from."""


def choose_backbones(space: SearchSpace, count: int, seed: int) -> npt.NDArray[np.int64]:
    """(n, D) distinct genomes: all where there are no more than `count`, in lexicographic order.

    Otherwise the smallest and the largest backbone, then random ones. Where the space is large against
    `count`, each expressed choice is uniform, and more backbones of the same seed begin with the fewer.

    Args:
        space: Of backbones alone.
        count: How many, at least 1.
        seed: Of this purpose.
    """
    size, rng = space.size(), np.random.default_rng(seed)
    if size <= count:
        return np.array(list(space.genomes()), dtype=np.int64)
    ends = space.canonical(np.array([np.zeros_like(space.counts), space.counts - 1]))
    if size <= _DENSE * count:
        drawn = rng.permutation(np.array(list(space.genomes()), dtype=np.int64))
        return _distinct(np.concatenate([ends, drawn]))[:count]
    found = ends
    while len(found) < count:
        found = _distinct(np.concatenate([found, space.sample(rng, count)]))
    return found[:count]


def _distinct(genomes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Each genome once, in the order in which they come first."""
    return genomes[np.sort(np.unique(genomes, axis=0, return_index=True)[1])]
