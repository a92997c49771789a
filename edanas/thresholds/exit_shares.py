"""EENet's threshold setter: thresholds by which each exit gets its assigned share of samples."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Calibration, ThresholdChoice, ThresholdSetter
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.thresholds.budgets import unreachable_budget_message
from edanas.thresholds.quantile_thresholds import thresholds_at_odds
from edanas.thresholds.schemes import exit_costs
from edanas.thresholds.setters import parse_setting_budget

Floats = npt.NDArray[np.float64]

_STEPS = 80
"""Number of bisection steps for the tilt of the shares."""

_STEEPEST = 80.0
"""Logarithm of the ratio of two exits' shares at which the cheaper exit gets all samples."""

_SMALLEST = 1e-12
"""Smallest share, so that its logarithm is finite."""


class ExitShares(ThresholdSetter):
    """The thresholds of EENet: each exit gets the share of samples that the criterion learns for a budget.

    The criterion is fitted for the budget, with its assignment of samples to exits. From the first exit to
    the last, the share of an exit is then filled with the samples of the highest confidence that have not
    exited. If the shares cost more than the budget, they are tilted to cheaper exits: the share of an exit is
    multiplied by exp(-t c), with the cost c of the exit and the smallest t that meets the budget. The budget
    therefore holds on the calibration samples, which the published code does not guarantee.

    Source: Ilhan et al., "Adaptive deep neural network inference optimization with EENet", WACV 2024.

    Args:
        max_macs: Most executed multiply-adds per sample on average: a number, or a text such as `5M`.

    Raises:
        ConfigError: `max_macs` is missing, cannot be read or is out of range.
    """

    assigns = True

    def __init__(self, max_macs: str | float | None = None) -> None:
        if max_macs is None:
            raise ConfigError(
                "final_thresholds: found 'eenet' without max_macs; allowed: 'eenet' with a budget, such as "
                "max_macs = '5M'"
            )
        self.budget = parse_setting_budget(max_macs)
        self.max_macs = self.budget.limit

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        if calibration.assigned is None:
            raise CandidateError("the criterion assigns no samples to exits; expected one that does")
        placed = calibration.scheme.placed
        costs = exit_costs(calibration.costs, placed)
        if message := unreachable_budget_message(self.budget, costs, placed):
            raise CandidateError(message)
        budget = min(self.budget.limit, float(costs[-1]))
        profile, assigned = calibration.assigned(budget)
        shares = affordable_shares(assigned, costs, budget)
        passing = shares[::-1].cumsum()[::-1][1:]
        odds = np.log(shares[:-1].clip(_SMALLEST)) - np.log(passing.clip(_SMALLEST))
        columns = [profile.points.index(point) for point in placed]
        points = len(calibration.scheme.thresholds)
        return ThresholdChoice(thresholds_at_odds(profile.confidence[:, columns], odds, placed, points))


def affordable_shares(shares: Sequence[float], costs: Floats, budget: float) -> Floats:
    """Return shares (E,) of samples that cost at most `budget` on average, tilted as little as necessary.

    Args:
        shares: Share of samples at each of E exits; the sum is 1.
        costs: (E,) cost of a sample at each exit, rising.
        budget: Largest mean cost, at least the cost of the first exit.

    Example:
        >>> affordable_shares((0.5, 0.5), np.array([10.0, 20.0]), 12.5).round(3).tolist()
        [0.75, 0.25]
    """
    positive = np.asarray(shares, dtype=np.float64).clip(_SMALLEST)

    def tilted(slope: float) -> Floats:
        weights = positive * np.exp(-slope * (costs - costs[0]))
        return np.asarray(weights / weights.sum())

    if tilted(0.0) @ costs <= budget:
        return tilted(0.0)
    low, high = 0.0, _STEEPEST / float(np.diff(costs).min())
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if tilted(middle) @ costs <= budget else (middle, high)
    return tilted(high)


@hookimpl
def edanas_threshold_setters() -> dict[str, Callable[..., ThresholdSetter]]:
    """Register EENet's threshold setter by its name."""
    return {"eenet": ExitShares}
