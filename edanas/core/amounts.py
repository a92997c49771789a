"""Large numbers with a letter: 750k, 5M, 1.2G."""

from collections.abc import Mapping

SCALES: Mapping[str, float] = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
"""Letters that users may write behind a number, with their factors."""

LETTERS = ("k", "M", "G")
"""Letters of shown numbers, rising."""


def scale_of(value: float) -> tuple[float, str]:
    """Return the divisor of a number that is shown, and the letter behind it.

    Example:
        >>> scale_of(5_000_000)
        (1000000.0, 'M')
    """
    letter = next((letter for letter in reversed(LETTERS) if abs(value) >= SCALES[letter]), "")
    return SCALES[letter], letter
