"""Measure the coverage of the intervals of `edanas tune`, and the budgets of thresholds set without labels.

Profiles are synthetic, as in `benchmarks/thresholds.py`. The true figures of a scheme are those on 200,000
other samples of the same kind. All randomness derives from the seed.

1. Accuracy and executed MACs of schemes chosen on n samples: coverage and width of the 95% intervals, and
   coverage of Wilson's interval around the accuracy on the same samples.
2. Thresholds set on drifted confidences without labels: executed MACs on these and on later samples, relative
   to the budget, compared with the old thresholds; and the accuracy, for which there is no guarantee.

    python benchmarks/tuning.py                # both; some 20 minutes of CPU time
    python benchmarks/tuning.py --cases 40     # quicker, and less precise
"""

import argparse
import platform
import time
from importlib.metadata import version

import numpy as np

from edanas.core.costs import Costs, executed_per_exit
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.numerics.intervals import wilson
from edanas.thresholds.budgets import Budget, nearest_scheme
from edanas.thresholds.optimism import estimate_expectation
from edanas.thresholds.profiles import exit_columns, outcome
from edanas.thresholds.quantile_thresholds import exit_odds, thresholds_within_budget
from edanas.thresholds.sampled_front import sampled_threshold_front
from edanas.thresholds.schemes import exit_costs

COSTS = Costs(stages=(100, 150, 200, 250, 300), heads=(7, 5, 11, 3), last=20)


def costs_of(exits: int) -> Costs:
    """Return the costs of a network with this number of exits."""
    return Costs(COSTS.stages[: exits + 1], COSTS.heads[:exits], COSTS.last)


def drawn(samples: int, exits: int, rng: np.random.Generator, drift: float = 0.0) -> ExitProfile:
    """Return a synthetic exit profile; `drift` makes samples harder and confidences lower."""
    evidence = np.linspace(1.0, 2.5, exits + 1) - drift - 1.2 * rng.normal(size=(samples, 1))
    evidence = evidence + rng.normal(size=(samples, exits + 1))
    confidence = np.tanh((1 - drift / 3) * np.abs(evidence + 0.5 * rng.normal(size=evidence.shape)))
    return ExitProfile(tuple(range(exits)), confidence.astype(np.float32), evidence > 0)


def mean_macs(profile: ExitProfile, scheme: SelectionScheme, costs: Costs) -> float:
    """Return the mean executed MACs for a sample."""
    columns = np.array([*profile.points, len(scheme.thresholds)])[exit_columns(profile, scheme)]
    return float(executed_per_exit(costs, scheme)[columns].mean())


def coverage(samples: int, exits: int, budget: Budget, cases: int, seed: int) -> None:
    """Print one line: the coverage of the intervals."""
    rng, costs = np.random.default_rng(seed), costs_of(exits)
    others = drawn(200_000, exits, rng)

    def chosen(profile: ExitProfile) -> SelectionScheme:
        front = sampled_threshold_front(profile, costs, exits)
        return front.schemes[nearest_scheme(front, budget)]

    rows = []
    start = time.process_time()
    for number in range(cases):
        profile = drawn(samples, exits, rng)
        scheme = chosen(profile)
        expectation = estimate_expectation(profile, scheme, [costs], chosen, number)
        there, macs = outcome(others, scheme), mean_macs(others, scheme, costs)
        a, c = expectation.accuracy, expectation.costs[0]
        low, high = wilson(a.here, samples)
        expected = zip(expectation.shares, there.utilization, strict=True)
        shares = [each.low <= share <= each.high for each, share in expected]
        rows.append(
            [
                *(a.low <= there.accuracy <= a.high, low <= there.accuracy <= high, c.low <= macs <= c.high),
                *(np.mean(shares), a.here - there.accuracy, a.new - there.accuracy, (a.high - a.low) / 2),
            ]
        )
    held, naive, cost, share, promised, bias, half = np.mean(rows, axis=0)
    seconds = (time.process_time() - start) / cases
    print(
        f"  {samples:4} samples, {exits} exits, {budget.quantity} {budget.limit:g}: "
        f"accuracy {held:.3f} (naive {naive:.3f}), MACs {cost:.3f}, shares {share:.3f}; optimism "
        f"{100 * promised:+.2f} points, expected {100 * bias:+.2f}; half-width {100 * half:.1f}; "
        f"{seconds:.2f} s a case"
    )


def drifted(samples: int, share: float, cases: int, seed: int) -> None:
    """Print one line: the budget that thresholds hold on a drifted stream."""
    rng, costs, exits = np.random.default_rng(seed), costs_of(4), 4
    points = tuple(range(exits))
    leaving = exit_costs(costs, points)
    rows = []
    for _ in range(cases):
        calibration, stream, later = (drawn(samples, exits, rng, drift) for drift in (0, 0.8, 0.8))
        odds = exit_odds([0.3, 0.25, 0.2, 0.15, 0.1], points, samples)
        budget = leaving[0] + share * (leaving[-1] - leaving[0])
        old, new = (
            thresholds_within_budget(profile.confidence[:, :-1], odds, points, leaving, budget, exits)
            for profile in (calibration, stream)
        )
        pairs = ((old, calibration), (old, later), (new, stream), (new, later))
        macs = [mean_macs(profile, scheme, costs) / budget for scheme, profile in pairs]
        rows.append([*macs, *(outcome(profile, scheme).accuracy for scheme, profile in pairs[1::2])])
    before, after, here, further, old_accuracy, new_accuracy = np.mean(rows, axis=0)
    spread = np.std(rows, axis=0)[3]
    print(
        f"  {samples:5} samples, budget {budget:.0f}: old thresholds {before:.4f} of it before the drift, "
        f"{after:.3f} after; new {here:.4f} on the stream, {further:.4f} ± {spread:.4f} later; accuracy "
        f"after the drift {100 * old_accuracy:.1f}% old, {100 * new_accuracy:.1f}% new"
    )


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, NumPy {version('numpy')}, {platform.machine()}, "
        f"seed {options.seed}, {options.cases} cases a line"
    )
    print("1. Coverage of 95% intervals, for thresholds chosen on the same samples")
    for samples, exits in ((30, 2), (60, 2), (150, 2), (500, 2), (100, 4)):
        budgets = (Budget("max_macs", 250.0), Budget("max_macs", 400.0), Budget("min_accuracy", 0.9))
        for budget in budgets:
            coverage(samples, exits, budget, options.cases, options.seed)
    print("2. Thresholds set without labels, on a drifted stream")
    for samples in (100, 1000):
        for share in (0.2, 0.5):
            drifted(samples, share, options.cases, options.seed)


if __name__ == "__main__":
    main()
