"""Built-in constraints: limits of objectives, allowed choices of a backbone, and the constraint of CNAS."""

import re
from collections.abc import Callable, Mapping
from typing import Literal

from edanas.core.amounts import scale_of
from edanas.core.contracts import Constraint, Objective
from edanas.core.cut_backbones import STAGES
from edanas.core.errors import ConfigError, CostError, near_miss
from edanas.core.hookspecs import hookimpl
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Metrics
from edanas.goals.device_memory import Flash, Ram


class Bound(Constraint):
    """Limits of an objective's value, e.g. `params <= 1M` or `accuracy >= 90%`.

    The excess is the distance of the value beyond a limit, divided by the limit. If the limit is 0, the
    excess is the distance itself.

    Args:
        of: The objective to limit. The search need not optimise it.
        at_most: Largest allowed value; `None`, the default, sets no upper limit.
        at_least: Smallest allowed value; `None`, the default, sets no lower limit.

    Raises:
        ConfigError: Neither limit is set, or `at_least` is larger than `at_most`.
    """

    def __init__(self, of: Objective, at_most: float | None = None, at_least: float | None = None) -> None:
        if at_most is None and at_least is None:
            raise ConfigError("constraints.at_most: missing; a bound needs `at_most`, `at_least` or both")
        if at_most is not None and at_least is not None and at_least > at_most:
            raise ConfigError(
                f"constraints.at_least: found {at_least:g}; allowed: at most {at_most:g}, the value of "
                "`at_most`"
            )
        self._of, self._at_most, self._at_least = of, at_most, at_least
        self.basis = "costs" if of.structural else "outcome"
        self.meters, self.footprints = of.meters, of.footprints

    def excess(self, _candidate: Candidate, metrics: Metrics | None) -> float:
        """See `Constraint.excess`."""
        value = self._value(metrics)
        over = [] if self._at_most is None else [(value - self._at_most) / _scale(self._at_most)]
        under = [] if self._at_least is None else [(self._at_least - value) / _scale(self._at_least)]
        return max(over + under)

    def describe(self, _candidate: Candidate, metrics: Metrics | None) -> str:
        """See `Constraint.describe`."""
        unit = self._of.unit
        allowed = [] if self._at_least is None else [f"at least {figure(self._at_least, unit)}"]
        allowed += [] if self._at_most is None else [f"at most {figure(self._at_most, unit)}"]
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", type(self._of).__name__).lower()
        return f"{name} is {figure(self._value(metrics), unit)}; allowed: {' and '.join(allowed)}"

    def _value(self, metrics: Metrics | None) -> float:
        if metrics is None:
            raise CostError(f"a bound on {type(self._of).__name__} needs a candidate's metrics; found none")
        return self._of.value(metrics)


class Choices(Constraint):
    """Allowed choices of a backbone, e.g. `kernel in 3, 5`: a functional constraint, as in CNAS.

    The excess is the share of the constrained variables whose choice is not allowed.

    Args:
        of: The constrained variables: the name of one variable, e.g. `stage2.layer3.kernel`, or the last part
            of a name, e.g. `kernel`, for every variable whose name ends with it.
        allowed: The allowed choices of each constrained variable.

    Example:
        >>> from edanas.core.types import Backbone, Candidate, SelectionScheme
        >>> backbone = Backbone((("stage1.kernel", 3), ("stage2.kernel", 7)))
        >>> Choices("kernel", (3, 5)).excess(Candidate(backbone, SelectionScheme((None,))), None)
        0.5
    """

    basis = "choices"

    def __init__(self, of: str, allowed: tuple[float, ...]) -> None:
        self._of, self._allowed = of, allowed
        self._whole: dict[str, float] = {}

    def prepare(self, space: SearchSpace) -> None:
        """See `Constraint.prepare`."""
        backbones = space.variables[: space.backbone_dimensions]
        # A whole backbone does not hold its number of stages.
        self._whole = {STAGES: space.exit_points + 1} if space.cuts else {}
        known = {v.name for v in backbones} | {v.name.rpartition(".")[2] for v in backbones}
        if self._of not in known:
            raise ConfigError(
                f"constraints.of: found '{self._of}', which no variable of a backbone has as its name."
                f"{near_miss(self._of, known)}"
            )
        for variable in backbones:
            if self._matches(variable.name) and not set(variable.choices) & set(self._allowed):
                raise ConfigError(
                    f"constraints.allowed: found {_listed(self._allowed)}, but {variable.name} has no such "
                    f"choice; allowed: {_listed(variable.choices)}"
                )

    def excess(self, candidate: Candidate, _metrics: Metrics | None) -> float:
        """See `Constraint.excess`."""
        values = self._values(candidate)
        return sum(value not in self._allowed for value in values) / len(values) if values else 0.0

    def describe(self, candidate: Candidate, _metrics: Metrics | None) -> str:
        """See `Constraint.describe`."""
        other = sorted(set(self._values(candidate)) - set(self._allowed))
        return f"{self._of} is {_listed(other or self._values(candidate))}; allowed: {_listed(self._allowed)}"

    def _values(self, candidate: Candidate) -> list[float]:
        choices = {**self._whole, **dict(candidate.backbone.choices)}
        return [value for name, value in choices.items() if self._matches(name)]

    def _matches(self, name: str) -> bool:
        return name == self._of or name.endswith(f".{self._of}")


