"""Gaussian-process regression as a linear smoother: a prediction is a weighted sum of known values.

The weights of the known samples do not depend on the predicted quantity. The quantity may therefore be
defined only at the time of the prediction, e.g. the utilization of a new selection scheme. Its prediction
takes one matrix product.
"""

from typing import Self

import numpy as np

from edanas.numerics.gaussian_process import Array, GaussianProcess, ParameterGrid


class Smoother:
    """Weights of known samples in the prediction of any quantity for new samples.

    Args:
        process: A Gaussian process whose inputs are the features times `scale`.
        scale: Relevance of each of the L features, (L,).
        unknown_mean: True if the quantities have an unknown mean; the weights then sum to 1. False if the
            constant term of the kernel represents the mean.

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
    def fit(
        cls, rows: Array, scale: Array, targets: Array, grid: ParameterGrid, *, unknown_mean: bool
    ) -> Self:
        """Return a smoother whose process has the parameters of `grid` with the smallest loss.

        Args:
            rows: Features of the n known samples, (n, L).
            scale: Relevance of each feature, (L,).
            targets: T quantities of each known sample, (n, T).
            grid: The parameters to choose from, and the loss.
            unknown_mean: As for the class.
        """
        return cls(GaussianProcess.fit(rows * scale, targets, grid), scale, unknown_mean=unknown_mean)

    def weights(self, rows: Array) -> Array:
        """Return the weight of each of n known samples for each of m new samples: (m, L) -> (m, n)."""
        weights = self.process.weights(rows * self.scale)
        if self._mean_weights is None:
            return weights
        return np.asarray(weights + np.outer(1.0 - weights.sum(axis=1), self._mean_weights))
