"""The choice of a table's backbones."""

import numpy as np
import numpy.typing as npt

from edanas.core.space import SearchSpace

_DENSE = 4
"""If a table holds more than one in this many backbones, they are drawn from a list of the space."""


def choose_backbones(space: SearchSpace, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return distinct genomes (n, D): all of the space, in lexicographic order, if it has at most `count`.

    Otherwise the smallest and the largest backbone come first, then random backbones. If the space is much
    larger than `count`, each expressed choice is uniform, and a larger `count` with the same seed extends a
    smaller one.

    Args:
        space: The space of backbones, without thresholds.
        count: Most genomes, at least 1.
        seed: Determines the random backbones.

    Example:
        >>> from edanas.core.types import Variable
        >>> space = SearchSpace((Variable("width", (1, 2, 3), None, frozenset()),), (None,), 0)
        >>> choose_backbones(space, 2, seed=0).tolist()
        [[0], [2]]
    """
    size, rng = space.size(), np.random.default_rng(seed)
    if size <= count:
        return np.array(list(space.genomes()), dtype=np.int64)
    ends = space.canonical(np.array([np.zeros_like(space.counts), space.counts - 1]))
    if size <= _DENSE * count:
        drawn = rng.permutation(np.array(list(space.genomes()), dtype=np.int64))
        return _distinct(np.concatenate([ends, drawn]))[:count]
    genomes = ends
    while len(genomes) < count:
        genomes = _distinct(np.concatenate([genomes, space.sample(rng, count)]))
    return genomes[:count]


def _distinct(genomes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return each genome once, in order of first occurrence."""
    return genomes[np.sort(np.unique(genomes, axis=0, return_index=True)[1])]
