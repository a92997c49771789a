"""Options of providers, checked: numbers in a range, and lists of choices."""

from collections.abc import Callable, Sequence
from typing import Any

from edanas.core.errors import ConfigError

Fits = Callable[[Any], bool]


def is_whole(low: int, high: int) -> Fits:
    """Whether a value is a whole number in [`low`, `high`]."""
    return lambda value: isinstance(value, int) and low <= value <= high


is_stride = is_whole(1, 4)


def checked_number(name: str, value: Any, allowed: str, fits: Fits) -> Any:
    """A number that fits.

    Args:
        name: The option's.
        value: What was given.
        allowed: What fits, in words.
        fits: Whether a number does.

    Raises:
        ConfigError: It is none, or does not fit.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
        raise ConfigError(f"supernet.{name}: {value!r}; allowed: {allowed}")
    return value


def checked_numbers(name: str, values: Any, allowed: str, fits: Fits) -> tuple[Any, ...]:
    """One or more of them; arguments and errors as of `number`."""
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ConfigError(f"supernet.{name}: {values!r}; allowed: a list of {allowed}")
    return tuple(checked_number(name, value, allowed, fits) for value in values)


def checked_choices(name: str, values: Any, allowed: str, fits: Fits) -> tuple[Any, ...]:
    """Distinct ones, in ascending order; arguments and errors as of `number`."""
    found = checked_numbers(name, values, allowed, fits)
    if len(set(found)) != len(found):
        raise ConfigError(f"supernet.{name}: {values!r}; allowed: no choice twice")
    return tuple(sorted(found))


def checked_sides(resolutions: Any) -> tuple[int, ...]:
    """The option `resolutions`: sides of the input images in pixels, ascending.

    Raises:
        ConfigError: As `number`.
    """
    return checked_choices("resolutions", resolutions, "whole numbers from 8 to 1024", is_whole(8, 1024))
