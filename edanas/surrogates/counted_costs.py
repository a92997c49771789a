"""Counted costs for every surrogate model: only the part of a value that an evaluation decides is learnt."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import ExitInsight, SurrogateModel
from edanas.core.counted_values import depends_on_accuracy
from edanas.surrogates.arrays import Array, Indices, training_set

FEWEST = 4
"""Smallest number of candidates with exits on which shares are learnt; with fewer, the mean is predicted."""


class CountedCosts(SurrogateModel):
    """A surrogate model of genes and values around which costs are counted.

    Let `late` be the value of a candidate if no sample exits early, and `early` the value if all samples exit
    at the first placed exit; both follow from the structure. If the objective is a cost, the wrapped model
    learns the share (late - value) / (late - early). The value of a network without exits is then exact. If
    the objective depends on the accuracy, the wrapped model learns the value minus `late`.

    Without an insight, the wrapped model learns the value itself.

    Args:
        model: The wrapped model.

    Example:
        >>> from edanas.surrogates.rbf import RBF
        >>> from edanas.testing.toy_search import toy_space
        >>> space = toy_space()
        >>> genomes = space.sample(np.random.default_rng(0), 8)
        >>> model = CountedCosts(RBF())
        >>> model.inform(ExitInsight(space, {}, lambda candidate, outcome: float(candidate.scheme.exits)))
        >>> exits = np.array([float(space.decode(row).scheme.exits) for row in genomes])
        >>> bool((model.fit(genomes, exits).predict(genomes) == exits).all())
        True
    """

    def __init__(self, model: SurrogateModel) -> None:
        self.model = model
        self._insight: ExitInsight | None = None

    def inform(self, insight: ExitInsight) -> None:
        """See `SurrogateModel.inform`; the profiles are not read."""
        self._insight = insight

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`."""
        X, y = training_set(genomes, values)
        self._prepare(X)
        targets, known = self._targets(X, y)
        self._mean = float(targets[known].mean()) if known.any() else 0.0
        self._learns = not self._counts or int(known.sum()) >= FEWEST
        if self._learns:
            self.model.fit(X[known], targets[known])
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`."""
        X = np.asarray(genomes, dtype=np.float64)
        if not self._counts:
            return self.model.predict(X)
        late, scale = self._late_and_scale(X)
        shares, known = np.full(len(X), self._mean), scale != 0
        if self._learns and known.any():
            shares[known] = self.model.predict(X[known])
        return np.asarray(late - scale * shares)

    def cross_validate(self, genomes: Array, values: Array, folds: Sequence[Indices]) -> Array:
        """See `SurrogateModel.cross_validate`."""
        X, y = training_set(genomes, values)
        self._prepare(X)
        if not self._counts:
            return self.model.cross_validate(X, y, folds)
        targets, known = self._targets(X, y)
        inside = [(np.cumsum(known) - 1)[fold[known[fold]]] for fold in folds]
        shares = np.zeros(len(y))
        if known.sum() - max(map(len, inside)) >= FEWEST:
            folds_of_known = [fold for fold in inside if len(fold)]
            shares[known] = self.model.cross_validate(X[known], targets[known], folds_of_known)
        else:
            for fold in folds:
                rest = np.setdiff1d(np.flatnonzero(known), fold)
                shares[fold] = targets[rest].mean() if len(rest) else 0.0
        late, scale = self._late_and_scale(X)
        return np.asarray(late - scale * shares)

    def _prepare(self, X: Array) -> None:
        """Decide whether costs are counted, and whether the objective is a cost alone."""
        self._counts = self._is_cost = False
        insight = self._insight
        if insight is None or X.shape[1] != insight.space.dimensions:
            return
        first = insight.space.decode(np.rint(X[0]).astype(np.int64))
        self._is_cost = not depends_on_accuracy(insight.value, first)
        late = insight.bounds(X)[:, 0]
        self._counts = bool(np.isfinite(late).all()) and (self._is_cost or bool(np.ptp(late) > 0))

    def _targets(self, X: Array, y: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Return the values for the wrapped model, (n,), and a mask of the candidates that have one, (n,)."""
        if not self._counts:
            return y, np.ones(len(y), dtype=np.bool_)
        late, scale = self._late_and_scale(X)
        known = scale != 0
        return (late - y) / np.where(known, scale, np.inf), known

    def _late_and_scale(self, X: Array) -> tuple[Array, Array]:
        """Return the values without early exits, (n,), and the unit of the learnt value, (n,)."""
        assert self._insight is not None  # noqa: S101 - costs are counted only with an insight
        late, early = self._insight.bounds(X).T
        return late, late - early if self._is_cost else np.ones(len(X))
