"""Large numbers with a letter behind them, as people write and read them: 750k, 5M, 1.2G."""

from collections.abc import Mapping

SCALES: Mapping[str, float] = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
"""What may be written behind a number, and what it multiplies it by."""

LETTERS = ("k", "M", "G")
"""What is written behind numbers that are shown; rising."""


def scale_of(value: float) -> tuple[float, str]:
    """What to divide a number by to show it, and the letter that then stands behind it."""
    letter = next((letter for letter in reversed(LETTERS) if abs(value) >= SCALES[letter]), "")
    return SCALES[letter], letter
