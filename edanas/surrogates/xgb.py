"""The surrogate model `xgboost`: gradient-boosted trees."""

from typing import Any, Self

import numpy as np

from edanas.core.contracts import SurrogateModel
from edanas.surrogates.arrays import Array, Standardiser, at_least, training_set


class XGBoost(SurrogateModel):
    """Gradient-boosted regression trees, by the histogram method of XGBoost.

    One thread is used, since an archive is small.

    Args:
        seed: Determines the samples and genes that each tree uses.
        trees: Number of trees, 1 or more; each tree is one boosting round.
        depth: Largest depth of a tree, 1 or more.
        learning_rate: Factor on the prediction of each tree, 1e-6 or more.
        subsample: Share of the samples, and share of the genes, that each tree uses, 1e-6 or more. A value
            above 1 counts as 1.

    Example:
        >>> genomes = np.arange(40.0)[:, None]
        >>> model = XGBoost(trees=20).fit(genomes, genomes[:, 0])
        >>> low, high = model.predict(np.array([[2.0], [37.0]]))
        >>> bool(low < high)
        True
    """

    def __init__(
        self,
        seed: int = 0,
        trees: int = 150,
        depth: int = 3,
        learning_rate: float = 0.1,
        subsample: float = 0.7,
    ) -> None:
        at_least("xgboost", "trees", trees, 1)
        at_least("xgboost", "depth", depth, 1)
        at_least("xgboost", "learning_rate", learning_rate, 1e-6)
        at_least("xgboost", "subsample", subsample, 1e-6)
        self.seed = seed
        self.trees = trees
        self._options: dict[str, Any] = {
            "tree_method": "hist",
            "nthread": 1,
            "seed": seed,
            "max_depth": depth,
            "learning_rate": learning_rate,
            "subsample": min(subsample, 1.0),
            "colsample_bytree": min(subsample, 1.0),
            "base_score": 0.0,
            "verbosity": 0,
        }

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`."""
        import xgboost

        X, y = training_set(genomes, values)
        self._outputs = Standardiser.of(y)
        data = xgboost.QuantileDMatrix(X, self._outputs(y), nthread=1)
        # `xgboost.train` adds the calls of callbacks, half of the time on an archive.
        self._booster = xgboost.Booster(self._options, [data])
        for round_ in range(self.trees):
            self._booster.update(data, round_)
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`."""
        import xgboost

        data = xgboost.DMatrix(np.asarray(genomes, dtype=np.float64), nthread=1)
        return self._outputs.back(self._booster.predict(data).astype(np.float64))
