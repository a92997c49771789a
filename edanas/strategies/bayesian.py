"""The strategy `bayesian`: Bayesian optimisation of networks and thresholds by BoTorch."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import SearchStrategy
from edanas.core.hookspecs import hookimpl
from edanas.core.optional_packages import import_optional
from edanas.strategies.base import Remembering, check
from edanas.strategies.predictions import counted
from edanas.strategies.search_history import Genomes, Values, unseen

_SAMPLES = 128
"""Number of quasi-random samples of the acquisition function."""

_MARGIN = 0.1
"""Distance of the reference point beyond the worst values, as a share of their ranges."""


class Bayesian(Remembering):
    """Bayesian optimisation: Gaussian processes of the objectives, and the expected gain in hypervolume.

    Each objective has a Gaussian process over the genes; an objective that follows from the structure is
    counted instead. A batch is chosen greedily by the noisy expected
    hypervolume improvement; with one objective, by the noisy expected improvement. The acquisition function
    is evaluated on random candidates and on the neighbours of the front. With a cascade, the genes are those
    of several networks and of their thresholds.

    Source: Stamoulis et al., "Designing adaptive neural networks for energy-constrained image
    classification", ICCAD 2018, with BoTorch (Balandat et al., NeurIPS 2020; Daulton et al., NeurIPS 2021) as
    the optimiser. The source has one objective and a constraint on energy; see `constraints`.

    Args:
        pool: Number of random candidates among which each batch is chosen, 1 or more.
        extremes: True if the initial archive holds the smallest and the largest candidate.

    Raises:
        ConfigError: `pool` is below 1, or BoTorch is not installed.
    """

    def __init__(
        self,
        pool: int = 256,
        extremes: bool = True,  # noqa: FBT001, FBT002 - settings pass options by name
    ) -> None:
        check("pool", pool, pool >= 1, "1 or more")
        import_optional("strategy", "bayesian", "botorch", "botorch")
        self._pool, self.extremes = pool, extremes

    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Return the candidates that together have the largest expected gain, best first."""
        genomes, values = self._history.succeeded()
        if len(genomes) <= 2:
            return genomes[:0]
        pool = self._candidates(rng, self._history.front()[0])
        if len(pool) <= count:
            return pool
        return pool[self._best(pool, genomes, values, count, int(rng.integers(2**31)))]

    def _candidates(self, rng: np.random.Generator, front: Genomes) -> Genomes:
        """Return new candidates: the neighbours of the front, then random ones."""
        near = np.concatenate([self._space.neighbours(row) for row in front])
        near = self._allowed(near[unseen(near, self._history.held)])
        near = rng.permutation(near)[: self._pool]
        held = self._history.held | {row.tobytes() for row in near}
        return np.concatenate([near, self._allowed.draw(rng, self._pool, held)])

    def _best(self, pool: Genomes, genomes: Genomes, values: Values, count: int, seed: int) -> list[int]:
        """Return the indices of the chosen candidates of the pool."""
        import torch

        scale = np.maximum(self._space.counts - 1, 1)
        choices = torch.from_numpy(pool / scale)
        parts = torch.split(choices, 128)
        chosen: list[int] = []
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            counts = [self._counts(column, scale) for column in range(values.shape[1])]
            acquisition = _acquisition(genomes / scale, values, counts, seed)
            for _ in range(count):
                with torch.no_grad():
                    gains = torch.cat([acquisition(part[:, None]) for part in parts])
                gains[chosen] = -torch.inf
                chosen.append(int(gains.argmax()))
                acquisition.set_X_pending(choices[chosen])
        return chosen

    def _counts(self, column: int, scale: npt.NDArray[np.int64]) -> "Count":
        import torch

        insight = counted(self._problem, self._history, column)
        if insight is None:
            return None

        def exact(inputs: Any) -> Any:
            genomes = np.rint(inputs.numpy() * scale).astype(np.int64)
            values = insight.bounds(genomes.reshape(-1, genomes.shape[-1]))[:, 0]
            return -torch.from_numpy(values.reshape(*genomes.shape[:-1], 1))

        return exact


Count = Callable[[Any], Any] | None
"""A function from inputs (..., n, D), a tensor, to negated exact values (..., n, 1); `None` = learnt."""


def _model(X: Any, Y: Any, counts: Sequence[Count]) -> Any:
    """Return a model of all objectives: exact where there is a function, otherwise a Gaussian process."""
    modules = ("botorch.models", "botorch.models.model", "botorch.models.transforms", "botorch.fit")
    models, model, transforms, fit = (import_optional("strategy", "bayesian", "botorch", m) for m in modules)
    mlls = import_optional("strategy", "bayesian", "botorch", "gpytorch.mlls")
    parts = [
        models.SingleTaskGP(X, Y[:, [each]], outcome_transform=transforms.Standardize(m=1))
        if count is None
        else models.GenericDeterministicModel(count)
        for each, count in enumerate(counts)
    ]
    for part, count in zip(parts, counts, strict=True):
        if count is None:
            fit.fit_gpytorch_mll(mlls.ExactMarginalLogLikelihood(part.likelihood, part))
    if len(parts) == 1:
        return parts[0]
    return (model.ModelList if any(counts) else models.ModelListGP)(*parts)


def _acquisition(inputs: npt.NDArray[np.float64], values: Values, counts: Sequence[Count], seed: int) -> Any:
    """Return an acquisition function for inputs (n, D) in [0, 1] with values (n, J), minimised."""
    import torch

    X = torch.from_numpy(inputs)
    model = _model(X, -torch.from_numpy(values), counts)
    sampling = import_optional("strategy", "bayesian", "botorch", "botorch.sampling.get_sampler")
    shape = torch.Size([_SAMPLES])
    sampler = sampling.get_sampler(model.posterior(X[:1]), sample_shape=shape, seed=seed)
    if values.shape[1] == 1:
        single = import_optional("strategy", "bayesian", "botorch", "botorch.acquisition.logei")
        return single.qLogNoisyExpectedImprovement(model, X, sampler=sampler)
    several = import_optional("strategy", "bayesian", "botorch", "botorch.acquisition.multi_objective.logei")
    worst, best = values.max(axis=0), values.min(axis=0)
    reference = -(worst + _MARGIN * np.maximum(worst - best, 1e-9))
    return several.qLogNoisyExpectedHypervolumeImprovement(
        model=model,
        ref_point=reference.tolist(),
        X_baseline=X,
        prune_baseline=True,
        sampler=sampler,
        cache_root=not any(counts),
    )


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Register the strategy `bayesian`."""
    return {"bayesian": Bayesian}
