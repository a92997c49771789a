"""Budgets on cost or accuracy: parsing of texts with units, and the scheme of a front that meets a budget."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import numpy as np
import numpy.typing as npt

from edanas.core.amounts import LETTERS, SCALES, scale_of
from edanas.core.errors import ConfigError, near_miss
from edanas.thresholds.fronts import ThresholdFront

Quantity = Literal["max_macs", "min_accuracy", "max_latency", "max_drop"]

_UNITS: Mapping[Quantity, Mapping[str, float]] = {
    "max_macs": SCALES,
    "min_accuracy": {"": 1.0, "%": 0.01},
    "max_latency": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6},
}
_EXAMPLES: Mapping[Quantity, str] = {
    "max_macs": "multiply-adds, such as 5M, 5e6 or 750k",
    "min_accuracy": "more than 0 and at most 1, such as 0.9 or 90%",
    "max_latency": "a time with its unit, such as 3ms, 250us or 0.003s",
}
_TEXT = re.compile(r"\s*([+-]?(?:\d[\d,_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\W\d_]*|%)\s*")

_ROUNDING = 1e-9
"""Relative excess over a budget that still counts as met, because sums of floats are rounded."""


@dataclass(frozen=True)
class Budget:
    """A bound on the mean cost, the accuracy or the mean latency of a network with its thresholds.

    Args:
        quantity: `max_macs`, `min_accuracy` or `max_latency`.
        limit: Value of the bound: multiply-adds per sample for `max_macs`, a fraction for `min_accuracy`,
            seconds per sample for `max_latency`.

    Example:
        >>> str(Budget("max_macs", 5e6))
        'at most 5M MACs'
    """

    quantity: Quantity
    limit: float

    def __str__(self) -> str:
        relation = "at least" if self.quantity == "min_accuracy" else "at most"
        return f"{relation} {format_quantity(self.quantity, self.limit)}"


@dataclass(frozen=True)
class DropBudget(Budget):
    """A bound on the accuracy that is lost against the last exit, with a guarantee.

    Args:
        quantity: `max_drop`.
        limit: The bound, a fraction.
        confidence: Probability of the guarantee, a fraction.

    Example:
        >>> str(DropBudget("max_drop", 0.01))
        'an accuracy drop of at most 1% with 95% confidence'
    """

    confidence: float = 0.95

    def __str__(self) -> str:
        return f"an accuracy drop of at most {100 * self.limit:g}% with {100 * self.confidence:g}% confidence"


def parse_budget(
    max_macs: str | float | None = None,
    min_accuracy: str | float | None = None,
    max_latency: str | float | None = None,
    max_drop: str | float | None = None,
    confidence: str | float | None = None,
) -> Budget:
    """Return the budget of the one bound that is not `None`.

    Args:
        max_macs: Most multiply-adds per sample on average: a number, or a text such as `5M`.
        min_accuracy: Least accuracy: a fraction, or a text such as `90%`.
        max_latency: Most seconds per sample on average: a number, or a text with a unit such as `3ms`.
        max_drop: Most accuracy that is lost against the last exit: a fraction, or a text such as `1%`.
        confidence: Probability of the guarantee for `max_drop`: a fraction, or a text such as `95%`, which is
            the default. Without `max_drop` it is an error.

    Raises:
        ConfigError: No bound or more than one bound is not `None`, or its value cannot be read or is out of
            range.

    Example:
        >>> parse_budget(min_accuracy="90%")
        Budget(quantity='min_accuracy', limit=0.9)
    """
    values: dict[Quantity, str | float | None] = {
        "max_macs": max_macs,
        "min_accuracy": min_accuracy,
        "max_latency": max_latency,
        "max_drop": max_drop,
    }
    values_given = {quantity: value for quantity, value in values.items() if value is not None}
    if len(values_given) != 1:
        names = " and ".join(values_given) or "none"
        raise ConfigError(f"budget: found {names}; allowed: one of {', '.join(values)}")
    ((quantity, value),) = values_given.items()
    if quantity == "max_drop":
        limit = parse_fraction("max_drop", value, "0.01 or 1%")
        return DropBudget(quantity, limit, parse_fraction("confidence", confidence or 0.95, "0.95 or 95%"))
    if confidence is not None:
        raise ConfigError(f"confidence: found '{confidence}' with {quantity}; allowed: only with max_drop")
    limit = _parse_quantity(quantity, value) if isinstance(value, str) else float(value)
    if not 0.0 < limit < np.inf or (quantity == "min_accuracy" and limit > 1.0):
        percent = quantity == "min_accuracy" and 1.0 < limit <= 100.0 and "%" not in str(value)
        hint = f" Did you mean '{limit:g}%'?" if percent else ""
        raise ConfigError(f"{quantity}: found '{value}'; allowed: {_EXAMPLES[quantity]}.{hint}")
    return Budget(quantity, limit)


def parse_fraction(name: str, value: str | float, examples: str) -> float:
    """Return a fraction between 0 and 1, both excluded.

    Args:
        name: Name of the setting, for the message of an error.
        value: A fraction, or a text such as `95%`.
        examples: Allowed values for the message of an error, e.g. `0.95 or 95%`.

    Raises:
        ConfigError: The value cannot be read or is out of range.

    Example:
        >>> parse_fraction("confidence", "95%", "0.95 or 95%")
        0.95
    """
    match = _TEXT.fullmatch(value) if isinstance(value, str) else None
    number, hint = float("nan"), ""
    if match and match[2] in ("", "%"):
        number = float(match[1].replace(",", "").replace("_", "")) / (100 if match[2] else 1)
    elif not isinstance(value, str):
        number = float(value)
    if not 0.0 < number < 1.0:
        if 1.0 <= number < 100.0 and "%" not in str(value):
            hint = f". Did you mean '{number:g}%'?"
        raise ConfigError(
            f"{name}: found '{value}'; allowed: more than 0 and less than 1, such as {examples}{hint}"
        )
    return number


def bound(name: str, value: str | float | None) -> float | None:
    """Return a bound as a number; texts have the forms of budgets, such as `1M` or, for an accuracy, `90%`.

    Args:
        name: Name of the bound, e.g. `max_macs`, `min_accuracy` or `max_ram`.
        value: A text, a number, which is returned as it is, or `None`.

    Raises:
        ConfigError: The text cannot be read, or the number is out of range.

    Example:
        >>> bound("max_ram", "64k"), bound("min_accuracy", "90%"), bound("max_macs", None)
        (64000.0, 0.9, None)
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | Real)):
        raise ConfigError(f"{name}: found {value!r}; allowed: a number, or a text such as 5M or 90%")
    if not isinstance(value, str):
        return value
    if name == "min_accuracy":
        return parse_budget(min_accuracy=value).limit
    try:
        return parse_budget(max_macs=value).limit
    except ConfigError as error:
        message = str(error).replace("max_macs", name, 1)
        if name != "max_macs":
            message = message.replace("multiply-adds", "a number")
        raise ConfigError(message) from error


