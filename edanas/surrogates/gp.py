"""A Gaussian process: Kriging with an isotropic Gaussian correlation and a linear trend."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky
from scipy.linalg.lapack import dtrtri
from scipy.optimize import minimize_scalar

from edanas.core.contracts import SurrogateModel
from edanas.surrogates.arrays import (
    Array,
    Indices,
    Standardiser,
    at_least,
    newest_and_spread,
    squared_distances,
    training_set,
)

SMALLEST, LARGEST = -5.0, 2.0
"""Bounds of theta's decimal logarithm."""

MOST, MOST_FOR_THETA = 2000, 500
"""Most samples that a fit uses, and most that theta is chosen by; time grows with their third power."""


class GP(SurrogateModel):
    """Kriging: y(x) = b + x's + z(x), z with correlation exp(-theta |x - x'|^2), all standardised.

    The slopes s of the trend have a Gaussian prior and are integrated out: with s2 the variance of z, the
    covariance is s2 (R + slope_variance X X' + nugget I). This stays well posed with fewer samples than
    genes, and turns into universal Kriging as `slope_variance` grows. b and s2 have closed forms; theta
    maximises the likelihood in [1e-5, 100]: each power of ten, then a bounded search around the best.

    A cross-validation needs one factorisation a theta: likelihoods without a fold and predictions of it have
    closed forms (Dubrule 1983). Each fold takes the likeliest of fifteen thetas, half a power of ten apart,
    by the other folds alone. Above 2,000 samples the newest 1,000 are used and 1,000 spread evenly over the
    rest: of 4,000 random candidates that costs 0.04 of tau (0.858 for 0.894 on the accuracy of
    `benchmarks/surrogates.py`). Above 500, a subset of 500 made in the same way says where to look for theta,
    at no measurable cost.

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
        raw, y = _used(genomes, values)
        self._inputs, self._outputs = Standardiser.of(raw), Standardiser.of(y)
        self._X, z = self._inputs(raw), self._outputs(y)
        judges = newest_and_spread(len(z), MOST_FOR_THETA)
        prior = self._prior(self._X[judges])
        coarse = min(np.arange(SMALLEST, LARGEST + 0.5), key=lambda exponent: prior.loss(exponent, z[judges]))
        exponent = _search(prior, z[judges], coarse, 1.0, 6)
        if len(judges) < len(z):
            prior = self._prior(self._X)
            exponent = _search(prior, z, exponent, 0.5, 4)
        self.theta = float(10.0**exponent)
        solution = prior.solved(self.theta, z)
        self._mean, self._weights = solution.mean, solution.weights
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`: the posterior mean."""
        X = self._inputs(np.asarray(genomes, dtype=np.float64))
        return self._outputs.back(self._mean + self._covariance(X, self._X, self.theta) @ self._weights)

    def cross_validate(self, genomes: Array, values: Array, folds: Sequence[Indices]) -> Array:
        """See `SurrogateModel.cross_validate`; genomes, but no values, are scaled all together."""
        raw, y = training_set(genomes, values)
        kept = newest_and_spread(len(y), MOST)
        X, outputs = Standardiser.of(raw[kept])(raw), Standardiser.of(y[kept])
        z, prior = outputs(y), self._prior(X[kept])
        inside = [np.flatnonzero(np.isin(kept, fold)) for fold in folds]
        shortlists = self._shortlists(X[kept], z[kept], inside)
        lowest, held_out = np.full(len(folds), math.inf), np.full(len(y), math.nan)
        for theta in np.unique(shortlists):
            solution = prior.solved(theta, z[kept])
            root = solution.root()
            for fold in map(int, np.flatnonzero((shortlists == theta).any(axis=1))):
                at, others = inside[fold], np.setdiff1d(folds[fold], kept)
                errors, loss = solution.without(root, at)
                if loss >= lowest[fold]:
                    continue
                lowest[fold] = loss
                held_out[kept[at]] = z[kept[at]] - errors
                if len(others):
                    # Targets that the fold's model meets already leave its weights as they are.
                    targets = z[kept]
                    targets[at] -= errors
                    own = solution.with_targets(targets)
                    covariance = self._covariance(X[others], X[kept], theta)
                    held_out[others] = own.mean + covariance @ own.weights
        return outputs.back(held_out)

    def _shortlists(self, X: Array, z: Array, folds: Sequence[Indices]) -> Array:
        """(F, 1) the likeliest theta of a grid without each fold, or (F, 3) with its neighbours.

        Neighbours where not all samples had a say in it: more samples may speak for another theta.
        """
        judges = newest_and_spread(len(z), MOST_FOR_THETA)
        prior = self._prior(X[judges])
        inside = [np.flatnonzero(np.isin(judges, fold)) for fold in folds]
        grid = 10.0 ** np.arange(SMALLEST, LARGEST + 0.25, 0.5)
        losses = np.full((len(grid), len(folds)), math.inf)
        for row, theta in enumerate(grid):
            try:
                solution = prior.solved(theta, z[judges])
            except np.linalg.LinAlgError:
                continue
            root = solution.root()
            losses[row] = [solution.without(root, fold)[1] for fold in inside]
        steps = [0] if len(judges) == len(z) else [-1, 0, 1]
        return np.asarray(grid[np.clip(losses.argmin(axis=0)[:, None] + steps, 0, len(grid) - 1)])

    def _prior(self, X: Array) -> "_Prior":
        fixed = self.slope_variance * (X @ X.T)
        fixed[np.diag_indices_from(fixed)] += self.nugget
        return _Prior(squared_distances(X, X), fixed)

    def _covariance(self, one: Array, other: Array, theta: float) -> Array:
        return _Prior(squared_distances(one, other), self.slope_variance * (one @ other.T)).covariance(theta)


