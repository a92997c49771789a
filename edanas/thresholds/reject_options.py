"""The threshold setter `eero`: a fixed average budget, kept by exits with a reject option."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Calibration, ThresholdChoice, ThresholdSetter
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import SelectionScheme
from edanas.thresholds.budgets import unreachable_budget_message
from edanas.thresholds.schemes import exit_costs, restrict_profile, separating_thresholds
from edanas.thresholds.setters import parse_setting_budget

Floats = npt.NDArray[np.float64]

_STEPS = 100
"""Number of bisection steps for the multiplier of the budget."""


class Eero(ThresholdSetter):
    """Thresholds that keep an average budget, after EERO: early exits with a reject option.

    The shares of the samples that the exits classify are aggregated with exponential weights, from the
    error rate and the cost of each exit; see `exponential_shares`. An exit rejects a sample, which then goes
    on, if its confidence is below a quantile of the confidences of all calibration samples. The quantile is
    such that at most the shares of the later exits go on, so that the mean cost is at most the budget.

    Source: Valade, Hebiri and Gay, "EERO: Early exit with reject option for efficient classification with
    limited budget", UAI 2025. There two data sets serve for the error rates and for the quantiles; here the
    calibration part serves for both. Ties are not broken at random: samples with equal confidences exit
    together, which costs less.

    Args:
        max_macs: Most executed multiply-adds per sample on average: a number, or a text such as `5M`.
        beta: Weight of the distance to the prior shares; above 0, by default the 0.04 of the source's
            experiments. A prior share is inversely proportional to the cost of its exit.

    Raises:
        ConfigError: `max_macs` is missing or cannot be read, or an option is out of range.
    """

    def __init__(self, max_macs: str | float | None = None, beta: float = 0.04) -> None:
        if max_macs is None:
            raise ConfigError(
                "final_thresholds: found 'eero' without max_macs; allowed: 'eero' with a budget, such as "
                "max_macs = '5M'"
            )
        if not 0 < beta < float("inf"):
            raise ConfigError(f"final_thresholds.beta: found {beta:g}; allowed: a number > 0")
        self.budget, self.beta = parse_setting_budget(max_macs), beta
        self.max_macs = self.budget.limit

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        placed = calibration.scheme.placed
        costs = exit_costs(calibration.costs, placed)
        if message := unreachable_budget_message(self.budget, costs, placed):
            raise CandidateError(message)
        profile = restrict_profile(calibration.profile, placed)
        errors = 1.0 - profile.correct.mean(axis=0)
        shares = exponential_shares(errors, costs, self.budget.limit, self.beta)
        at_least = np.minimum(shares.cumsum() + shares / np.sqrt(len(profile)), 1.0)
        thresholds = dict(
            zip(placed, map(_classifying, profile.confidence[:, :-1].T, at_least[:-1]), strict=True)
        )
        return ThresholdChoice(
            SelectionScheme(tuple(thresholds.get(at) for at in range(len(calibration.scheme.thresholds))))
        )


def exponential_shares(errors: Floats, costs: Floats, budget: float, beta: float) -> Floats:
    """Return the shares (E,) of the samples that E exits classify, which cost at most `budget` on average.

    They minimise the mean error rate plus `beta` times the Kullback-Leibler divergence from the prior, which
    is proportional to 1 / cost (Eq. 6 and 7 of the source). The solution has the form
    prior * exp(-(error + mu * cost) / beta), normalised, with the smallest mu >= 0 that keeps the budget.

    Args:
        errors: (E,) error rate of each exit.
        costs: (E,) cost of a sample that exits at each exit; rising.
        budget: Largest mean cost; at least the cost of the first exit.
        beta: Weight of the divergence; above 0.

    Example:
        >>> shares = exponential_shares(np.array([0.3, 0.1]), np.array([1.0, 3.0]), 2.0, beta=0.04)
        >>> shares.round(3).tolist()
        [0.5, 0.5]
    """
    relative = costs / costs[-1]

    def shares(multiplier: float) -> Floats:
        logits = -np.log(costs) - (errors + multiplier * relative) / beta
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum())

    if shares(0.0) @ costs <= budget:
        return shares(0.0)
    low, high = 0.0, 1.0
    while shares(high) @ costs > budget and high < 1e12:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if shares(middle) @ costs > budget else (low, middle)
    return shares(high)


def _classifying(confidence: npt.NDArray[np.float32], share: float) -> float:
    """Return the highest threshold that at least a given share of the samples reaches."""
    thresholds = separating_thresholds(confidence)
    reached = (confidence[:, None] >= thresholds).mean(axis=0)
    return float(thresholds[np.flatnonzero(reached >= share - 1e-12)[-1]])


@hookimpl
def edanas_threshold_setters() -> dict[str, Callable[..., ThresholdSetter]]:
    """Register the setter by name."""
    return {"eero": Eero}
