"""Importance of each gene for each objective, by permutation on a surrogate of the evaluated candidates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.space import Genomes, SearchSpace
from edanas.surrogates.adaptive import kendall_tau, split_folds
from edanas.surrogates.arrays import newest_and_spread
from edanas.surrogates.one_hot_gp import OneHotGP

Array = npt.NDArray[np.float64]

FEWEST = 16
"""Smallest number of evaluated candidates; with fewer, no importance is computed."""

MOST = 300
"""Largest number of candidates whose genes are permuted."""

REPEATS = 5
"""Number of permutations of each gene."""


def gene_importance(
    space: SearchSpace, genomes: Genomes, values: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    """Return the importance of the genes, one dictionary for each objective; empty for few candidates.

    A surrogate, `one-hot-gp`, is fitted to the values of an objective. The importance of a gene is the
    decrease in the surrogate's R2 when the gene's choices are permuted among the candidates: 0 = without
    effect (Breiman, Random Forests, 2001). The effects of genes that act together count for each of them, so
    the importances need not sum to 1.

    Args:
        space: The search space.
        genomes: Canonical genomes of n evaluated candidates, (n, D).
        values: Values of the candidates, n numbers, by the name of the objective.

    Returns:
        Dictionaries with `objective`; `tau`, Kendall's tau of the surrogate in a cross-validation, -1 to 1;
        and `genes`, the importance by the name of a variable with more than one choice, the largest first.

    Example:
        >>> from edanas.testing.toy_search import toy_space
        >>> space = toy_space()
        >>> genomes = space.sample(np.random.default_rng(0), 40)
        >>> (of,) = gene_importance(space, genomes, {"first gene": genomes[:, 0].tolist()})
        >>> next(iter(of["genes"])) == space.variables[0].name
        True
    """
    if len(genomes) < FEWEST:
        return []
    X = genomes.astype(np.float64)
    return [
        {"objective": name, **_of_one(space, X, np.asarray(numbers, dtype=np.float64))}
        for name, numbers in values.items()
    ]


class _Canonical:
    """A fitted surrogate whose predictions ignore unexpressed genes; it has the interface of scikit-learn."""

    def __init__(self, space: SearchSpace, X: Array, y: Array) -> None:
        self._space, self._model = space, OneHotGP().fit(X, y)

    def fit(self, _X: Array, _y: Array) -> None:
        """Do nothing: the model is fitted already."""

    def predict(self, X: Array) -> Array:
        """Return the predictions (n,) for genomes (n, D)."""
        return self._model.predict(self._space.canonical(np.rint(X).astype(np.int64)).astype(np.float64))


def _of_one(space: SearchSpace, X: Array, y: Array) -> dict[str, Any]:
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import r2_score

    def score(model: _Canonical, rows: Array, truth: Array) -> float:
        return float(r2_score(truth, model.predict(rows)))

    folds = split_folds(len(y), 5, seed=0)
    tau = kendall_tau(OneHotGP().cross_validate(X, y, folds), y)
    few = newest_and_spread(len(y), MOST)
    model = _Canonical(space, X, y)
    drops = permutation_importance(
        model, X[few], model.predict(X[few]), scoring=score, n_repeats=REPEATS, random_state=0
    ).importances_mean
    free = np.flatnonzero(space.counts > 1)
    order = free[np.argsort(-drops[free], kind="stable")]
    genes = {space.variables[at].name: round(max(float(drops[at]), 0.0), 4) for at in order}
    return {"tau": round(tau, 2), "genes": genes}
