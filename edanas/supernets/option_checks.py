"""Checks of the options of supernet providers: numbers in a range, and lists of choices."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from edanas.core.errors import ConfigError, near_miss

SMALLEST_SIDE, LARGEST_SIDE = 4, 1024
"""Smallest and largest allowed side of input images, in pixels."""

SHORTEST, LONGEST = 4, 16_000
"""Smallest and largest allowed length of input series."""

Condition = Callable[[Any], bool]
"""Function that returns True if a value is allowed."""


def is_whole(low: int, high: int) -> Condition:
    """Return a condition: the value is a whole number in [`low`, `high`].

    Example:
        >>> is_whole(1, 4)(3), is_whole(1, 4)(2.5)
        (True, False)
    """
    return lambda value: isinstance(value, int) and low <= value <= high


is_stride = is_whole(1, 4)
"""The condition that a value is an allowed stride: a whole number in [1, 4]."""


def checked_number(name: str, value: Any, allowed: str, is_allowed: Condition) -> Any:
    """Return the value of an option after a check.

    Args:
        name: Name of the option, without the prefix `supernet.`.
        value: The value from the user.
        allowed: Description of the allowed values, for the message.
        is_allowed: Function that returns True if a number is allowed.

    Raises:
        ConfigError: `value` is not a number, or is not allowed.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not is_allowed(value):
        raise ConfigError(f"supernet.{name}: found {value!r}; allowed: {allowed}")
    return value


def checked_numbers(name: str, values: Any, allowed: str, is_allowed: Condition) -> tuple[Any, ...]:
    """Return the value of an option that is a list of one or more numbers, after a check.

    Args:
        name: Name of the option, without the prefix `supernet.`.
        values: The value from the user.
        allowed: Description of the allowed numbers, in the plural, for the message.
        is_allowed: Function that returns True if a number is allowed.

    Raises:
        ConfigError: `values` is not a list, is empty, or has an entry that is not an allowed number.
    """
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ConfigError(f"supernet.{name}: found {values!r}; allowed: a list of {allowed}")
    return tuple(checked_number(name, value, allowed, is_allowed) for value in values)


def checked_choices(name: str, values: Any, allowed: str, is_allowed: Condition) -> tuple[Any, ...]:
    """Return the choices of a variable, sorted, after a check that they are distinct and allowed.

    `checked_numbers` describes the arguments.

    Raises:
        ConfigError: `values` is not a list, is empty, repeats an entry, or has an entry that is not allowed.

    Example:
        >>> checked_choices("kernels", [5, 3], "whole numbers from 1 to 15", is_whole(1, 15))
        (3, 5)
    """
    numbers = checked_numbers(name, values, allowed, is_allowed)
    if len(set(numbers)) != len(numbers):
        raise ConfigError(f"supernet.{name}: found {values!r}; allowed: distinct numbers")
    return tuple(sorted(numbers))


def checked_sides(resolutions: Any) -> tuple[int, ...]:
    """Return the option `resolutions`, sorted, after a check.

    Args:
        resolutions: Choices of the side of the input images, in pixels.

    Raises:
        ConfigError: A side is not a whole number from 4 to 1024, or is listed twice.
    """
    return checked_choices(
        "resolutions", resolutions, "whole numbers from 4 to 1024", is_whole(SMALLEST_SIDE, LARGEST_SIDE)
    )


def checked_name(name: str, value: Any, names: Sequence[str]) -> str:
    """Return the value of an option that is a name, after a check.

    Args:
        name: Name of the option, without the prefix `supernet.`.
        value: The value from the user.
        names: The allowed names.

    Raises:
        ConfigError: `value` is not one of the names.
    """
    if value not in names:
        raise ConfigError(f"supernet.{name}: found {value!r}.{near_miss(str(value), names)}")
    return str(value)


def checked_lengths(resolutions: Any) -> tuple[int, ...]:
    """Return the option `resolutions` of networks for series, sorted, after a check.

    Args:
        resolutions: Choices of the length of the input series.

    Raises:
        ConfigError: A length is not a whole number from 4 to 16,000, or is listed twice.
    """
    allowed = f"whole numbers from {SHORTEST} to {LONGEST:,}"
    return checked_choices("resolutions", resolutions, allowed, is_whole(SHORTEST, LONGEST))


def distinct_widths(widths: Sequence[float], channels: Callable[[float], Hashable]) -> tuple[float, ...]:
    """Return the widths with different numbers of channels; of equal ones, the first.

    Args:
        widths: Choices of a width, ascending.
        channels: Function from a width to all rounded numbers of channels that depend on it.

    Example:
        >>> distinct_widths((0.2, 0.3, 0.5), lambda width: max(4, round(16 * width / 4) * 4))
        (0.2, 0.5)
    """
    first: dict[Hashable, float] = {}
    for width in widths:
        first.setdefault(channels(width), width)
    return tuple(first.values())
