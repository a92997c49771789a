"""The choice of the backbones that a table holds."""

import numpy as np
import numpy.typing as npt

from edanas.core.space import SearchSpace

_DENSE = 4
"""A space with at most this many times the requested number of backbones is listed before the draw."""


def choose_backbones(space: SearchSpace, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return distinct genomes of backbones: n rows of D genes, (n, D).

    If the space has at most `count` backbones, the result holds all of them in lexicographic order. Otherwise
    the smallest and the largest backbone come first, then random backbones. In a space with more than
    4 * `count` backbones, every expressed gene (a gene that affects the backbone) is uniform over its
    choices. There, a larger `count` with the same seed adds rows and keeps the earlier rows.

    Args:
        space: The space of backbones, without thresholds.
        count: Largest number of genomes, 1 or more.
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
    genomes = _distinct(ends)
    while len(genomes) < count:
        genomes = _distinct(np.concatenate([genomes, space.sample(rng, count)]))
    return genomes[:count]


def _distinct(genomes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return each genome once, in order of first occurrence."""
    return genomes[np.sort(np.unique(genomes, axis=0, return_index=True)[1])]
