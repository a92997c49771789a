"""Options of supernet providers with one number for each of five stages."""

from edanas.core.errors import ConfigError
from edanas.supernets.option_checks import Condition, checked_numbers

STAGES = 5
"""Number of stages."""


def for_each_stage(
    name: str, values: tuple[int, ...], allowed: str, is_allowed: Condition
) -> tuple[int, ...]:
    """Return the values of an option with one number for each stage, after a check.

    Raises:
        ConfigError: The number of values differs from the number of stages, or a value is not allowed.
    """
    numbers = checked_numbers(name, values, allowed, is_allowed)
    if len(numbers) != STAGES:
        raise ConfigError(
            f"supernet.{name}: found {len(numbers)} numbers; allowed: {STAGES}, one for each stage"
        )
    return numbers
