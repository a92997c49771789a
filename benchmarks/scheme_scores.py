"""Accuracy and cost of all combinations of thresholds of one backbone at once, from its exit profile."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.types import ExitProfile
from edanas.thresholds.schemes import Floats, Thresholds, sum_at_exits


def score_schemes(
    profile: ExitProfile, costs_of_exit: npt.ArrayLike, grids: Sequence[Thresholds]
) -> tuple[Floats, Floats]:
    """Return accuracy and mean cost of every combination of thresholds.

    The results equal those of scoring each combination by itself. The time grows with the sum of the numbers
    of samples and combinations instead of their product.

    Args:
        profile: Exit profile with a column for each of the P placed exits and the last exit; see
            `restrict_profile`. It has at least one sample.
        costs_of_exit: (P + 1,) cost of a sample that exits at each placed exit and at the last exit.
        grids: For each placed exit, the thresholds to combine, rising, in float32.

    Returns:
        Top-1 accuracy, a fraction, and mean cost per sample: two arrays with an axis for each placed exit, as
        long as the exit's grid.
    """
    columns = profile.confidence[:, :-1].T
    levels = [np.searchsorted(grid, each, side="right") for grid, each in zip(grids, columns, strict=True)]
    shape = [len(grid) for grid in grids]
    right = sum_at_exits(levels, shape, profile.correct)
    cost = sum_at_exits(levels, shape, np.broadcast_to(costs_of_exit, profile.correct.shape))
    return right / len(profile), cost / len(profile)
