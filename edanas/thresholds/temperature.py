"""Temperature scaling: the temperature that makes the calibration labels most likely.

Guo, Pleiss, Sun, Weinberger: "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

_FARTHEST = 100.0
"""Temperatures are sought from one part in so many to so many."""


def fit_temperature(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """The temperature with which labels (S,) are most likely under logits (S, K); exact in float32.

    Between 0.01 and 100. The negative log-likelihood is convex in its reciprocal, so there is one minimum; 1
    where that is no better.
    """
    wide = logits.astype(np.float64)

    def loss(logarithm: float) -> float:
        return negative_log_likelihood(wide / np.exp(logarithm), labels)

    farthest = float(np.log(_FARTHEST))
    found = minimize_scalar(loss, bounds=(-farthest, farthest), method="bounded", options={"xatol": 1e-6})
    value = float(np.float32(np.exp(found.x)))
    return value if loss(float(np.log(value))) < loss(0.0) else 1.0


def negative_log_likelihood(logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    """Of labels (S,) under logits (S, K), for a sample on average."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean())
