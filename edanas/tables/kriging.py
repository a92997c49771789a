"""Gaussian-process regression as a linear smoother: for a new backbone, one weight for each known one.

Weights do not depend on what is predicted, so a quantity that is only known when it is asked for, such as how
many samples leave where under some selection scheme, is predicted by a product of two small arrays.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from edanas.core.space import Genomes, SearchSpace

Floats = npt.NDArray[np.float64]

_CONSTANT = 10.0
"""Prior variance of the mean, against 1 of the deviations."""

_SCALES = (0.5, 1.0, 2.0)
_NOISES = (1e-3, 1e-1)
_JUDGED_ON = 150
"""Known rows on which scale and noise are chosen: the cost of that grows with their cube."""


def features(space: SearchSpace, genomes: Genomes) -> Floats:
    """(n, D) numbers from -1/2 to 1/2: the logarithm of each expressed choice, 0 where nothing is expressed.

    Costs are products of powers of most choices, hence logarithms; choices that are not all positive count by
    their position.
    """
    columns = []
    expressed = space.expressed(genomes)
    for at, variable in enumerate(space.variables):
        choices = np.array(variable.choices, dtype=np.float64)
        values = np.log(choices) if (choices > 0).all() else np.arange(len(choices), dtype=np.float64)
        low, high = values.min(), values.max()
        scaled = (values - low) / (high - low) - 0.5 if high > low else np.zeros_like(values)
        columns.append(np.where(expressed[:, at], scaled[genomes[:, at]], 0.0))
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Smoother:
    """Kriging with a constant, a linear and a squared-exponential covariance (Rasmussen and Williams, 2006).

    A variable counts as much as a linear model of the examples says that it matters; the scale of the
    distances and the noise are those with the least leave-one-out error (their equation 5.12) of a few.

    Args:
        known: (n, D) features of the known rows, each times its variable's relevance.
        relevance: (D,).
        scale: The distance over which deviations from linearity fade.
        noise: Variance of what the features do not tell, against 1 of the deviations.
    """

    known: Floats
    relevance: Floats
    scale: float
    noise: float

    @classmethod
    def fit(cls, rows: Floats, examples: Floats) -> Self:
        """From (n, D) features and (n, T) quantities of the kind that is to be predicted."""
        deviation = examples.std(axis=0)
        varying = examples[:, deviation > 1e-12 * (1 + np.abs(examples).max(axis=0))]
        if not varying.shape[1]:
            return cls(rows * 0, np.zeros(rows.shape[1]), 1.0, 1.0)
        targets = (varying - varying.mean(axis=0)) / varying.std(axis=0)
        centred = rows - rows.mean(axis=0)
        ridge = centred.T @ centred + 1e-3 * len(rows) * np.eye(rows.shape[1])
        relevance = np.sqrt(np.mean(np.linalg.solve(ridge, centred.T @ targets) ** 2, axis=1))
        few = np.unique(np.linspace(0, len(rows) - 1, _JUDGED_ON).astype(np.int64))
        trials = [
            cls(rows[few] * relevance, relevance, scale, noise) for scale in _SCALES for noise in _NOISES
        ]
        best = min(trials, key=lambda trial: trial.left_out(targets[few]))
        return cls(rows * relevance, relevance, best.scale, best.noise)

    def left_out(self, targets: Floats) -> float:
        """Mean squared error where each of (n, T) targets is predicted from the others."""
        inverse = np.linalg.inv(self._noisy())
        return float(np.mean((inverse @ targets / np.diag(inverse)[:, None]) ** 2))

    def weights(self, rows: Floats) -> Floats:
        """(m, n): for each row of features (m, D), how much each known row counts."""
        found: Floats = cho_solve(self._factor, self._covariance(self.known, rows * self.relevance)).T
        return found

    @cached_property
    def _factor(self) -> tuple[Floats, bool]:
        found: tuple[Floats, bool] = cho_factor(self._noisy())
        return found

    def _noisy(self) -> Floats:
        return self._covariance(self.known, self.known) + self.noise * np.eye(len(self.known))

    def _covariance(self, one: Floats, other: Floats) -> Floats:
        inner = one @ other.T
        squared = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * inner
        found: Floats = _CONSTANT + inner + np.exp(-0.5 * np.maximum(squared, 0.0) / self.scale**2)
        return found
