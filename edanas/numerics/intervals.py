"""Confidence intervals of a share, e.g. of an accuracy."""

import math

Z = 1.959964
"""Half-width of the central 95% interval of a normal distribution, in standard deviations."""


def wilson(share: float, samples: int, z: float = Z) -> tuple[float, float]:
    """Return the lower and the upper bound of the Wilson confidence interval of a measured share.

    The method is by Wilson (JASA 22, 1927).

    Args:
        share: The measured share, in [0, 1].
        samples: Number of samples on which the share was measured, 1 or more.
        z: Half-width of the interval for a normal distribution, in standard deviations; default: 95%
            confidence.

    Example:
        >>> low, high = wilson(0.9, 100)
        >>> round(low, 3), round(high, 3)
        (0.826, 0.945)
    """
    spread = z**2 / samples
    centre = (share + spread / 2) / (1 + spread)
    reach = math.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
    # Rounding must not push the share itself out of its interval.
    return min(share, max(0.0, centre - reach)), max(share, min(1.0, centre + reach))
