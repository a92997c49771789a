"""Durations as text, and the longest duration."""

LONGEST = 1e9
"""Largest time limit in seconds, about 30 years; the timers of operating systems accept it."""


def duration_text(seconds: float) -> str:
    """Return a duration in two units at most.

    Args:
        seconds: The duration in seconds, 0 or more.

    Example:
        >>> [duration_text(seconds) for seconds in (3.21, 60, 247, 1800, 41_389, 200_000)]
        ['3.2 s', '1 min', '4 min 7 s', '30 min', '11 h 30 min', '2 d 8 h']
    """
    if round(seconds, 1) < 60:
        return f"{seconds:.0f} s" if seconds == int(seconds) else f"{seconds:.1f} s"
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    first = next(index for index, (_, size) in enumerate(units) if round(seconds) >= size)
    (large, size), (small, unit) = units[first], units[first + 1]
    whole, rest = divmod(round(seconds / unit), size // unit)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"
