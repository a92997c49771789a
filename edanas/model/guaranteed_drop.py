"""Thresholds of a tuning whose accuracy drop against the last exit is guaranteed; see `tune`."""

from collections.abc import Callable

from edanas.core.errors import ConfigError
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.budgets import DropBudget
from edanas.thresholds.risk_control import Risk, SafeScheme, accuracy_losses, safe_scheme
from edanas.thresholds.risk_setter import unsafe_message

Adapt = Callable[[SelectionScheme, ExitProfile], SelectionScheme]


def guaranteed_scheme(
    profile: ExitProfile, exit_points: int, budget: DropBudget, adapt: Adapt
) -> tuple[SelectionScheme, str]:
    """Return the scheme that keeps a budget on the accuracy drop, and a sentence with the bound.

    Args:
        profile: Exit profile of the samples.
        exit_points: Number of exit points.
        budget: The bound and the probability of its guarantee.
        adapt: See `safe_scheme`.

    Raises:
        ConfigError: No scheme keeps the budget, or the network has no early exits.
    """
    if not profile.points:
        raise ConfigError("max_drop: the network has no early exits, so its accuracy does not drop")
    safe = _safe(profile, exit_points, budget, adapt)
    if safe.scheme is None:
        risk = Risk(budget.limit, budget.confidence)
        raise ConfigError(unsafe_message(risk, safe, len(profile)))
    remark = (
        f"On {safe.samples:,} samples, the accuracy is {100 * safe.loss:.2f}% below that of the last exit. "
        f"With {100 * budget.confidence:g}% confidence, the drop on new samples of the same kind is at most "
        f"{100 * safe.bound:.2f}%. After a drift of the samples, nothing is guaranteed."
    )
    return safe.scheme, remark


def guaranteed_or_none(
    profile: ExitProfile, exit_points: int, budget: DropBudget, adapt: Adapt
) -> SelectionScheme:
    """Return the scheme of `guaranteed_scheme`, or a scheme without exits if no scheme keeps the budget."""
    return _safe(profile, exit_points, budget, adapt).scheme or SelectionScheme((None,) * exit_points)


def _safe(profile: ExitProfile, exit_points: int, budget: DropBudget, adapt: Adapt) -> SafeScheme:
    risk = Risk(budget.limit, budget.confidence)
    return safe_scheme(profile, accuracy_losses(profile), exit_points, risk, adapt)
