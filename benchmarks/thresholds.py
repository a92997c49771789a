"""Measure scoring of selection schemes, threshold fronts, and the generalisation gap of thresholds.

Exit profiles are synthetic. Each sample has a difficulty; each of four exits and the last observes it with
less noise than the exit before, and its confidence grows with the distance from the decision boundary. The
exits' accuracies are 0.75, 0.83, 0.88, 0.92, and 0.95 at the last. Seconds are CPU time of one thread.

1. Schemes scored per second with 5,000 samples and 4 exits, and the same by a loop over schemes.
2. Fronts over all 16 sets of exits: seconds and exactness, compared with a dynamic programme.
3. Additional cost of inexact fronts over an exact or much wider search, at each of its accuracies; the same
   for an unrefined grid of quantiles.
4. Thresholds set on n samples, as for results and as in a front, measured on 20,000 others. Accuracies are
   corrected by the difference of the last exit, so that neither part is easier.

    python benchmarks/thresholds.py                     # two minutes
    python benchmarks/thresholds.py --run FOLDER        # part 4 also on a finished run's exit profiles
"""

import argparse
import itertools
import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from dynamic_programming import threshold_front_dp
from generalization_gap import ThresholdGap, threshold_gap
from scheme_scores import score_schemes

from edanas.core.archive import Archive
from edanas.core.costs import Costs
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.continuous import set_thresholds
from edanas.thresholds.fronts import ThresholdFront, threshold_front
from edanas.thresholds.profiles import outcome
from edanas.thresholds.schemes import exit_costs, restrict_profile

COSTS = Costs(stages=(100, 150, 200, 250, 300), heads=(7, 5, 11, 3), last=20)
WIDE = 10**9
T = TypeVar("T")


def synthetic(samples: int, seed: int, exits: int = 4) -> ExitProfile:
    """Return a synthetic exit profile of `exits` exits and the last one."""
    rng = np.random.default_rng(seed)
    evidence = np.linspace(1.0, 2.5, exits + 1) - 1.2 * rng.normal(size=(samples, 1))
    evidence = evidence + rng.normal(size=(samples, exits + 1))
    confidence = np.tanh(np.abs(evidence + 0.5 * rng.normal(size=evidence.shape)))
    return ExitProfile(tuple(range(exits)), confidence.astype(np.float32), evidence > 0)