def format_quantity(quantity: Quantity, value: float) -> str:
    """Return a text of a value with its unit, such as `4.95M MACs`, `91.30% accuracy` or `2.914 ms`."""
    if quantity == "min_accuracy":
        return f"{100 * value:.2f}% accuracy"
    if quantity == "max_latency":
        return f"{1e3 * value:.4g} ms"
    scale, letter = scale_of(value)
    return f"{value / scale:.4g}{letter} MACs"


def choose_scheme(front: ThresholdFront, budget: Budget, unit: float = 1.0) -> int | None:
    """Return the index of the scheme that meets a budget best, or `None` if no scheme meets it.

    For a bound on cost the best scheme is the most accurate, for a bound on accuracy the cheapest.

    Args:
        front: Schemes by rising cost.
        budget: The bound to meet.
        unit: Factor from the units of `front.cost` to the units of the budget: 1e-9 if costs are nanoseconds
            and the budget is in seconds.
    """
    if budget.quantity == "min_accuracy":
        enough = np.flatnonzero(front.accuracy >= budget.limit - _ROUNDING)
        return int(enough[0]) if len(enough) else None
    cheap = np.flatnonzero(unit * front.cost <= budget.limit * (1 + _ROUNDING))
    return int(cheap[-1]) if len(cheap) else None


def nearest_scheme(front: ThresholdFront, budget: Budget, unit: float = 1.0) -> int:
    """Return the index of the scheme that meets a budget best or, if no scheme meets it, misses it least.

    Arguments are those of `choose_scheme`.
    """
    number = choose_scheme(front, budget, unit)
    if number is not None:
        return number
    return len(front) - 1 if budget.quantity == "min_accuracy" else 0


