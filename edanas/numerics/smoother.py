"""Gaussian-process regression as a linear smoother: weights of known samples, for any quantity.

The weights of the known samples for a new one do not depend on the predicted quantity. A quantity that is
defined only at the time of the prediction, such as the utilization of a new scheme, costs one matrix product.
"""

from typing import Self

import numpy as np

from edanas.numerics.gaussian_process import Array, GaussianProcess, Grid


class Smoother:
    """Weights of the known samples for new samples, for any predicted quantity.

    Args:
        process: Over features that are multiplied by `scale`.
        scale: (L,) the relevance of each feature.
        unknown_mean: Whether the quantities have an unknown mean: weights then sum to 1. Otherwise the
            kernel's constant term represents it.

    Example:
        >>> import numpy as np
        >>> from edanas.numerics.gaussian_process import Pairs
        >>> def kernel(one, other):
        ...     return Pairs((one - other.T) ** 2, np.zeros((len(one), len(other))))
        >>> known = np.array([[0.0], [2.0]])
        >>> process = GaussianProcess(kernel, known, theta=1.0, noise=0.0)
        >>> Smoother(process, np.ones(1), unknown_mean=True).weights(np.array([[1.0]]))
        array([[0.5, 0.5]])
    """

    def __init__(self, process: GaussianProcess, scale: Array, *, unknown_mean: bool) -> None:
        self.process, self.scale = process, scale
        self._mean_weights: Array | None = None
        if unknown_mean:
            ones = process.factor.solve(np.ones(len(process.known)))
            self._mean_weights = ones / ones.sum()

    @classmethod
    def fit(cls, rows: Array, scale: Array, targets: Array, grid: Grid, *, unknown_mean: bool) -> Self:
        """Choose the process's parameters from a grid, by (n, T) targets of samples with features (n, L)."""
        return cls(GaussianProcess.fit(rows * scale, targets, grid), scale, unknown_mean=unknown_mean)

    def weights(self, rows: Array) -> Array:
        """Return the weight of each known sample for each row of features (m, L), (m, n)."""
        weights = self.process.weights(rows * self.scale)
        if self._mean_weights is None:
            return weights
        return np.asarray(weights + np.outer(1.0 - weights.sum(axis=1), self._mean_weights))
