"""Measure the guarantee of the threshold setter `risk` in simulated calibrations, and what it costs.

Profiles are synthetic, as in `benchmarks/tuning.py`. Each calibration is a draw of n samples from 20,000, so
that the true loss of a scheme is known. A limit is broken if the true accuracy drop against the last exit
exceeds it. `careless` chooses the cheapest scheme of the same order whose drop on the samples is within the
limit. After the drift, one in ten predictions of the early exits is wrong at an unchanged confidence.

    python benchmarks/risk.py               # some 5 minutes of CPU time
    python benchmarks/risk.py --draws 50    # quicker, and less precise
"""

import argparse

import numpy as np
from tuning import costs_of, drawn, mean_macs

from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.profiles import exit_columns
from edanas.thresholds.risk_control import Order, Risk, accuracy_losses, safe_scheme, threshold_order

EXITS = 4


def drop(scheme: SelectionScheme, profile: ExitProfile) -> float:
    """Return the accuracy of the last exit minus that of the scheme."""
    losses = accuracy_losses(profile)
    return float(losses[np.arange(len(profile)), exit_columns(profile, scheme)].mean())


def careless(profile: ExitProfile, limit: float, order: Order) -> SelectionScheme:
    """Return the cheapest scheme of an order whose drop on the samples is within the limit."""
    schemes = threshold_order(profile, EXITS, order)
    return next((each for each in reversed(schemes) if drop(each, profile) <= limit), schemes[0])


def measure(samples: int, limit: float, order: Order, draws: int, seed: int) -> None:
    """Print one line: shares of broken limits, and the mean cost relative to the last exit."""
    rng, costs = np.random.default_rng(seed), costs_of(EXITS)
    population = drawn(20_000, EXITS, rng)
    wrong = (rng.random(population.correct.shape) < 0.1) & (np.arange(EXITS + 1) < EXITS)
    drifted = ExitProfile(population.points, population.confidence, population.correct & ~wrong)
    full = mean_macs(population, SelectionScheme((1.0,) * EXITS), costs)
    broken, careless_broken, drift_broken, chosen, spent = 0, 0, 0, 0, []
    for _ in range(draws):
        rows = rng.integers(0, len(population), samples)
        part = ExitProfile(population.points, population.confidence[rows], population.correct[rows])
        careless_broken += drop(careless(part, limit, order), population) > limit
        safe = safe_scheme(part, accuracy_losses(part), EXITS, Risk(limit, 0.95, order=order))
        if safe.scheme is None:
            spent.append(1.0)
            continue
        chosen += 1
        broken += drop(safe.scheme, population) > limit
        drift_broken += drop(safe.scheme, drifted) > limit
        spent.append(mean_macs(population, safe.scheme, costs) / full)
    shares = {
        "chosen": chosen,
        "broken": broken,
        "careless": careless_broken,
        "broken after a drift": drift_broken,
    }
    text = ", ".join(f"{name} {count / draws:.1%}" for name, count in shares.items())
    print(f"{order} n={samples} limit {limit:.0%}: {text}, cost {np.mean(spent):.3f}", flush=True)


def main() -> None:
    """Measure each order, number of samples and limit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for samples, limit in ((500, 0.05), (1000, 0.02), (4000, 0.01), (4000, 0.02)):
        for order in ("bins", "shared"):
            measure(samples, limit, order, options.draws, options.seed)


if __name__ == "__main__":
    main()
