"""Adaptive switching: the choice of the surrogate model that is best on held-out candidates."""

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
from edanas.surrogates.arrays import Array, at_least, newest_and_spread, training_set

FEW = 128
"""Largest number of samples whose pairs are compared at once, which is faster than scipy's sorting."""

MANY = 100
"""Number of samples from which on at most five folds are used."""

MOST = 1000
"""Largest number of samples on which models compete; on more, tau hardly differs."""


def kendall_tau(predicted: Array, actual: Array) -> float:
    """Return Kendall's tau-b, in [-1, 1]; 0 for fewer than two samples, or if one array is constant.

    Args:
        predicted: Predicted values, (n,).
        actual: Measured values, (n,).

    Example:
        >>> kendall_tau(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])).__round__(2)
        0.33
    """
    if len(actual) < 2 or np.ptp(predicted) == 0 or np.ptp(actual) == 0:
        return 0.0
    if len(actual) > FEW:
        from scipy.stats import kendalltau

        return float(np.nan_to_num(kendalltau(predicted, actual).statistic))
    one, other = (np.sign(values[:, None] - values) for values in (predicted, actual))
    both, untied, others_untied = ((a * b).sum() / 2 for a, b in ((one, other), (one, one), (other, other)))
    return float(np.clip(both / np.sqrt(untied) / np.sqrt(others_untied), -1.0, 1.0))


class AdaptiveSwitching(SurrogateModel):
    """A surrogate model that chooses the best of several models by cross-validation.

    Kendall's tau of a model is computed in each fold. The score of the model is the mean of tau over the
    folds minus its standard deviation. The model with the largest score wins, or the first model if scores
    are equal. The winner is fitted again on all samples. With fewer than four samples, there is no
    cross-validation, and all scores are 0. With more than 1,000, models compete on the newest 500 and on
    500 spread among the others.

    After `fit`, the attribute `chosen` is the name of the winner. The attribute `tau` is Kendall's tau of the
    winner over all held-out predictions. The attributes `scores` and `failures` hold the scores of the models
    and the errors of failed models, by name.

    The models run in parallel, each in a separate thread that may start no further threads: the matrices are
    small, and the result must not depend on the number of threads. The earlier limits are restored
    afterwards. Models must not share state with each other.

    Args:
        models: Factories of models, by name; a factory is called with a seed.
        seed: Determines the folds and is passed to every model.
        folds: Largest number of folds of the cross-validation, 2 or more. A small archive is divided into
            fewer folds; see `split_folds`.

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

    def _compete(self, genomes: Array, values: Array) -> None:
        few = newest_and_spread(len(values), MOST)
        X, y = genomes[few], values[few]
        folds = split_folds(len(y), self.folds, self.seed, self._backbones(X))
        self.scores: dict[str, float] = {}
        self.failures: dict[str, str] = {}
        held_out: dict[str, Array] = {}
        workers = min(len(self.models), os.cpu_count() or 1)
        # Torch sets the limit of a thread on its first use there. Later, this would override the limit below.
        with ThreadPoolExecutor(workers, "surrogate", initializer=torch.get_num_threads) as pool:
            results = pool.map(lambda name: self._held_out(name, X, y, folds), self.models)
            for name, result in zip(self.models, results, strict=True):
                if isinstance(result, Exception):
                    self.failures[name] = f"{type(result).__name__}: {result}"
                    continue
                by_fold = [kendall_tau(result[fold], y[fold]) for fold in folds] or [0.0]
                self.scores[name] = float(np.mean(by_fold) - np.std(by_fold))
                held_out[name] = result
        self.chosen, self._model = self._refit(genomes, values)
        self.tau = kendall_tau(held_out[self.chosen], y) if folds else 0.0

    def _held_out(
        self, name: str, X: Array, y: Array, folds: list[npt.NDArray[np.int64]]
    ) -> Array | Exception:
        """Return the prediction for each sample while it is held out, (n,), or the error of the model."""
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
        """Return a number for each sample, (n,), equal for equal backbones; `None` without exit profiles."""
        if self._insight is None or not self._insight.profiles:
            return None
        genes = X[:, : self._insight.space.backbone_dimensions]
        return np.asarray(np.unique(genes, axis=0, return_inverse=True)[1].reshape(-1))

    def _refit(self, X: Array, y: Array) -> tuple[str, SurrogateModel]:
        """Return name and model of the best model whose fit on all samples succeeds.

        Raises:
            EdanasError: No model could be fitted.
        """
        for name in sorted(self.scores, key=lambda name: -self.scores[name]):
            try:
                return name, self._create(name).fit(X, y)
            except Exception as error:  # a third party's model may raise anything
                self.failures[name] = f"{type(error).__name__}: {error}"
                del self.scores[name]
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self.failures.items())
        raise EdanasError(f"No surrogate model could be fitted to {len(y)} candidates. {reasons}")


@cache
def _thread_pools() -> ThreadpoolController:
    """Return a controller of the threads of torch, numpy and scipy; cached, since the look-up is slow."""
    return ThreadpoolController()


def split_folds(
    count: int, folds: int, seed: int, groups: npt.NDArray[np.int64] | None = None
) -> list[npt.NDArray[np.int64]]:
    """Return the folds of a cross-validation: disjoint random parts of the positions 0..count-1.

    The sizes of the parts differ by at most one. A part holds about ten samples, because Kendall's tau on few
    samples is mostly noise. With few samples, there are three parts of two or more samples, or two parts.
    From 100 samples on, there are at most five parts, which hold twenty samples or more; ten parts would take
    twice as long. With fewer than four samples, the result is empty.

    Args:
        count: Number of samples.
        folds: Largest number of parts.
        seed: Determines the parts.
        groups: A number for each sample, (count,); samples with equal numbers stay in one part. The sizes of
            the parts then differ more. Groups are the backbones if a model learns from exit profiles: the
            profile of a backbone gives its outcome under every scheme, so held-out backbones must be new.
            With `None`, the default, or if all samples belong to one part, samples are assigned one by one.

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
    """Return at most `parts` parts of whole groups, whose sizes are about equal.

    The groups are put in random order. The position of a group's middle in this order determines its part.
    """
    order = rng.permutation(int(groups.max()) + 1)
    sizes = np.bincount(groups)[order]
    middle = np.cumsum(sizes) - sizes / 2
    part_of = np.empty(len(order), dtype=np.int64)
    part_of[order] = np.minimum(parts * middle / len(groups), parts - 1).astype(np.int64)
    positions = [np.flatnonzero(part_of[groups] == part) for part in range(parts)]
    return [part for part in positions if len(part)]
