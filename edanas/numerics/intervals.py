"""Confidence intervals of shares."""

import math

Z = 1.959964
"""Standard deviations of a normal distribution on either side that hold 95% of it."""


def wilson(share: float, samples: int, z: float = Z) -> tuple[float, float]:
    """The interval of a share measured on so many samples (Wilson, JASA 22, 1927); 95% unless `z` says other.

    Args:
        share: In [0, 1].
        samples: 1 or more.
        z: Standard deviations on either side.
    """
    spread = z**2 / samples
    centre = (share + spread / 2) / (1 + spread)
    reach = math.sqrt(spread * share * (1 - share) + spread**2 / 4) / (1 + spread)
    # Rounding must not push the share itself out of its interval.
    return min(share, max(0.0, centre - reach)), max(share, min(1.0, centre + reach))