def _used(genomes: Array, values: Array) -> tuple[Array, Array]:
    X, y = training_set(genomes, values)
    kept = newest_and_spread(len(y), MOST)
    return X[kept], y[kept]


def _search(prior: "_Prior", z: Array, start: float, reach: float, steps: int) -> float:
    """The likeliest exponent of theta that a bounded search meets within `reach` of `start`, or `start`."""
    bounds = (max(start - reach, SMALLEST), min(start + reach, LARGEST))
    found = minimize_scalar(
        prior.loss, args=(z,), bounds=bounds, method="bounded", options={"maxiter": steps}
    )
    return float(found.x if found.fun < prior.loss(start, z) else start)


@dataclass(frozen=True)
class _Prior:
    """What the covariance of samples consists of.

    Args:
        squares: (a, b) squared distances.
        fixed: (a, b) what does not depend on theta.
    """

    squares: Array
    fixed: Array

    def covariance(self, theta: float) -> Array:
        """(a, b), over s2."""
        covariance = self.squares * -theta
        np.exp(covariance, out=covariance)
        covariance += self.fixed
        return covariance

    def loss(self, exponent: float, z: Array) -> float:
        """-2 log likelihood (shifted) of theta = 10^exponent for targets z; infinite where it has none."""
        try:
            return self.solved(10.0**exponent, z).loss
        except np.linalg.LinAlgError:
            return math.inf

    def solved(self, theta: float, z: Array) -> "_Solution":
        """The likelihood and the weights for targets z; LinAlgError where rounding spoils the covariance."""
        factor = cho_factor(self.covariance(theta).T, lower=True, overwrite_a=True, check_finite=False)[0]
        return _Solution(factor, cho_solve((factor, True), np.ones_like(z), check_finite=False), z)


class _Solution:
    """For one theta and targets z (n,): with C the covariance, u = C^-1 1 and P = C^-1 - u u' / (1'u).

    P turns targets into `weights` and takes the mean b = z'u / (1'u) out on the way; `loss` is -2 log
    likelihood, shifted.

    Args:
        factor: (n, n) lower Cholesky factor of C.
        ones: (n,) u.
        z: (n,) targets.
    """

    def __init__(self, factor: Array, ones: Array, z: Array) -> None:
        self._factor, self._ones = factor, ones
        self.mean = float(z @ ones / ones.sum())
        self.weights = np.asarray(cho_solve((factor, True), z - self.mean, check_finite=False))
        self._square = float((z - self.mean) @ self.weights)
        self._logarithm = 2.0 * float(np.log(np.diag(factor)).sum())
        self.loss = _loss(len(z), self._square, self._logarithm)

    def with_targets(self, z: Array) -> "_Solution":
        """The same for other targets."""
        return _Solution(self._factor, self._ones, z)

    def root(self) -> Array:
        """V, (n, n), with V'V = C^-1."""
        return np.asarray(dtrtri(np.tril(self._factor), lower=1)[0])

    def without(self, root: Array, fold: Indices) -> tuple[Array, float]:
        """(f,) errors at a left-out fold, z minus prediction: P_FF^-1 w_F; and the loss of the others alone.

        The inverse of a covariance that lost rows and columns follows from blocks of the whole's: the
        determinant grows by that of (C^-1)_FF, and the square z'P z loses w_F'P_FF^-1 w_F.
        """
        block, ones = root[:, fold].T @ root[:, fold], self._ones[fold]
        logarithm = 2.0 * float(np.log(np.diag(cholesky(block, check_finite=False))).sum())
        inner = cho_factor(block - np.outer(ones, ones / self._ones.sum()), check_finite=False)
        errors = cho_solve(inner, self.weights[fold], check_finite=False)
        square = self._square - float(self.weights[fold] @ errors)
        return errors, _loss(len(self.weights) - len(fold), square, self._logarithm + logarithm)


def _loss(count: int, square: float, logarithm: float) -> float:
    variance = max(square / count, float(np.finfo(float).tiny))
    return count * math.log(variance) + logarithm
