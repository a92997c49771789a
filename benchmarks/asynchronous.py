"""Compare the asynchronous search with the search by iterations, on a simulated clock.

Both searches of a seed use the default strategy with radial basis functions, and evaluate as many candidates
by a formula. An evaluation takes 1 to `--spread` seconds, drawn from the id of its candidate.

    python benchmarks/asynchronous.py                      # 8 workers, 10 seeds
    python benchmarks/asynchronous.py --workers 32 --batch 32
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edanas.core.archive import Archive
from edanas.core.asynchronous import AsynchronousEngine
from edanas.core.engine import Engine, SearchSetup
from edanas.core.progress import Silent
from edanas.core.settings import SearchSettings
from edanas.strategies.surrogate_nsga2 import SurrogateNsga2
from edanas.surrogates.rbf import RBF
from edanas.testing.simulated_workers import SimulatedWorkers
from edanas.testing.toy_search import ToyAccuracy, ToyCost, ToyEvaluator, toy_problem, toy_space


def outcome(options: argparse.Namespace, seed: int, *, asynchronous: bool) -> tuple[float, float, float]:
    """Return the busy share of the workers, the simulated seconds, and the last hypervolume."""

    def seconds(candidate: Any) -> float:
        return 1 + (options.spread - 1) * (int(candidate.id, 16) % 10_000) / 10_000

    space, strategy = toy_space(layers=6, exit_points=4), SurrogateNsga2()
    problem = toy_problem(space, seed, options.initial)
    strategy.start(replace(problem, surrogate=lambda _: RBF()))
    executor = SimulatedWorkers(options.workers, seconds, asynchronous=asynchronous)
    iterations = (options.evaluations - options.initial) // options.batch
    length = SearchSettings(initial=options.initial, iterations=iterations, per_iteration=options.batch)
    with tempfile.TemporaryDirectory() as folder, Archive(Path(folder)) as archive:
        setup = SearchSetup(space, strategy, ToyEvaluator(), executor, (ToyAccuracy(), ToyCost()), length)
        engine = (AsynchronousEngine if asynchronous else Engine)(
            setup, archive, lambda *_, **__: None, Silent()
        )
        volume = engine.run().hypervolumes[-1]
    return executor.busy(), executor.now, volume


def interval(values: list[float]) -> str:
    """Return the mean and a 95% interval of it by 10,000 bootstrap samples."""
    rng, array = np.random.default_rng(0), np.array(values)
    means = rng.choice(array, (10_000, len(array))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{array.mean():.4f} [{low:.4f}, {high:.4f}]"


def main() -> None:
    """Print busy shares, durations and hypervolumes, and the difference of hypervolumes by seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--evaluations", type=int, default=128)
    parser.add_argument("--initial", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--spread", type=float, default=3.0, help="longest evaluation over the shortest")
    options = parser.parse_args()
    results = {
        asynchronous: [outcome(options, seed, asynchronous=asynchronous) for seed in range(options.seeds)]
        for asynchronous in (False, True)
    }
    for asynchronous, rows in results.items():
        busy, seconds, volume = (list(column) for column in zip(*rows, strict=True))
        name = "asynchronous" if asynchronous else "by iterations"
        print(f"{name:14} busy {interval(busy)}  seconds {interval(seconds)}  hypervolume {interval(volume)}")
    gains = [b[2] - a[2] for a, b in zip(results[False], results[True], strict=True)]
    print(f"hypervolume, asynchronous minus by iterations: {interval(gains)}")


if __name__ == "__main__":
    main()
