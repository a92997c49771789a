"""Time one iteration of the default search: two surrogates by adaptive switching, NSGA-II, choice of 8.

The archive holds random candidates of the OFA MobileNetV3 space with the paper's thresholds (50 genes), and
values by `surrogates.py`; or candidates of a table with their exit profiles. Each time is
that of one whole `ask`, as wall time and as CPU time of all threads; on a busy machine, CPU time is more
reliable. The lines below an archive break down the CPU time; growth is that of the whole. The first call of a
process is reported separately, since it loads libraries.

    python benchmarks/iteration.py             # archives of 100, 340 and 2,000
    python benchmarks/iteration.py --archives 340 --repeats 5

    python benchmarks/iteration.py --table digits.safetensors   # candidates of a table, with exit profiles
    python benchmarks/iteration.py --pool rbf mlp cart gp        # the default is that of the settings
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from surrogates import objectives

from edanas.core.contracts import ExitInsight, SearchProblem, SurrogateModel
from edanas.core.objective_values import minimised
from edanas.core.progress import Silent
from edanas.core.settings import Settings
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, ExitProfile, Outcome
from edanas.goals.objectives import Accuracy, AdaMacs
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.strategies import surrogate_nsga2
from edanas.strategies.genetic import Nsga2
from edanas.surrogates.adaptive import AdaptiveSwitching
from edanas.tables import Table
from edanas.tables.evaluation import TableEvaluation

Array = npt.NDArray[np.float64]
PAPER_SPACE = {"resolutions": [32, 48, 64]}
POOL = Settings().surrogates

spent: collections.Counter[str] = collections.Counter()
"""CPU seconds by part of the iteration."""


@contextlib.contextmanager
def watch(part: str) -> Iterator[None]:
    """Add this thread's CPU time in the body to `spent`."""
    start = time.thread_time()
    try:
        yield
    finally:
        spent[part] += time.thread_time() - start


class Watched(SurrogateModel):
    """A model whose cross-validation, fit and predictions are timed."""

    def __init__(self, name: str, model: SurrogateModel) -> None:
        self.name = name
        self.model = model

    def inform(self, insight: ExitInsight) -> None:
        """See `SurrogateModel.inform`."""
        self.model.inform(insight)

    def fit(self, genomes: Array, values: Array) -> Self:
        """See `SurrogateModel.fit`; called for the selected model on the whole archive."""
        with watch(f"refit {self.name}"):
            self.model.fit(genomes, values)
        return self

    def predict(self, genomes: Array) -> Array:
        """See `SurrogateModel.predict`."""
        return self.model.predict(genomes)

    def cross_validate(self, genomes: Array, values: Array, folds: Sequence[npt.NDArray[np.int64]]) -> Array:
        """See `SurrogateModel.cross_validate`."""
        with watch(f"cross-validation {self.name}"):
            return self.model.cross_validate(genomes, values, folds)


class WatchedNsga2(Nsga2):
    """NSGA-II with a timer, predictions included."""

    def run(self, *args: object, **kwargs: object) -> tuple[npt.NDArray[np.int64], Array]:
        """See `Nsga2.run`."""
        with watch("NSGA-II"):
            return super().run(*args, **kwargs)  # type: ignore[arg-type]


def watched_choice(*args: object) -> npt.NDArray[np.int64]:
    """See `subset.choose`."""
    with watch("choice"):
        return unwatched_choice(*args)  # type: ignore[arg-type]


unwatched_choice = surrogate_nsga2.choose
surrogate_nsga2.choose = watched_choice
surrogate_nsga2.Nsga2 = WatchedNsga2  # type: ignore[misc]


def switching(registry: Registry, pool: Sequence[str], seed: int) -> AdaptiveSwitching:
    """Return a search's surrogate for one objective, with timers in its models."""

    def factory(name: str) -> Callable[[int], SurrogateModel]:
        return lambda seed: Watched(name, registry.create("surrogate model", name, {"seed": seed}))

    return AdaptiveSwitching({name: factory(name) for name in pool}, seed)


def synthetic_order(space: SearchSpace) -> list[int]:
    """Return the positions of the genes in the order of `surrogates.objectives`."""
    at = {variable.name: i for i, variable in enumerate(space.variables)}
    names = []
    for stage in range(1, 6):
        names.append(f"stage{stage}.depth")
        names += [f"stage{stage}.layer{layer}.kernel" for layer in range(1, 5)]
        names += [f"stage{stage}.layer{layer}.expand" for layer in range(1, 5)]
    names += [f"exit{point}.threshold" for point in range(1, 5)]
    return [at[name] for name in (*names, "resolution")]


