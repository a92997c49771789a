"""Temperature scaling: the temperature with which the labels of given samples are most likely.

The logits of an exit are divided by the temperature before the softmax.

Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, section 4.2.
"""

import numpy as np
import numpy.typing as npt

_FARTHEST = 100.0
"""Highest temperature; the lowest temperature is its reciprocal."""


def fit_temperature(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """Return the temperature with which the labels are most likely, from 0.01 to 100 and exact in float32.

    The negative log-likelihood is a convex function of the reciprocal temperature, so it has one minimum. If
    no temperature is better than 1, the result is 1.

    Args:
        logits: (S, K) logits of S samples for K classes.
        labels: (S,) true classes, from 0.

    Example:
        >>> logits = np.array([[4, 0], [0, 4], [4, 0], [0, 4]], dtype=np.float32)
        >>> fit_temperature(logits, np.array([0, 1, 0, 0])) > 1  # overconfident
        True
    """
    from scipy.optimize import minimize_scalar

    wide = logits.astype(np.float64)

    def loss(logarithm: float) -> float:
        return negative_log_likelihood(wide / np.exp(logarithm), labels)

    farthest = float(np.log(_FARTHEST))
    minimum = minimize_scalar(loss, bounds=(-farthest, farthest), method="bounded", options={"xatol": 1e-6})
    value = float(np.float32(np.exp(minimum.x)))
    return value if loss(float(np.log(value))) < loss(0.0) else 1.0


def negative_log_likelihood(logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    """Return the mean negative log-likelihood, in nats, of labels (S,) under logits (S, K)."""
    from scipy.special import log_softmax

    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())
