"""Checks of providers' options: numbers in a range, and lists of choices."""

from collections.abc import Callable, Sequence
from typing import Any

from edanas.core.errors import ConfigError

Condition = Callable[[Any], bool]
"""Returns whether a value is allowed."""


def is_whole(low: int, high: int) -> Condition:
    """Return the condition that a value is a whole number in [`low`, `high`].

    Example:
        >>> is_whole(1, 4)(3), is_whole(1, 4)(2.5)
        (True, False)
    """
    return lambda value: isinstance(value, int) and low <= value <= high


is_stride = is_whole(1, 4)
"""The condition of strides."""


def checked_number(name: str, value: Any, allowed: str, is_allowed: Condition) -> Any:
    """Return the number, if it is allowed.

    Args:
        name: The name of the option.
        value: The value from the user.
        allowed: The condition in words, for the message.
        is_allowed: The condition.

    Raises:
        ConfigError: The value is no number, or is not allowed.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_allowed(value):
        raise ConfigError(f"supernet.{name}: {value!r}; allowed: {allowed}")
    return value


def checked_numbers(name: str, values: Any, allowed: str, is_allowed: Condition) -> tuple[Any, ...]:
    """Return one or more numbers; for arguments and errors see `checked_number`."""
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ConfigError(f"supernet.{name}: {values!r}; allowed: a list of {allowed}")
    return tuple(checked_number(name, value, allowed, is_allowed) for value in values)


def checked_choices(name: str, values: Any, allowed: str, is_allowed: Condition) -> tuple[Any, ...]:
    """Return distinct numbers in ascending order; for arguments and errors see `checked_number`.

    Example:
        >>> checked_choices("kernels", [5, 3], "whole numbers from 1 to 15", is_whole(1, 15))
        (3, 5)
    """
    numbers = checked_numbers(name, values, allowed, is_allowed)
    if len(set(numbers)) != len(numbers):
        raise ConfigError(f"supernet.{name}: {values!r}; allowed: no choice twice")
    return tuple(sorted(numbers))


def checked_sides(resolutions: Any) -> tuple[int, ...]:
    """Return the option `resolutions`: sides of the input images in pixels, ascending.

    Raises:
        ConfigError: A side is no whole number from 8 to 1024, or is listed twice.
    """
    return checked_choices("resolutions", resolutions, "whole numbers from 8 to 1024", is_whole(8, 1024))