def unmet_budget_message(budget: Budget, front: ThresholdFront, unit: float, dearest: float) -> str:
    """Return an error message for a budget that no scheme of a front meets, with the possible range.

    Args:
        budget: The budget.
        front: Schemes by rising cost.
        unit: See `choose_scheme`.
        dearest: Cost of a sample that exits at the last exit, in the units of the budget.
    """
    limit = format_quantity(budget.quantity, budget.limit)
    if budget.quantity == "min_accuracy":
        low, high = (format_quantity("min_accuracy", float(front.accuracy[at])) for at in (0, -1))
        return (
            f"min_accuracy: found {limit}; possible on these samples: at most {high}; "
            f"the cheapest thresholds reach {low}"
        )
    cost = [format_quantity(budget.quantity, unit * float(front.cost[at])) for at in (0, -1)]
    most = format_quantity(budget.quantity, dearest)
    accuracy = [format_quantity("min_accuracy", float(front.accuracy[at])) for at in (0, -1)]
    return (
        f"{budget.quantity}: found {limit}; possible on these samples: {cost[0]} ({accuracy[0]}) to "
        f"{most}; a cost above {cost[1]} ({accuracy[1]}) does not raise the accuracy"
        f"{_unit_hint(budget, unit * float(front.cost[0]), dearest)}"
    )


def loose_budget_text(budget: Budget, least: float, most: float) -> str:
    """Return a remark on a cost budget that holds with all thresholds; empty if some thresholds break it.

    Args:
        budget: A bound on cost.
        least: Least possible cost of a sample, in the units of the budget.
        most: Cost of a sample that exits at the last exit, in the units of the budget.

    Example:
        >>> loose_budget_text(Budget("max_macs", 3e6), 1e3, 5e3)
        'The budget of 3M MACs holds with all thresholds: a sample costs at most 5k MACs.'
    """
    if budget.quantity not in ("max_macs", "max_latency") or budget.limit <= most * (1 + _ROUNDING):
        return ""
    limit, dearest = (format_quantity(budget.quantity, value) for value in (budget.limit, most))
    remark = f"The budget of {limit} holds with all thresholds: a sample costs at most {dearest}"
    return f"{remark}{_unit_hint(budget, least, most) or '.'}"


def unreachable_budget_message(
    budget: Budget,
    leaving: npt.NDArray[np.float64],
    placed: Sequence[int],
    unit: float = 1.0,
) -> str:
    """Return an error message for a budget below the cost of the first placed exit, else an empty text.

    Args:
        budget: A bound on cost.
        leaving: (P + 1,) cost of a sample that exits at each of the P placed exits and at the last exit;
            rising.
        placed: Exit points of the placed exits, ascending, one or more.
        unit: Factor from the units of `leaving` to the units of the budget.
    """
    if unit * leaving[0] <= budget.limit * (1 + _ROUNDING):
        return ""
    limit, low, high = (
        format_quantity(budget.quantity, value)
        for value in (budget.limit, unit * float(leaving[0]), unit * float(leaving[-1]))
    )
    return (
        f"{budget.quantity}: found {limit}; possible with the placed exits: {low} (all samples exit at exit "
        f"{placed[0] + 1}) to {high} (all samples exit at the last exit)"
    )


def _unit_hint(budget: Budget, least: float, most: float) -> str:
    """Return a question that suggests the same number with a unit between `least` and `most`; empty if none.

    Args:
        budget: A bound on cost.
        least: Least possible cost, in the units of the budget.
        most: Largest possible cost, in the units of the budget.
    """
    names = LETTERS if budget.quantity == "max_macs" else ("ms", "us")
    factors = _UNITS[budget.quantity]
    possible = [name for name in names if least <= budget.limit * factors[name] <= most]
    return f". Did you mean '{budget.limit:g}{possible[0]}'?" if possible else ""


def _parse_quantity(quantity: Quantity, text: str) -> float:
    """Return the value of a text with a unit, in multiply-adds, as a fraction or in seconds."""
    units, match = _UNITS[quantity], _TEXT.fullmatch(text)
    if not match:
        raise ConfigError(f"{quantity}: found '{text}'; allowed: {_EXAMPLES[quantity]}")
    number, unit = match.groups()
    if unit not in units:
        # `5m` and `3MS` are rejected with a hint, because a unit in the wrong case may be a mistake.
        alike = [each for each in units if each.lower() == unit.lower()]
        suggestion = f" Did you mean '{number}{alike[0]}'?" if alike else ""
        if not unit:
            suggestion = f" Did you mean '{number}ms'?"
        hint = suggestion or near_miss(unit, [each for each in units if each])
        raise ConfigError(
            f"{quantity}: found '{text}', {f'of unit {unit!r}' if unit else 'without a unit'}; "
            f"allowed: {_EXAMPLES[quantity]}.{hint}"
        )
    return float(number.replace(",", "").replace("_", "")) * units[unit]
