"""Quality of the estimates for backbones outside a table, measured by cross-validation on the table."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.types import CONTINUOUS, Candidate, SelectionScheme
from edanas.tables.neighbours import MOST, Neighbours
from edanas.tables.reader import Table

FOLDS, SCHEMES = 5, 6
"""Number of folds of the cross-validation, and number of random selection schemes for each backbone."""

FEWEST = 20
"""Smallest number of backbones for which a cross-validation is computed."""


@dataclass(frozen=True)
class Quality:
    """Errors of estimates for candidates whose backbones were left out when the estimator was fitted.

    Args:
        candidates: Number of candidates whose estimates are compared with measurements.
        accuracy_error: Mean absolute error of the accuracy, a fraction.
        accuracy_rank: Spearman's rank correlation between estimated and measured accuracy. It is computed
            over the backbones for each selection scheme, then averaged over the schemes.
        macs_error: Mean relative error of ADA_MACS, a fraction.
        macs_rank: Spearman's rank correlation between estimated and measured ADA_MACS, computed as
            `accuracy_rank`.
    """

    candidates: int
    accuracy_error: float
    accuracy_rank: float
    macs_error: float
    macs_rank: float

    def __str__(self) -> str:
        return (
            f"estimates for left-out backbones ({self.candidates:,} candidates, {FOLDS} folds) have a mean "
            f"error of {100 * self.accuracy_error:.2f} points in accuracy (rank correlation "
            f"{self.accuracy_rank:.2f}) and of {100 * self.macs_error:.2f}% in ADA_MACS (rank correlation "
            f"{self.macs_rank:.2f})"
        )


def leave_out(table: Table, part: str = "", seed: int = 0) -> Quality | None:
    """Return the errors of estimates when each backbone is estimated from the backbones of other folds.

    At most `MOST` backbones of the table take part. With fewer than `FEWEST` backbones, the result is `None`.

    Args:
        table: The table whose backbones are left out in turn.
        part: Name of the part of the data; empty, the default, is the part that a search judges on.
        seed: Determines folds and selection schemes.

    Example:
        >>> from edanas.tables.example_table import example_table
        >>> leave_out(example_table()) is None
        True
    """
    if len(table) < FEWEST:
        return None
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(table))[:MOST]
    schemes = [_scheme(table, rng) for _ in range(SCHEMES)]
    pairs = [
        _compare(table, part, np.sort(np.setdiff1d(rows, fold)), fold, schemes)
        for fold in np.array_split(rows, FOLDS)
    ]
    # Axes: scheme, backbone, measured or estimated, accuracy or ADA_MACS.
    values = np.concatenate(pairs, axis=1)
    error = np.abs(values[:, :, 1] - values[:, :, 0])
    return Quality(
        candidates=values.shape[0] * values.shape[1],
        accuracy_error=float(error[..., 0].mean()),
        accuracy_rank=_rank(values[..., 0]),
        macs_error=float((error[..., 1] / np.maximum(values[:, :, 0, 1], 1.0)).mean()),
        macs_rank=_rank(values[..., 1]),
    )


def _compare(
    table: Table,
    part: str,
    known: npt.NDArray[np.int64],
    left_out: npt.NDArray[np.int64],
    schemes: list[SelectionScheme],
) -> npt.NDArray[np.float64]:
    """Return values (schemes, backbones, 2, 2).

    The third axis holds the measured and the estimated value. The last axis holds accuracy and ADA_MACS.
    """
    model, space = Neighbours(table, part, known), table.description.backbone_space()
    backbones = [space.backbone(table.genomes[row]) for row in left_out]
    return np.array(
        [
            [
                [
                    (metrics.accuracy, metrics.ada_macs)
                    for metrics in (table.metrics(candidate, model.part), model.estimate(candidate))
                ]
                for candidate in (Candidate(backbone, scheme) for backbone in backbones)
            ]
            for scheme in schemes
        ]
    )


def _scheme(table: Table, rng: np.random.Generator) -> SelectionScheme:
    """Return a selection scheme of random thresholds.

    Each threshold is one of the table's choices. If the table's thresholds are continuous, each threshold is
    uniform in [0, 1].
    """
    space = table.space()
    if table.description.thresholds == CONTINUOUS:
        return SelectionScheme(tuple(rng.uniform(size=space.exit_points).tolist()))
    return space.decode(space.sample(rng, 1)[0]).scheme


def _rank(values: npt.NDArray[np.float64]) -> float:
    """Return the mean over schemes of Spearman's rank correlation over backbones; ties share their rank.

    Args:
        values: Measured and estimated values, (schemes, backbones, 2).
    """
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=1)
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    product = (centred[..., 0] * centred[..., 1]).sum(axis=1)
    sizes = np.sqrt((centred**2).sum(axis=1).prod(axis=1))
    # If all measured or all estimated values are equal, the correlation counts as 1.
    return float(np.where(sizes > 0, product / np.maximum(sizes, 1e-12), 1.0).mean())
