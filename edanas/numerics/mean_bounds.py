"""Upper confidence bounds of a mean loss, which hold for any distribution and any number of samples.

The bound of Waudby-Smith and Ramdas ("Estimating means of bounded random variables by betting", JRSS B 86,
2024) tests the hypothesis that the mean is at least m. A gambler bets on losses below m; the capital is a
supermartingale under the hypothesis, and reaches 1 / delta with a probability of at most delta (Ville's
inequality). The bound adapts to the variance of the losses.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STEPS = 30
"""Number of bisection steps of a bound."""


def mean_is_below(losses: Floats, limit: float, delta: float) -> npt.NDArray[np.bool_]:
    """Return, for each of F losses, whether its mean is below `limit` with probability 1 - `delta`.

    If the mean of the distribution is `limit` or more, the result is true with a probability of at most
    `delta`. The samples have to be in random order.

    Args:
        losses: (S, F) losses of S samples, each at most 1; negative losses are gains.
        limit: The limit, from 0 to 1.
        delta: Largest probability of a wrong result, between 0 and 1.

    Example:
        >>> losses = np.zeros((400, 1))
        >>> bool(mean_is_below(losses, 0.01, 0.05)[0]), bool(mean_is_below(losses[:100], 0.01, 0.05)[0])
        (True, False)
    """
    return np.asarray(_largest_capital(losses, _bets(losses, delta), limit) >= -np.log(delta))


def mean_bound(losses: Floats, delta: float) -> float:
    """Return the upper bound of the mean loss that holds with probability 1 - `delta`, from 0 to 1.

    It is the smallest limit for which `mean_is_below` returns true.

    Args:
        losses: (S,) losses of S samples, each at most 1.
        delta: See `mean_is_below`.

    Example:
        >>> round(mean_bound(np.zeros(400), 0.05), 4)
        0.0077
    """
    column = losses[:, None]
    bets, needed = _bets(column, delta), -np.log(delta)
    low, high = 0.0, 1.0
    if _largest_capital(column, bets, high)[0] < needed:
        return high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _largest_capital(column, bets, middle)[0] >= needed:
            high = middle
        else:
            low = middle
    return high


def least_samples(limit: float, delta: float) -> int:
    """Return the smallest number of samples without any loss for which `mean_is_below` returns true.

    Args:
        limit: See `mean_is_below`; above 0.
        delta: See `mean_is_below`.

    Example:
        >>> least_samples(0.01, 0.05)
        308
    """
    low, high = 0, 1
    while not mean_is_below(np.zeros((high, 1)), limit, delta)[0]:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        passes = bool(mean_is_below(np.zeros((middle, 1)), limit, delta)[0])
        low, high = (low, middle) if passes else (middle, high)
    return high


def _bets(losses: Floats, delta: float) -> Floats:
    """Return the share (S, F) of the capital that is bet on each sample; it depends on earlier samples."""
    count = len(losses)
    numbers = np.arange(2, count + 2, dtype=np.float64)[:, None]
    mean = (0.5 + losses.cumsum(axis=0)) / numbers
    variance = (0.25 + np.square(losses - mean).cumsum(axis=0)) / numbers
    earlier = np.concatenate([np.full((1, losses.shape[1]), 0.25), variance[:-1]])
    bets = np.sqrt(2 * np.log(1 / delta) / (count * np.maximum(earlier, 1e-12)))
    return np.asarray(np.minimum(bets, 1.0))


def _largest_capital(losses: Floats, bets: Floats, limit: float) -> Floats:
    """Return the logarithm (F,) of the largest capital of the gambler against a mean of `limit`."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(-bets * (losses - limit)).cumsum(axis=0).max(axis=0))
