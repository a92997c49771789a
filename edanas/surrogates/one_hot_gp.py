"""The surrogate model `one-hot-gp`: Kriging over categories, with additive effects and interactions."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from edanas.core.contracts import SurrogateModel
from edanas.numerics.gaussian_process import (
    GaussianProcess,
    OrdinaryKriging,
    Pairs,
    ParameterGrid,
    separate_likelihoods,
)
from edanas.surrogates.arrays import Array, Indices, newest_and_spread, squared_distances, training_set
from edanas.surrogates.backbone_smoother import gene_relevance

DECAYS = (0.5, 2.0, 8.0)
"""Values to choose from for the decay of the interactions with the relevance of differing genes."""

LINEAR = (0.0, 3.0)
"""Values to choose from for the prior variance of additive effects; that of interactions is 1."""

NOISES = (1e-4, 1e-2, 1e-1)
"""Values to choose from for the variance of the noise."""

MOST, MOST_FOR_CHOICE = 1000, 150
"""Largest number of samples in a fit, and in the choice of decay, linear part and noise."""

MOST_LEVELS = 8
"""Largest number of choices of a gene that are categories; a gene with more choices is a number."""


class OneHotGP(SurrogateModel):
    """Kriging over one-hot genes: y(x) = b + x's + z(x), with genes of different relevance.

    A gene with at most eight evaluated choices has an indicator for each choice. Other genes are numbers. The
    relevance of a gene is its share of the variance in a ridge regression. Let d be the sum of the
    relevances of the genes in which two genomes differ. The covariance of the interactions z is
    exp(-decay d). The slopes s have a prior variance and are integrated out. Decay, this variance and the
    noise have the largest likelihood on a grid.

    Args:
        seed: Unused; the model is deterministic.

    Example:
        >>> genomes = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [2.0, 0.0]])
        >>> values = np.array([0.0, 1.0, 5.0, 3.0, 2.0])
        >>> OneHotGP().fit(genomes, values).predict(np.array([[1.0, 1.0]])).round()
        array([6.])
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`."""
        X, y = training_set(genomes, values)
        used = newest_and_spread(len(y), MOST)
        X, y = X[used], y[used]
        self._code = _Code.of(X)
        rows, spread = self._code(X), y.std() or 1.0
        z = (y - y.mean()) / spread
        self._scale = np.sqrt(gene_relevance(rows, self._code.owners, z[:, None]))
        grid = ParameterGrid(
            thetas=DECAYS,
            kernels=[_Kernel(linear) for linear in LINEAR],
            noises=NOISES,
            most=MOST_FOR_CHOICE,
            loss=separate_likelihoods,
        )
        self._process = GaussianProcess.fit(rows * self._scale, z[:, None], grid)
        kriging = OrdinaryKriging.of(self._process.factor, y)
        self._mean, self._weights = float(kriging.mean), kriging.weights
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`: the posterior mean."""
        rows = self._code(np.asarray(genomes, dtype=np.float64)) * self._scale
        return np.asarray(self._mean + self._process.covariance(rows) @ self._weights)


@dataclass(frozen=True)
class _Kernel:
    """The covariance of two scaled rows whose squared distance is twice the relevance of differing genes.

    Args:
        linear: Prior variance of additive effects.
    """

    linear: float

    def __call__(self, one: Array, other: Array) -> Pairs:
        return Pairs(squared_distances(one, other) / 2, self.linear * (one @ other.T))


@dataclass(frozen=True)
class _Code:
    """Features of genomes: an indicator for each choice of a category, and one column for a number.

    Args:
        levels: For each gene, its evaluated choices, (c,); for a number, mean and range, (2,).
        numeric: For each gene, true if it is a number, (D,).
        owners: Number of the gene of each of L features, (L,).
    """

    levels: tuple[Array, ...]
    numeric: tuple[bool, ...]
    owners: Indices

    @classmethod
    def of(cls, X: Array) -> "_Code":
        levels, numeric, owners = [], [], []
        for gene, column in enumerate(X.T):
            choices = np.unique(column)
            numeric.append(len(choices) > MOST_LEVELS)
            levels.append(np.array([column.mean(), np.ptp(choices)]) if numeric[-1] else choices)
            owners += [gene] * (1 if numeric[-1] else len(choices))
        return cls(tuple(levels), tuple(numeric), np.array(owners))

    def __call__(self, X: Array) -> Array:
        """Return the features (n, L) of genomes (n, D)."""
        blocks = [
            (column[:, None] - levels[0]) * np.sqrt(2.0) / levels[1]
            if is_number
            else column[:, None] == levels
            for column, levels, is_number in zip(X.T, self.levels, self.numeric, strict=True)
        ]
        return np.hstack(blocks).astype(np.float64)
