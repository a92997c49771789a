"""Checks of the variables and thresholds of a search space, and choices as text."""

import math
from collections.abc import Sequence
from typing import Any

from edanas.core.errors import ConfigError, PluginError, near_miss
from edanas.core.types import Choice, Thresholds, Variable


def text_of(choice: Choice | None) -> str:
    """Return a choice as text; `None` becomes `none`."""
    return "none" if choice is None else str(choice)


def list_of(choices: frozenset[Choice | None]) -> str:
    """Return choices as text, sorted and joined by `or`."""
    return " or ".join(sorted(map(text_of, choices)))


def _is_choice(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def check_thresholds(thresholds: Sequence[float | None]) -> None:
    """Check the thresholds that a search may choose at an exit point; `None` = no exit.

    Raises:
        ConfigError: The list is empty, repeats a value, or contains a number outside [0, 1].
    """
    if not thresholds:
        raise ConfigError(
            'thresholds: found an empty list; allowed: numbers from 0 to 1, and "none" for no exit'
        )
    if len(set(thresholds)) < len(thresholds):
        listed = ", ".join(map(text_of, thresholds))
        raise ConfigError(f"thresholds: found {listed}; allowed: a list of values, none twice")
    for threshold in thresholds:
        if threshold is not None and not (_is_choice(threshold) and 0 <= threshold <= 1):
            raise ConfigError(f'thresholds: found {threshold!r}; allowed: 0 to 1, or "none" for no exit')


def distinct_thresholds(thresholds: Thresholds, levels: Sequence[float]) -> Thresholds:
    """Return the choices at an exit point that a confidence criterion tells apart, in order.

    Each threshold becomes the lowest level at or above it, or the highest level; equal ones are one choice.

    Args:
        thresholds: The choices in the settings.
        levels: See `ConfidenceCriterion.levels`; empty = all thresholds differ.

    Example:
        >>> distinct_thresholds((0.3, 0.6, 0.95, None), (0.5, 1.0))
        (0.5, 1.0, None)
    """
    if not levels or isinstance(thresholds, str):
        return thresholds
    nearest = (
        None if each is None else next((level for level in levels if level >= each), levels[-1])
        for each in thresholds
    )
    return tuple(dict.fromkeys(nearest))


def check_variables(variables: Sequence[Variable], backbone_dimensions: int) -> None:
    """Check the variables of a search space.

    Args:
        variables: The backbone's variables, then the threshold variables.
        backbone_dimensions: The number of the backbone's variables.

    Raises:
        PluginError: A variable has no choices, repeats a choice or a name, has a choice that is not a finite
            number, or depends on an unknown variable or value.
    """
    known: dict[str, Variable] = {}
    for position, variable in enumerate(variables):
        where = f"search space, variable '{variable.name}'"
        if variable.name in known:
            raise PluginError(f"{where}: the name occurs twice")
        if not variable.choices or len(set(variable.choices)) < len(variable.choices):
            raise PluginError(f"{where}: choices {variable.choices}; allowed: one or more, none twice")
        if position < backbone_dimensions and not all(map(_is_choice, variable.choices)):
            raise PluginError(f"{where}: choices {variable.choices}; allowed: finite numbers")
        if variable.parent is None and variable.when:
            raise PluginError(f"{where}: has values of a parent ({list_of(variable.when)}), but no parent")
        if variable.parent is not None:
            if variable.parent not in known:
                raise PluginError(
                    f"{where}: no variable '{variable.parent}' before it.{near_miss(variable.parent, known)}"
                )
            choices = known[variable.parent].choices
            if not variable.when or not variable.when <= set(choices):
                raise PluginError(
                    f"{where}: expressed where {variable.parent} is {list_of(variable.when) or 'nothing'}; "
                    f"allowed: {', '.join(map(text_of, choices))}"
                )
        known[variable.name] = variable
