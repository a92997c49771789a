"""A Gaussian process: Kriging with an isotropic Gaussian correlation and a linear trend."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist

from edanas.core.contracts import SurrogateModel
from edanas.surrogates.arrays import Array, Standardiser, at_least, training_set

SMALLEST_THETA, LARGEST_THETA = 1e-5, 100.0


class GP(SurrogateModel):
    """Kriging: y(x) = b + x's + z(x), z with correlation exp(-theta |x - x'|^2), all standardised.

    The slopes s of the trend have a Gaussian prior and are integrated out: with s2 the variance of z, the
    covariance is s2 (R + slope_variance X X' + nugget I). This stays well posed with fewer samples than
    genes, and turns into universal Kriging as `slope_variance` grows. b and s2 have closed forms; theta
    maximises the likelihood in [1e-5, 100]: each power of ten, then a bounded search around the best.

    Args:
        seed: Unused, the model draws nothing.
        slope_variance: Prior variance of each slope, as a multiple of s2.
        nugget: Added to the correlation's diagonal; keeps duplicates solvable.
    """

    def __init__(self, seed: int = 0, slope_variance: float = 0.1, nugget: float = 1e-6) -> None:
        at_least("gp", "slope_variance", slope_variance, 0.0)
        at_least("gp", "nugget", nugget, 1e-10)
        self.seed = seed
        self.slope_variance = slope_variance
        self.nugget = nugget

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`; afterwards `theta` holds the correlation's parameter."""
        raw, y = training_set(genomes, values)
        self._inputs, self._outputs = Standardiser.of(raw), Standardiser.of(y)
        self._X, z = self._inputs(raw), self._outputs(y)
        distances: Array = cdist(self._X, self._X, "sqeuclidean")
        fixed = self.slope_variance * (self._X @ self._X.T)
        fixed[np.diag_indices_from(fixed)] += self.nugget

        def solved(exponent: float) -> "_Solution":
            return _solve(np.exp(-(10.0**exponent) * distances) + fixed, z)

        low, high = math.log10(SMALLEST_THETA), math.log10(LARGEST_THETA)
        tried = {exponent: solved(exponent) for exponent in np.arange(low, high + 0.5)}
        best = min(tried, key=lambda exponent: tried[exponent].loss)
        inside = (max(best - 1.0, low), min(best + 1.0, high))
        found = minimize_scalar(
            lambda exponent: solved(exponent).loss, bounds=inside, method="bounded", options={"maxiter": 6}
        )
        if found.fun < tried[best].loss:
            best, tried[found.x] = found.x, solved(found.x)
        self.theta = float(10.0**best)
        self._mean, self._weights = tried[best].mean, tried[best].weights
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`: the posterior mean."""
        X = self._inputs(np.asarray(genomes, dtype=np.float64))
        correlation = np.exp(-self.theta * cdist(X, self._X, "sqeuclidean"))
        covariance = correlation + self.slope_variance * (X @ self._X.T)
        return self._outputs.back(self._mean + covariance @ self._weights)


@dataclass(frozen=True)
class _Solution:
    """For one theta: -2 log likelihood (shifted), the mean b, and the inverse covariance times (z - b)."""

    loss: float
    mean: float
    weights: Array


def _solve(covariance: Array, z: Array) -> _Solution:
    try:
        factor = cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return _Solution(math.inf, 0.0, np.zeros_like(z))
    ones, weights = cho_solve(factor, np.column_stack([np.ones_like(z), z]), check_finite=False).T
    mean = float(weights.sum() / ones.sum())
    weights = weights - mean * ones
    variance = max(float((z - mean) @ weights) / len(z), np.finfo(float).tiny)
    return _Solution(
        len(z) * math.log(variance) + 2.0 * float(np.log(np.diag(factor[0])).sum()), mean, weights
    )