Archive = tuple[npt.NDArray[np.int64], Array, Sequence[ExitProfile]]
"""Genomes (n, D), minimised values (n, 2), and exit profiles or none."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A source of archives; `judge` is set if it has exit profiles."""

    space: SearchSpace
    archive: Callable[[np.random.Generator, int], Archive]
    judge: Callable[[Candidate, Outcome], Sequence[float]] | None = None

    @classmethod
    def synthetic(cls, registry: Registry) -> "Source":
        """Return the paper's space with synthetic values."""
        provider = registry.create("supernet provider", "ofa-mbv3", PAPER_SPACE)
        space = SearchSpace(provider.variables(), (0.1, 0.2, None), provider.exit_points)

        def archive(rng: np.random.Generator, size: int) -> Archive:
            genomes = np.unique(space.sample(rng, size), axis=0)
            accuracy, macs = objectives(genomes[:, synthetic_order(space)])
            noisy = accuracy + rng.normal(0, 0.003, len(accuracy))
            return genomes, np.stack([1 - noisy, macs], axis=1), ()

        return cls(space, archive)

    @classmethod
    def table(cls, path: Path) -> "Source":
        """Return a table's candidates with error and ADA_MACS."""
        table = Table.open(path)
        space, evaluation = table.space((0.3, 0.6, 0.8, 0.95, None)), TableEvaluation(table)
        named = (Accuracy(), AdaMacs())

        def archive(rng: np.random.Generator, size: int) -> Archive:
            genomes = np.unique(space.sample(rng, size), axis=0)
            candidates = [space.decode(genome) for genome in genomes]
            values = np.array([minimised(named, table.metrics(c)) for c in candidates])
            return genomes, values, [table.profile(c.backbone) for c in candidates]

        return cls(space, archive, lambda c, outcome: minimised(named, evaluation.judge(c, outcome)))


def seconds_of_asks(
    registry: Registry, source: Source, pool: Sequence[str], size: int, repeats: int, seed: int
) -> tuple[list[float], list[float], str]:
    """Return wall and CPU seconds of `repeats` asks, each on its own archive, and the last notes."""
    walls, processor = [], []
    for repeat in range(repeats):
        strategy = registry.create("search strategy", "surrogate-nsga2")
        make = functools.partial(switching, registry, pool)
        problem = SearchProblem(source.space, 2, make, seed + repeat, size, Silent(), judge=source.judge)
        strategy.start(problem)
        strategy.tell(*source.archive(np.random.default_rng([seed, size, repeat]), size))
        started, before = time.perf_counter(), time.process_time()
        chosen = strategy.ask(8)
        walls.append(time.perf_counter() - started)
        processor.append(time.process_time() - before)
        assert len({candidate.id for candidate in chosen}) == 8
    return walls, processor, str(strategy.notes())


def spread(seconds: list[float]) -> str:
    """Return median and range as text."""
    return f"{statistics.median(seconds):6.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def main() -> None:
    """Print the machine, then for each archive its seconds, their parts, and the growth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archives", type=int, nargs="+", default=[100, 340, 2000])
    parser.add_argument("--table", type=Path)
    parser.add_argument("--pool", nargs="+", default=list(POOL))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = ("torch", "scipy", "pymoo", "numpy", "xgboost")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {versions}")
    print(f"torch threads {torch.get_num_threads()}, seed {options.seed}, {options.repeats} archives each")
    registry = Registry(load_plugins())
    source = Source.table(options.table) if options.table else Source.synthetic(registry)
    (first,), _, _ = seconds_of_asks(registry, source, options.pool, 60, 1, options.seed)
    print(f"first call in the process, archive of 60: {first:.2f} s")
    last: tuple[int, float] | None = None
    for size in options.archives:
        spent.clear()
        walls, processor, notes = seconds_of_asks(
            registry, source, options.pool, size, options.repeats, options.seed
        )
        print(f"archive {size}: wall {spread(walls)}; CPU {spread(processor)}; {notes}")
        spent["the rest"] = sum(processor) - sum(spent.values())
        print(
            "    " + ", ".join(f"{part} {sum_ / options.repeats:.2f}" for part, sum_ in spent.most_common())
        )
        middle = statistics.median(processor)
        if last is not None:
            power = math.log(middle / last[1]) / math.log(size / last[0])
            print(f"    growth since {last[0]}: n^{power:.2f}, times {2**power:.2f} per doubling")
        last = size, middle


if __name__ == "__main__":
    main()
