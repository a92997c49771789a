"""Construction of threshold paths, with and without calibration samples."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.types import SelectionScheme
from edanas.thresholds.quantile_thresholds import exit_odds, mean_cost, thresholds_at_odds
from edanas.thresholds.stream_budget import ThresholdPath

_ROOM = 0.25
"""Length by which a path extends beyond its costs on calibration samples, as a fraction of the cost range."""

_SHIFTS = 129
"""Number of common factors of the odds that are tried for a calibrated path."""

_KNOTS = 33
"""Approximate number of rows of thresholds on a path."""

_LOGITS = 8.0
"""Largest shift of thresholds on an uncalibrated path, in logits."""

Floats = npt.NDArray[np.float64]
Confidences = npt.NDArray[np.float32]


def calibrated_path(
    confidence: Confidences, scheme: SelectionScheme, leaving: Floats, utilization: Sequence[float]
) -> ThresholdPath:
    """Return the threshold path through `scheme` on which the odds of exiting keep their ratios.

    On the path, the odds of all exits are multiplied by a common factor; see
    `edanas.thresholds.quantile_thresholds`. At factor 1 they are the odds of `scheme`.

    Args:
        confidence: (S, P) confidences of S calibration samples at the P placed exits.
        scheme: Selection scheme that was chosen on the calibration samples.
        leaving: (P + 1,) cost, in multiply-adds, of a sample that exits at each placed exit and at the last
            exit; rising.
        utilization: (N + 1,) fraction of the calibration samples that exit at each of the N exit points and
            at the last exit under `scheme`.
    """
    points, count = scheme.placed, len(scheme.thresholds)
    odds = exit_odds(utilization, points, len(confidence))
    farthest = float(np.abs(odds).max() + np.log(2 * len(confidence) + 2))
    shifts = np.linspace(-farthest, farthest, _SHIFTS)
    strict_first = [
        _placed_thresholds(thresholds_at_odds(confidence, odds + each, points, count)) for each in shifts
    ]
    # The threshold of an exit that no sample reaches does not change.
    rows = np.minimum.accumulate(strict_first, axis=0)[::-1]
    macs = np.array([_mean_cost(confidence, row, leaving) for row in rows])
    return _thin_path(macs, rows, _ROOM * float(leaving[-1] - leaving[0]))


def uncalibrated_path(scheme: SelectionScheme, leaving: Floats) -> ThresholdPath:
    """Return a threshold path for a network without calibration samples; `scheme` is its middle row.

    From row to row, the logits log(t / (1 - t)) of all thresholds t rise by the same number. The positions
    are evenly spread from the lowest to the highest cost, because the true costs are not known.

    Args:
        scheme: Selection scheme of the network.
        leaving: (P + 1,) cost, in multiply-adds, of a sample that exits at each of the P placed exits and at
            the last exit; rising.
    """
    middle = np.clip(_placed_thresholds(scheme), 1e-4, 1 - 1e-4)
    moves = np.linspace(-_LOGITS, _LOGITS, _KNOTS)[:, None]
    rows = 1.0 / (1.0 + np.exp(-(np.log(middle / (1 - middle)) + moves)))
    rows[_KNOTS // 2] = _placed_thresholds(scheme)
    macs = np.linspace(leaving[0], leaving[-1], _KNOTS)
    return _thin_path(macs, np.maximum.accumulate(rows, axis=0), float(macs[1] - macs[0]))


def _mean_cost(confidence: Confidences, thresholds: Floats, leaving: Floats) -> float:
    """Return the mean cost of samples with thresholds (P,) at the P placed exits; see `calibrated_path`."""
    points = range(len(thresholds))
    return mean_cost(confidence, SelectionScheme(tuple(thresholds.tolist())), points, leaving)


def _placed_thresholds(scheme: SelectionScheme) -> Floats:
    """Return the thresholds (P,) of the P placed exits."""
    return np.array([each for each in scheme.thresholds if each is not None], dtype=np.float64)


def _thin_path(macs: Floats, rows: Floats, room: float) -> ThresholdPath:
    """Return a threshold path of about `_KNOTS` of the rows, evenly spread in cost.

    The path begins with an additional row of zeros and ends with an additional row of ones.

    Args:
        macs: (n,) mean cost of each row, in multiply-adds; not falling.
        rows: (n, P) thresholds.
        room: Distance of the row of zeros and the row of ones from their neighbours, in multiply-adds.
    """
    # Of rows with equal costs the last row is used, which has the highest thresholds.
    macs, place = np.unique(macs[::-1], return_index=True)
    rows = rows[::-1][place]
    targets = np.linspace(macs[0], macs[-1], _KNOTS)
    knots = np.unique(np.abs(macs[:, None] - targets).argmin(axis=0))
    zeros, ones = np.zeros((1, rows.shape[1])), np.ones((1, rows.shape[1]))
    return ThresholdPath(
        np.array([macs[0] - room, *macs[knots], macs[-1] + room]), np.concatenate([zeros, rows[knots], ones])
    )
