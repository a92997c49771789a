"""Adaptive switching: several surrogate models compete on held-out candidates, the best is kept."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy.linalg  # noqa: F401 - loads the BLAS that the thread limit must find
import torch
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from edanas.core.contracts import ExitInsight, SurrogateModel
from edanas.core.errors import EdanasError
from edanas.surrogates.arrays import Array, at_least, training_set

MANY = 300
"""Samples from which on five folds are the most."""


def kendall_tau(predicted: Array, actual: Array) -> float:
    """Kendall's tau-b in [-1, 1]; 0 where it is undefined (fewer than two samples, or one side constant)."""
    from scipy.stats import kendalltau

    if len(actual) < 2 or np.ptp(predicted) == 0 or np.ptp(actual) == 0:
        return 0.0
    return float(np.nan_to_num(kendalltau(predicted, actual).statistic))


class AdaptiveSwitching(SurrogateModel):
    """The model with the largest mean minus standard deviation, over folds, of Kendall's tau.

    After `fit`: `chosen`, the winner's name; `tau`, its Kendall's tau over all held-out predictions;
    `scores`, by name; `failures`, why a model was passed over, by name. The winner is fitted again on
    everything. Ties go to the model that was named first. Fewer than four samples allow no cross-validation:
    all scores are then 0.

    The models are judged at the same time, each in a thread of its own, and no model uses more than one:
    the matrices are small, several threads cost more than they give as soon as the cores have other work, and
    the result does not depend on their number. The limits found are put back. A third party's model must
    therefore not share state with others.

    Args:
        models: Factories by name, each called with a seed.
        seed: Decides the folds and is handed to every model.
        folds: Most folds of the cross-validation; a small archive makes fewer, see `split_folds`.

    Raises:
        ConfigError: No model, or fewer than two folds.
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
        """See `SurrogateModel.inform`: every model is told."""
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
        """See `SurrogateModel.predict`: the winner's."""
        with _thread_pools().limit(limits=1):
            return self._model.predict(genomes)

    def _compete(self, X: Array, y: Array) -> None:
        folds = split_folds(len(y), self.folds, self.seed, self._backbones(X))
        self.scores: dict[str, float] = {}
        self.failures: dict[str, str] = {}
        taus: dict[str, float] = {}
        workers = min(len(self.models), os.cpu_count() or 1)
        # torch settles a thread's own limit when first used there, and would lift ours if that came later.
        with ThreadPoolExecutor(workers, "surrogate", initializer=torch.get_num_threads) as pool:
            verdicts = pool.map(lambda name: self._held_out(name, X, y, folds), self.models)
            for name, verdict in zip(self.models, verdicts, strict=True):
                if isinstance(verdict, Exception):
                    self.failures[name] = f"{type(verdict).__name__}: {verdict}"
                    continue
                by_fold = [kendall_tau(verdict[fold], y[fold]) for fold in folds] or [0.0]
                self.scores[name] = float(np.mean(by_fold) - np.std(by_fold))
                taus[name] = kendall_tau(verdict, y) if folds else 0.0
        self.chosen, self._model = self._refit(X, y)
        self.tau = taus[self.chosen]

    def _held_out(
        self, name: str, X: Array, y: Array, folds: list[npt.NDArray[np.int64]]
    ) -> Array | Exception:
        """(n,) predictions of held-out candidates, or why there are none."""
        if not folds:
            return np.zeros(len(y))
        try:
            with _thread_pools().limit(limits=1):
                held_out = self._made(name).cross_validate(X, y, folds)
            if not np.isfinite(held_out).all():
                raise ValueError("predictions are not finite")
        except Exception as error:  # a third party's model may raise anything; the others go on
            return error
        return held_out

    def _made(self, name: str) -> SurrogateModel:
        model = self.models[name](self.seed)
        if self._insight is not None:
            model.inform(self._insight)
        return model

    def _backbones(self, X: Array) -> npt.NDArray[np.int64] | None:
        """(n,) The same number for the same backbone, once exit profiles are known."""
        if self._insight is None:
            return None
        genes = X[:, : self._insight.space.backbone_dimensions]
        return np.asarray(np.unique(genes, axis=0, return_inverse=True)[1].reshape(-1))

    def _refit(self, X: Array, y: Array) -> tuple[str, SurrogateModel]:
        """The best model that can be fitted on everything."""
        for name in sorted(self.scores, key=lambda name: -self.scores[name]):
            try:
                return name, self._made(name).fit(X, y)
            except Exception as error:  # as in `fit`
                self.failures[name] = f"{type(error).__name__}: {error}"
                del self.scores[name]
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self.failures.items())
        raise EdanasError(f"No surrogate model could be fitted to {len(y)} candidates. {reasons}")


@cache
def _thread_pools() -> ThreadpoolController:
    """The thread pools of torch, numpy and scipy; looking for them takes a while, limiting them does not."""
    return ThreadpoolController()


def split_folds(
    count: int, folds: int, seed: int, groups: npt.NDArray[np.int64] | None = None
) -> list[npt.NDArray[np.int64]]:
    """Disjoint random parts of 0..count-1, equal to within one; none if count < 4.

    Tau on a handful of samples is mostly noise, and its spread over folds then decides the choice: so about
    ten samples a fold, but at least three folds where there are two samples for each, and two otherwise.
    From 300 samples on five folds are the most: each holds sixty or more, and ten cost twice as much.

    Args:
        count: How many samples.
        folds: The most parts.
        seed: Decides who is where.
        groups: (count,) Samples with the same number stay together, and parts are about equal. A model that
            is given exit profiles knows a backbone that it has seen under any scheme: what has to be judged
            is what models say of backbones that they have not seen. Left out: every sample is on its own, as
            it also is where the groups do not make two parts.
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
    """At most `parts` parts of whole groups, in random order; a group is where its middle comes to lie."""
    order = rng.permutation(int(groups.max()) + 1)
    sizes = np.bincount(groups)[order]
    middle = np.cumsum(sizes) - sizes / 2
    part_of = np.empty(len(order), dtype=np.int64)
    part_of[order] = np.minimum(parts * middle / len(groups), parts - 1).astype(np.int64)
    found = [np.flatnonzero(part_of[groups] == part) for part in range(parts)]
    return [part for part in found if len(part)]
