"""Adaptive switching: the best of several surrogate models on held-out candidates."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy.linalg  # noqa: F401 - loads the BLAS before its threads are limited
import torch
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from edanas.core.contracts import ExitInsight, SurrogateModel
from edanas.core.errors import EdanasError
from edanas.surrogates.arrays import Array, at_least, training_set

MANY = 300
"""From this number of samples on, at most five folds are used."""


def kendall_tau(predicted: Array, actual: Array) -> float:
    """Return Kendall's tau-b in [-1, 1]; 0 for fewer than two samples or a constant side.

    Example:
        >>> kendall_tau(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])).__round__(2)
        0.33
    """
    from scipy.stats import kendalltau

    if len(actual) < 2 or np.ptp(predicted) == 0 or np.ptp(actual) == 0:
        return 0.0
    return float(np.nan_to_num(kendalltau(predicted, actual).statistic))


class AdaptiveSwitching(SurrogateModel):
    """The model with the largest mean minus standard deviation, over folds, of Kendall's tau.

    After `fit`, `chosen` is the winner's name and `tau` its Kendall's tau over all held-out predictions.
    `scores` and `failures` hold the scores, and the errors of failed models, by name. The winner is fitted
    again on all samples. Of equal scores, the first model wins. With fewer than four samples there is no
    cross-validation, and all scores are 0.

    The models are judged in parallel, each in a separate thread. A model uses no more than one
    thread: the matrices are small, and the result must not depend on the number of threads. The earlier
    limits are restored afterwards. A third party's model must not share state with others.

    Args:
        models: Factories by name, each called with a seed.
        seed: Determines the folds and is passed to every model.
        folds: Most folds of the cross-validation; a small archive gives fewer, see `split_folds`.

    Raises:
        ConfigError: `models` is empty, or `folds` is below 2.

    Example:
        >>> from edanas.surrogates.gp import GP
        >>> from edanas.surrogates.rbf import RBF
        >>> genomes = np.arange(20.0)[:, None]
        >>> model = AdaptiveSwitching({"rbf": RBF, "gp": GP}).fit(genomes, genomes[:, 0] ** 2)
        >>> model.chosen, model.tau
        ('rbf', 1.0)
    """

    def __init__(
        self, models: Mapping[str, Callable[[int], SurrogateModel]], seed: int = 0, folds: int = 10
    ) -> None:
        at_least("adaptive switching", "number of models", len(models), 1)
        at_least("adaptive switching", "folds", folds, 2)
        self.models = dict(models)
        self.seed = seed
        self.folds = folds
        self._insight: ExitInsight | None = None

    def inform(self, insight: ExitInsight) -> None:
        """See `SurrogateModel.inform`: the insight is passed to every model."""
        self._insight = insight

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`.

        Raises:
            EdanasError: No model could be fitted.
        """
        X, y = training_set(genomes, values)
        with _thread_pools().limit(limits=1):
            self._compete(X, y)
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`: the winner's predictions."""
        with _thread_pools().limit(limits=1):
            return self._model.predict(genomes)

    def _compete(self, X: Array, y: Array) -> None:
        folds = split_folds(len(y), self.folds, self.seed, self._backbones(X))
        self.scores: dict[str, float] = {}
        self.failures: dict[str, str] = {}
        taus: dict[str, float] = {}
        workers = min(len(self.models), os.cpu_count() or 1)
        # On first use in a thread, torch sets that thread's limit; later, this would override the limit here.
        with ThreadPoolExecutor(workers, "surrogate", initializer=torch.get_num_threads) as pool:
            results = pool.map(lambda name: self._held_out(name, X, y, folds), self.models)
            for name, result in zip(self.models, results, strict=True):
                if isinstance(result, Exception):
                    self.failures[name] = f"{type(result).__name__}: {result}"
                    continue
                by_fold = [kendall_tau(result[fold], y[fold]) for fold in folds] or [0.0]
                self.scores[name] = float(np.mean(by_fold) - np.std(by_fold))
                taus[name] = kendall_tau(result, y) if folds else 0.0
        self.chosen, self._model = self._refit(X, y)
        self.tau = taus[self.chosen]

    def _held_out(
        self, name: str, X: Array, y: Array, folds: list[npt.NDArray[np.int64]]
    ) -> Array | Exception:
        """Return the predictions of held-out candidates, (n,), or the error that a model raised."""
        if not folds:
            return np.zeros(len(y))
        try:
            with _thread_pools().limit(limits=1):
                held_out = self._create(name).cross_validate(X, y, folds)
            if not np.isfinite(held_out).all():
                raise ValueError("predictions are not finite")
        except Exception as error:  # a third party's model may raise anything; the other models go on
            return error
        return held_out

    def _create(self, name: str) -> SurrogateModel:
        model = self.models[name](self.seed)
        if self._insight is not None:
            model.inform(self._insight)
        return model

    def _backbones(self, X: Array) -> npt.NDArray[np.int64] | None:
        """Return the index of each sample's backbone, (n,); `None` without exit profiles."""
        if self._insight is None:
            return None
        genes = X[:, : self._insight.space.backbone_dimensions]
        return np.asarray(np.unique(genes, axis=0, return_inverse=True)[1].reshape(-1))

    def _refit(self, X: Array, y: Array) -> tuple[str, SurrogateModel]:
        """Return the best model whose fit on all samples succeeds, with its name."""
        for name in sorted(self.scores, key=lambda name: -self.scores[name]):
            try:
                return name, self._create(name).fit(X, y)
            except Exception as error:  # as in `fit`
                self.failures[name] = f"{type(error).__name__}: {error}"
                del self.scores[name]
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self.failures.items())
        raise EdanasError(f"No surrogate model could be fitted to {len(y)} candidates. {reasons}")


@cache
def _thread_pools() -> ThreadpoolController:
    """Return the thread pools of torch, numpy and scipy; cached, since the look-up is slow."""
    return ThreadpoolController()


def split_folds(
    count: int, folds: int, seed: int, groups: npt.NDArray[np.int64] | None = None
) -> list[npt.NDArray[np.int64]]:
    """Return disjoint random parts of 0..count-1, equal to within one; none if count < 4.

    Tau on a handful of samples is mostly noise, whose spread over folds would decide the choice. So a fold
    has about ten samples; there are at least three folds with two samples each, or else two. From 300 samples
    on, there are at most five folds: each holds sixty or more, and ten would cost twice as much.

    Args:
        count: Number of samples.
        folds: Most parts.
        seed: Determines the assignment.
        groups: (count,) samples with the same number stay in one part, and parts are about equal. A model
            with exit profiles knows a training backbone under any scheme, so held-out backbones must be new
            to it. `None` = every sample is a group of its own, as also if the groups do not form two parts.

    Example:
        >>> [len(part) for part in split_folds(20, folds=10, seed=0)]
        [7, 7, 6]
    """
    most = min(folds, 5) if count >= MANY else folds
    parts = min(most, max(3, count // 10), count // 2)
    if parts < 2:
        return []
    rng = np.random.default_rng(seed)
    if groups is not None:
        together = _grouped(groups, parts, rng)
        if len(together) >= 2:
            return together
    order = rng.permutation(count)
    return [np.sort(part) for part in np.array_split(order, parts)]


def _grouped(
    groups: npt.NDArray[np.int64], parts: int, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Return at most `parts` parts of whole groups, in random order; a group's middle determines its part."""
    order = rng.permutation(int(groups.max()) + 1)
    sizes = np.bincount(groups)[order]
    middle = np.cumsum(sizes) - sizes / 2
    part_of = np.empty(len(order), dtype=np.int64)
    part_of[order] = np.minimum(parts * middle / len(groups), parts - 1).astype(np.int64)
    positions = [np.flatnonzero(part_of[groups] == part) for part in range(parts)]
    return [part for part in positions if len(part)]
