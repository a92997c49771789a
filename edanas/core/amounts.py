"""Large numbers with a letter for their scale: 750k, 5M, 1.2G."""

from collections.abc import Mapping

SCALES: Mapping[str, float] = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
"""Factor of each letter that users may write after a number; no letter is 1."""

LETTERS = ("k", "M", "G")
"""Letters that displayed numbers have, in the order of rising factors."""


def scale_of(value: float) -> tuple[float, str]:
    """Return the divisor and the letter with which a number is displayed.

    The letter is empty for numbers below 1,000.

    Example:
        >>> scale_of(5_000_000)
        (1000000.0, 'M')
    """
    letter = next((letter for letter in reversed(LETTERS) if abs(value) >= SCALES[letter]), "")
    return SCALES[letter], letter


def parse_amount(text: str) -> float | None:
    """Return the number of a text such as `750k` or `5M`; `None` if the text has another form.

    Example:
        >>> parse_amount("750k"), parse_amount("5 apples")
        (750000.0, None)
    """
    scale = SCALES.get(text[-1:], None)
    number = text[:-1] if scale is not None else text
    try:
        return float(number.strip()) * (1.0 if scale is None else scale)
    except ValueError:
        return None
