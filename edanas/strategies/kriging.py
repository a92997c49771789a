"""Kriging of many outputs at once: one kernel over genomes, so one set of weights for all outputs."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.spatial.distance import cdist

Values = npt.NDArray[np.float64]

LENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Correlation lengths that are tried, in typical distances between genomes."""

NOISES = (1e-4, 1e-2, 1e-1)
"""Shares of the outputs' variance that are tried as noise."""

TRIED_ON = 400
"""Inputs on which length and noise are chosen: the cost of each trial grows with their cube."""

SLOPES = 1.0
"""Prior variance of all linear slopes together, as a share of the outputs' variance."""


@dataclass(frozen=True)
class _Fit:
    loss: float
    length: float
    noise: float
    factor: tuple[Values, bool]


class Kriging:
    """A Gaussian process with linear trend and an isotropic Gaussian kernel, maximum likelihood on a grid.

    Outputs are centred; each has a variance of its own, and all have one correlation (the separable model of
    Conti and O'Hagan, 2010). Where many outputs are one curve, they inform the kernel together. Of more than
    400 inputs so many, spread evenly over their order, decide on length and noise; all are then fitted once.

    Args:
        inputs: (n, D) numbers, n >= 2; columns are standardised.
        outputs: (n, T).
    """

    def __init__(self, inputs: Values, outputs: Values) -> None:
        self._centre, scale = inputs.mean(axis=0), inputs.std(axis=0)
        self._scale = np.where(scale > 1e-12, scale, np.inf)
        self._X = self._scaled(inputs)
        self._mean = outputs.mean(axis=0)
        Z = outputs - self._mean
        squares = cdist(self._X, self._X, "sqeuclidean")
        self._typical = max(float(np.median(squares[np.triu_indices(len(Z), 1)])), 1e-12)
        few = np.unique(np.linspace(0, len(Z) - 1, min(len(Z), TRIED_ON)).astype(np.int64))
        tried = squares[np.ix_(few, few)], self._X[few], Z[few]
        fits = [self._fit(*tried, *each) for each in itertools.product(LENGTHS, NOISES)]
        best = min(fits, key=lambda fit: fit.loss)
        if len(few) < len(Z):
            best = self._fit(squares, self._X, Z, best.length, best.noise)
        self._length, self._noise, self._factor = best.length, best.noise, best.factor
        self._weights = cho_solve(self._factor, Z)
        self._variance = np.maximum((Z * self._weights).mean(axis=0), 0.0)

    def predict(self, inputs: Values) -> tuple[Values, Values]:
        """(m, D) -> means (m, T) and standard deviations (m, T), without the noise."""
        X = self._scaled(inputs)
        cross = self._kernel(cdist(X, self._X, "sqeuclidean"), X @ self._X.T)
        solved = solve_triangular(self._factor[0], cross.T, lower=True)
        own = 1.0 + SLOPES * (X**2).mean(axis=1)
        left = np.maximum(own - (solved**2).sum(axis=0), 0.0)
        return self._mean + cross @ self._weights, np.sqrt(left[:, None] * self._variance)

    def _scaled(self, inputs: Values) -> Values:
        return np.asarray((inputs - self._centre) / self._scale)

    def _kernel(self, squares: Values, products: Values, length: float | None = None) -> Values:
        theta = 0.5 / ((length or self._length) ** 2 * self._typical)
        return np.asarray(np.exp(-theta * squares) + SLOPES * products / self._X.shape[1])

    def _fit(self, squares: Values, X: Values, Z: Values, length: float, noise: float) -> _Fit:
        K = self._kernel(squares, X @ X.T, length)
        K[np.diag_indices_from(K)] += noise
        factor = cho_factor(K, lower=True)
        residual = float((solve_triangular(factor[0], Z, lower=True) ** 2).mean())
        loss = np.log(max(residual, 1e-300)) + 2 * np.log(np.diag(factor[0])).mean()
        return _Fit(float(loss), length, noise, factor)
