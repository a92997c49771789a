"""Arithmetic of the exported C code in NumPy: whole numbers only, so that both agree in every bit."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

LOW, HIGH = -128, 127
"""Range of int8."""


class Multiplier(NamedTuple):
    """A positive real factor as `value * 2**-shift`.

    Args:
        value: From 2**30 to 2**31 - 1, or 0.
        shift: From 1 to 62.

    Example:
        >>> Multiplier(1 << 30, 31)
        Multiplier(value=1073741824, shift=31)
    """

    value: int
    shift: int


def multiplier(factor: float) -> Multiplier:
    """Return the multiplier nearest to a factor from 0 to 2**29.

    Example:
        >>> multiplier(0.5)
        Multiplier(value=1073741824, shift=31)
    """
    if factor <= 0.0:
        return Multiplier(0, 31)
    fraction, exponent = math.frexp(factor)
    value, shift = round(fraction * (1 << 31)), 31 - exponent
    if value == 1 << 31:
        value, shift = value // 2, shift - 1
    if shift > 62:
        return Multiplier(0, 62)
    if shift < 1:
        raise ValueError(f"factor: found {factor:g}; allowed: up to {2.0**29:g}")
    return Multiplier(value, shift)


def requantised(sums: Integers, value: Integers | int, shift: Integers | int) -> Integers:
    """Return sums times multipliers, rounded to whole numbers; halves are rounded up.

    Args:
        sums: Numbers of at most 32 bits.
        value: See `Multiplier`; an array broadcasts.
        shift: See `Multiplier`; an array broadcasts.

    Example:
        >>> requantised(np.array([3, -3]), *multiplier(0.5))
        array([ 2, -1])
    """
    half = np.int64(1) << (np.asarray(shift, dtype=np.int64) - 1)
    products = sums * np.asarray(value, dtype=np.int64)
    return np.asarray((products + half) >> np.asarray(shift, dtype=np.int64), dtype=np.int64)


def divided(sums: Integers, divisors: Integers) -> Integers:
    """Return quotients rounded to whole numbers; halves are rounded up.

    Args:
        sums: Dividends.
        divisors: Even numbers above 0.
    """
    return np.asarray((sums + divisors // 2) // divisors, dtype=np.int64)


def clipped(numbers: npt.NDArray[Any], low: int = LOW, high: int = HIGH) -> npt.NDArray[np.int8]:
    """Return whole numbers within [low, high] as int8."""
    return np.asarray(np.clip(numbers, low, high), dtype=np.int8)