def timed(function: Callable[[], T]) -> tuple[float, T]:
    """Return CPU seconds and the result of a call."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def quantiles(profile: ExitProfile, count: int) -> list[Any]:
    """Return thresholds for each exit, with equal numbers of samples between them."""
    shares = np.linspace(0, 1, count)
    return [np.quantile(each, shares).astype(np.float32) for each in profile.confidence[:, :-1].T]


def schemes(seed: int) -> None:
    """Print schemes scored per second, at once and in a loop."""
    profile = synthetic(5000, seed)
    leaving = exit_costs(COSTS, profile.points)
    for count in (6, 10, 18, 24):
        grids = quantiles(profile, count)
        seconds = min(timed(lambda g=grids: score_schemes(profile, leaving, g))[0] for _ in range(5))
        print(f"  {count**4:7,} schemes, 5,000 x 4: {seconds:.4f} s, {count**4 / seconds:,.0f} schemes/s")
    some = [SelectionScheme(tuple(map(float, each))) for each in itertools.product(*quantiles(profile, 4))]
    seconds, _ = timed(lambda: [outcome(profile, scheme) for scheme in some])
    print(f"  {len(some):7,} schemes one by one: {seconds:.4f} s, {len(some) / seconds:,.0f} schemes/s")


def fronts(seeds: Sequence[int]) -> None:
    """Print the seconds of fronts by size."""
    for samples in (90, 180, 270, 500, 900, 1000, 2000, 5000):
        runs = [timed(lambda s=s, n=samples: threshold_front(synthetic(n, s), COSTS, 4)) for s in seeds]
        seconds, exact = [s for s, _ in runs], sum(front.exact for _, front in runs)
        print(f"  {samples:5,} x 4: {spread(seconds)} s, {exact} of {len(seeds)} exact")
    for samples, exits in ((50, 4), (100, 3), (270, 2)):
        costs = Costs(COSTS.stages[: exits + 1], COSTS.heads[:exits], COSTS.last)
        profile = synthetic(samples, seeds[0], exits)
        own, front = timed(lambda p=profile, c=costs, e=exits: threshold_front(p, c, e))
        other, same = timed(lambda p=profile, c=costs, e=exits: threshold_front_dp(p, c, e))
        equal = np.allclose(front.cost, same.cost) and np.allclose(front.accuracy, same.accuracy)
        print(f"  {samples:5,} x {exits}: {own:.3f} s; dynamic programme {other:.3f} s, equal: {equal}")


def dearer(cost: Any, accuracy: Any, reference: ThresholdFront) -> float:
    """Return the mean relative cost above the reference at each of its accuracies."""
    cheapest = [cost[accuracy >= each - 1e-9].min(initial=np.inf) for each in reference.accuracy]
    reached = np.isfinite(cheapest)
    return float(np.mean(np.array(cheapest)[reached] / reference.cost[reached])) - 1


def grid_only(profile: ExitProfile, count: int) -> tuple[Any, Any]:
    """Return cost and accuracy of all schemes on a grid of quantiles, over all sets of exits."""
    cost, accuracy = [], []
    for size in range(len(profile.points) + 1):
        for points in itertools.combinations(profile.points, size):
            subset = restrict_profile(profile, points)
            right, macs = score_schemes(subset, exit_costs(COSTS, points), quantiles(subset, count))
            cost.append(macs.ravel())
            accuracy.append(right.ravel())
    return np.concatenate(cost), np.concatenate(accuracy)


def losses(seeds: Sequence[int]) -> None:
    """Print the loss of a narrow beam, and of a grid alone."""
    for samples, beam in ((270, WIDE), (500, WIDE), (1000, 50_000), (5000, 2000)):
        lost, grid, exact = [], [], 0
        for seed in seeds:
            profile = synthetic(samples, seed)
            best = threshold_front(profile, COSTS, 4, beam=beam, limit=10**6)
            exact += best.exact
            front = threshold_front(profile, COSTS, 4, limit=10**6)
            lost.append(100 * dearer(front.cost, front.accuracy, best))
            grid.append(100 * dearer(*grid_only(profile, 12), best))
        reference = f"{exact} of {len(seeds)} references exact" if exact else f"reference: a beam of {beam:,}"
        print(f"  {samples:5,} x 4: +{spread(lost)}% MACs; 12 quantiles alone +{spread(grid)}% ({reference})")


def gaps(seeds: Sequence[int]) -> None:
    """Print the generalisation gap of thresholds on synthetic profiles."""
    others = synthetic(20_000, 10**6)
    for samples in (90, 180, 270, 540, 900, 2700):
        print(f"  set on {samples:5,}: {gap_lines([(synthetic(samples, s), others) for s in seeds], COSTS)}")


def run_gaps(folder: Path, seeds: Sequence[int]) -> None:
    """Print the gap on halves of a finished run's exit profiles, with equal costs for all stages."""
    with Archive(folder, read_only=True) as archive:
        ids = [e.candidate.id for _, e in archive.replay() if e.ok]
        archived = [profile for each in ids if (profile := archive.get_profile(each)) is not None]
    profiles = [profile for profile in archived if profile.points]
    if not profiles:
        print(f"  {folder}: no exit profiles")
        return
    points = max(profile.points[-1] for profile in profiles) + 1
    costs = Costs((100,) * (points + 1), (2,) * points, 2)
    rng, halves = np.random.default_rng(seeds[0]), []
    for profile in profiles[:: max(1, len(profiles) // 20)][:20]:
        order = rng.permutation(len(profile))
        parts = order[: len(order) // 2], order[len(order) // 2 :]
        halves.append(
            [ExitProfile(profile.points, profile.confidence[at], profile.correct[at]) for at in parts]
        )
    print(f"  {folder.name}, {len(halves)} backbones, set on {len(halves[0][0])}: {gap_lines(halves, costs)}")


def gap_lines(pairs: Sequence[Sequence[ExitProfile]], costs: Costs) -> str:
    """Return the mean change of accuracy and cost as text, for thresholds set in three ways."""
    points = len(costs.heads)
    ways: dict[str, Callable[[ExitProfile], ThresholdFront | SelectionScheme]] = {
        "with caution": lambda p: set_thresholds(p, costs, p.points, points, 0.01),
        "without": lambda p: set_thresholds(p, costs, p.points, points, 0.01, caution=0),
        "front": lambda p: threshold_front(p, costs, points, limit=50),
    }
    lines = []
    for name, way in ways.items():
        each: list[ThresholdGap] = [threshold_gap(way(here), here, others, costs) for here, others in pairs]
        accuracy = -100 * np.mean([gap.overfitting for gap in each])
        cost = 100 * np.mean([gap.cost_added for gap in each])
        lines.append(f"{name} {accuracy:+.2f} points, {cost:+.1f}% MACs")
    return "; ".join(lines)


def spread(values: Sequence[float]) -> str:
    """Return median and range as text."""
    return f"{np.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    """Print the machine, then each part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument(
        "--repeats", type=int, default=5, help="seeds in parts 2 and 3; part 4 takes twice as many"
    )
    parser.add_argument("--run", type=Path, nargs="*", default=[], help="folders of finished runs")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("edanas", "numpy"))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}; Python {platform.python_version()}, {versions}")
    seeds = range(options.seed, options.seed + options.repeats)
    print(f"seeds {seeds[0]} to {seeds[-1]}\n1. schemes")
    schemes(options.seed)
    print("2. fronts")
    fronts(seeds)
    print("3. losses")
    losses(seeds)
    print("4. gaps")
    gaps(range(options.seed, options.seed + 2 * options.repeats))
    for folder in options.run:
        run_gaps(folder, seeds)


if __name__ == "__main__":
    main()
