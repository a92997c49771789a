"""Compare surrogates of exit profiles with surrogates of genes and values: Kendall's tau and regret.

Candidates and their exact metrics come from the exhaustive table of digits backbones
(`edanas.tables.digits`). An archive holds random candidates, as the initial archive of a search does.
Test candidates are random ones of the whole space ("all"), and ones near the front ("near": the least
dominated of 4,000 random ones), none of them in the archive. For the regret, the model selects the best 8
of 1,000 candidates by its predictions; regret is the difference between the best of them and the best of
all, in percent of the candidates' range.

    python benchmarks/exit_surrogates.py TABLE              # builds TABLE if it is missing
    python benchmarks/exit_surrogates.py TABLE --archives 340 --repeats 3 --models gp exit-profiles
"""

import argparse
import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from edanas.core.contracts import ExitInsight
from edanas.core.settings import Settings
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Metrics, Outcome
from edanas.surrogates.adaptive import AdaptiveSwitching, kendall_tau
from edanas.surrogates.builtin import edanas_surrogate_models
from edanas.tables import Table
from edanas.tables.digits import digits_table
from edanas.tables.evaluation import TableEvaluation

Array = npt.NDArray[np.float64]
THRESHOLDS = (0.3, 0.6, 0.8, 0.95, None)
OBJECTIVES = ("accuracy", "ADA_MACS", "executed MACs")
ASKED, DRAWN, PICKED = 1000, 4000, 8
SWITCH = "switching"
POOL = Settings().surrogates
"""Models for adaptive switching: the defaults of a search."""


def minimised(metrics: Metrics) -> tuple[float, float, float]:
    """Return the minimised values of the objectives."""
    return -metrics.accuracy, metrics.ada_macs, metrics.executed_macs


class Bench:
    """The table under the quick preset's thresholds, with the data for surrogates."""

    def __init__(self, table: Table) -> None:
        self.evaluator = TableEvaluation(table)
        self.space: SearchSpace = table.space(THRESHOLDS)

    def values(self, genomes: npt.NDArray[np.int64]) -> Array:
        """Return the true values (n, 3) of the objectives."""
        return np.array([minimised(self.evaluator.evaluate(self.space.decode(row))) for row in genomes])

    def insight(self, genomes: npt.NDArray[np.int64], objective: int) -> ExitInsight:
        """Return the exit profiles of an archive, and one objective with its exact costs."""

        def value(candidate: Candidate, outcome: Outcome) -> float:
            return minimised(self.evaluator.judge(candidate, outcome))[objective]

        profiles = {}
        for row in genomes:
            profile = self.evaluator.profile(self.space.decode(row))
            assert profile is not None
            profiles[row.tobytes()] = profile
        return ExitInsight(self.space, profiles, value)

    def test(self, rng: np.random.Generator, archive: set[bytes]) -> Mapping[str, npt.NDArray[np.int64]]:
        """Return candidates outside the archive: random ones, and ones near the front."""
        drawn = np.unique(self.space.sample(rng, DRAWN), axis=0)
        drawn = rng.permutation(drawn[[row.tobytes() not in archive for row in drawn]])
        values = self.values(drawn)[:, :2]
        worse = (values[:, None] >= values[None]).all(axis=2) & (values[:, None] > values[None]).any(axis=2)
        near = np.argsort(worse.sum(axis=1), kind="stable")[:ASKED]
        return {"all": drawn[:ASKED], "near": drawn[near]}


def compare(bench: Bench, size: int, repeats: int, seed: int, names: list[str]) -> None:
    """Print the results for one archive size: one line for each model."""
    models = edanas_surrogate_models()
    cells: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    seconds: dict[str, list[tuple[float, float]]] = {}
    chosen: list[str] = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, size, repeat])
        archive = rng.permutation(np.unique(bench.space.sample(rng, size + 20), axis=0))[:size]
        values = bench.values(archive)
        tests = bench.test(rng, {row.tobytes() for row in archive})
        truths = {name: bench.values(rows) for name, rows in tests.items()}
        for objective, title in enumerate(OBJECTIVES):
            insight = bench.insight(archive, objective)
            for name in names:
                pool = {each: models[each] for each in POOL}
                model = AdaptiveSwitching(pool, repeat) if name == SWITCH else models[name](seed=repeat)
                start = time.process_time()
                model.inform(insight)
                model.fit(archive.astype(float), values[:, objective])
                fitted = time.process_time()
                for where, rows in tests.items():
                    predicted, truth = model.predict(rows.astype(float)), truths[where][:, objective]
                    regret = truth[np.argsort(predicted)[:PICKED]].min() - truth.min()
                    cell = cells.setdefault((name, title, where), [])
                    cell.append((kendall_tau(predicted, truth), 100 * regret / np.ptp(truth)))
                seconds_each = (time.process_time() - fitted) / sum(map(len, tests.values()))
                seconds.setdefault(name, []).append((fitted - start, 1e3 * seconds_each))
                if isinstance(model, AdaptiveSwitching):
                    chosen.append(model.chosen)
    for name in names:
        line = f"{size:>7}  {name:<13}"
        for title in OBJECTIVES:
            for where in ("all", "near"):
                taus, regrets = np.array(cells[name, title, where]).T
                line += f" | {taus.mean():.3f} ±{taus.std():.3f} {regrets.mean():5.1f}"
        fit, ask = np.mean(seconds[name], axis=0)
        print(f"{line} | {fit:6.2f} {ask:6.3f}", flush=True)
    if chosen:
        counts = ", ".join(f"{name} {chosen.count(name)}" for name in dict.fromkeys(chosen))
        print(f"         chosen by switching: {counts}")
    print()


def main() -> None:
    """Read the flags, print machine and versions, then the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument("--archives", type=int, nargs="+", default=[50, 100, 220, 340])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", nargs="+", default=[*edanas_surrogate_models(), SWITCH])
    flags = parser.parse_args()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "torch", "xgboost"))
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {libraries}")
    table = digits_table(flags.table)
    print(f"table {table.digest}: {len(table)} backbones, {table.description.parts} samples; ", end="")
    print(f"seed {flags.seed}, {flags.repeats} archives of each size, thresholds {THRESHOLDS}")
    print(
        "each cell: Kendall's tau, its standard deviation over archives, regret in %; then CPU seconds of a"
    )
    print("fit (switching: with cross-validation of its pool) and ms for a predicted genome\n")
    heads = "".join(f" | {title + ', ' + where:^20}" for title in OBJECTIVES for where in ("all", "near"))
    print(f"archive  {'model':<13}{heads} |  fit s  ms")
    with threadpool_limits(1):
        for size in flags.archives:
            compare(Bench(table), size, flags.repeats, flags.seed, flags.models)


if __name__ == "__main__":
    main()