class TinyMl(Constraint):
    """Maxima of parameters, multiply-adds and activations, or of flash, multiply-adds and RAM (CNAS).

    CNAS (Gambella, Falcetta and Roveri, 2022) adds up the three amounts with weights, and penalises amounts
    beyond their maxima. Here the excess is the weighted sum of the relative excesses. A candidate is feasible
    if and only if no amount is larger than its maximum. With bytes, `max_flash` stands in the place of
    `max_params`, and `max_ram` in that of `max_activations`.

    Args:
        max_params: Largest number of parameters, placed heads included; 0, the default, with `max_flash`.
        max_macs: Largest number of multiply-adds of a sample that exits at the last exit, placed heads
            included.
        max_activations: Largest number of elements in the outputs of convolutions and linear layers; 0, the
            default, with `max_ram`.
        max_flash: Largest number of bytes of the objective `flash`; 0, the default, with `max_params`.
        max_ram: Largest number of bytes of the objective `ram`; 0, the default, with `max_activations`.
        weights: Weights of storage, multiply-adds and memory; default 1 each.
        measure: Method to count activations: `sum`, the default, adds up all outputs, as in CNAS. `peak`
            takes the largest output.

    Raises:
        ConfigError: A maximum or a weight is not above 0, or one amount has two maxima.
    """

    basis = "costs"

    def __init__(
        self,
        *,
        max_macs: float,
        max_params: float = 0.0,
        max_activations: float = 0.0,
        weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
        measure: Literal["peak", "sum"] = "sum",
        max_flash: float = 0.0,
        max_ram: float = 0.0,
    ) -> None:
        if (max_params and max_flash) or (max_activations and max_ram):
            raise ConfigError(
                "constraints: found 'tiny-ml' with two maxima of one amount; allowed: `max_params` or "
                "`max_flash`, and `max_activations` or `max_ram`"
            )
        self._flash, self._ram, self.footprints = bool(max_flash), bool(max_ram), bool(max_flash or max_ram)
        self._maxima = max_params or max_flash, max_macs, max_activations or max_ram
        self._weights, self._measure = weights, measure
        if min(*self._maxima, *weights) <= 0:
            raise ConfigError(
                f"constraints: found 'tiny-ml' with maxima {_listed(self._maxima)} and weights "
                f"{_listed(weights)}; allowed: maxima and weights above 0"
            )

    def excess(self, _candidate: Candidate, metrics: Metrics | None) -> float:
        """See `Constraint.excess`."""
        ratios = [
            amount / most - 1.0 for amount, most in zip(self._amounts(metrics), self._maxima, strict=True)
        ]
        beyond = sum(w * max(0.0, ratio) for w, ratio in zip(self._weights, ratios, strict=True))
        return beyond if beyond > 0 else max(ratios)

    def describe(self, _candidate: Candidate, metrics: Metrics | None) -> str:
        """See `Constraint.describe`."""
        storage = "bytes of flash" if self._flash else "parameters"
        names = (storage, "multiply-adds", "bytes of RAM" if self._ram else "activations")
        amounts = zip(names, self._amounts(metrics), self._maxima, strict=True)
        beyond = [
            f"{figure(x)} {name} (allowed: at most {figure(most)})" for name, x, most in amounts if x > most
        ]
        return f"tiny-ml: {', '.join(beyond) or 'all amounts are within their maxima'}"

    def _amounts(self, metrics: Metrics | None) -> tuple[float, float, float]:
        worst = metrics.exit_macs[-1] if metrics and metrics.exit_macs else None
        if metrics is None or worst is None:
            raise CostError("tiny-ml: the metrics hold no cost by exit (exit_macs)")
        storage = Flash().value(metrics) if self._flash else float(metrics.params)
        if self._ram:
            return storage, worst, Ram().value(metrics)
        elements = metrics.activations if self._measure == "peak" else metrics.outputs
        if elements is None:
            raise CostError(
                "tiny-ml: the metrics hold no sum of all outputs, which measure = sum needs; allowed: "
                "measure = peak"
            )
        return storage, worst, float(elements)


def figure(value: float, unit: str = "") -> str:
    """Return a number as text in the notation of constraints, with k, M, G or %.

    Args:
        value: The number; a fraction if `unit` is `%`.
        unit: `%` for a percentage; other units do not appear in the text.

    Example:
        >>> figure(1_500_000), figure(0.905, "%")
        ('1.5M', '90.5%')
    """
    if unit == "%":
        return f"{100 * value:.4g}%"
    scale, letter = scale_of(value)
    return f"{value / scale:.4g}{letter}"


def _scale(limit: float) -> float:
    return abs(limit) or 1.0


def _listed(values: object) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)  # type: ignore[attr-defined]


@hookimpl
def edanas_constraints() -> Mapping[str, Callable[..., Constraint]]:
    """Register the built-in constraints."""
    return {"bound": Bound, "choices": Choices, "tiny-ml": TinyMl}
