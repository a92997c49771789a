"""One iteration of the default search: both surrogates by adaptive switching, NSGA-II on them, choice of 8.

The archive holds random candidates of the OFA MobileNetV3 space with the paper's thresholds (50 genes),
valued by the synthetic objectives of `surrogates.py`. Seconds are of one `ask`, everything included. The
first call of a process is shown by itself, since it loads libraries.

    python benchmarks/iteration.py             # archives of 100, 340 and 2,000
    python benchmarks/iteration.py --archives 340 --repeats 5
"""

import argparse
import os
import platform
import statistics
import time
from importlib.metadata import version

import numpy as np
import torch
from surrogates import objectives

from edanas.compose import surrogate_factory
from edanas.core.contracts import SearchProblem
from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry

PAPER_SPACE = {"resolutions": [32, 48, 64]}
POOL = ("rbf", "mlp", "cart", "gp")


def synthetic_order(space: SearchSpace) -> list[int]:
    """The space's genes in the order in which `surrogates.objectives` reads them."""
    at = {variable.name: i for i, variable in enumerate(space.variables)}
    names = []
    for stage in range(1, 6):
        names.append(f"stage{stage}.depth")
        names += [f"stage{stage}.layer{layer}.kernel" for layer in range(1, 5)]
        names += [f"stage{stage}.layer{layer}.expand" for layer in range(1, 5)]
    names += [f"exit{point}.threshold" for point in range(1, 5)]
    return [at[name] for name in (*names, "resolution")]


def seconds_of_asks(registry: Registry, size: int, repeats: int, seed: int) -> tuple[list[float], str]:
    """Wall seconds of `repeats` asks, each on an archive of its own, and what the last strategy chose."""
    provider = registry.create("supernet provider", "ofa-mbv3", PAPER_SPACE)
    space = SearchSpace(provider.variables(), (0.1, 0.2, None), provider.exit_points)
    found = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, size, repeat])
        genomes = np.unique(space.sample(rng, size), axis=0)
        accuracy, macs = objectives(genomes[:, synthetic_order(space)])
        noisy = accuracy + rng.normal(0, 0.003, len(accuracy))
        strategy = registry.create("search strategy", "surrogate-nsga2")
        factory = surrogate_factory(registry, POOL)
        strategy.start(SearchProblem(space, 2, factory, seed + repeat, size, Silent()))
        strategy.tell(genomes, np.stack([1 - noisy, macs], axis=1))
        start = time.perf_counter()
        chosen = strategy.ask(8)
        found.append(time.perf_counter() - start)
        assert len({candidate.id for candidate in chosen}) == 8
    return found, str(strategy.notes())


def main() -> None:
    """Print the machine, then a line for each archive."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archives", type=int, nargs="+", default=[100, 340, 2000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "scipy", "pymoo", "numpy"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {versions}")
    print(f"torch threads {torch.get_num_threads()}, seed {options.seed}, {options.repeats} archives each")
    registry = Registry(load_plugins())
    first, _ = seconds_of_asks(registry, 60, 1, options.seed)
    print(f"first call in the process, archive of 60: {first[0]:.2f} s")
    for size in options.archives:
        seconds, notes = seconds_of_asks(registry, size, options.repeats, options.seed)
        middle = statistics.median(seconds)
        print(f"archive {size}: median {middle:.2f} s, {min(seconds):.2f} to {max(seconds):.2f}; {notes}")


if __name__ == "__main__":
    main()
