"""Quality of the estimates for backbones outside a table, by cross-validation over the table's backbones."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.types import CONTINUOUS, Candidate, SelectionScheme
from edanas.tables.neighbours import MOST, Neighbours
from edanas.tables.reader import Table

FOLDS, SCHEMES = 5, 6
"""Folds of the cross-validation, and random schemes for each backbone."""

FEWEST = 20
"""Fewest backbones for a cross-validation."""


@dataclass(frozen=True)
class Quality:
    """Errors of estimates, on candidates whose backbones were left out of the estimator.

    Args:
        candidates: Number of compared candidates.
        accuracy_error: Mean absolute error, a fraction.
        accuracy_rank: Spearman's rank correlation over backbones under one scheme, mean over schemes.
        macs_error: Mean relative error of ADA_MACS, a fraction.
        macs_rank: Rank correlation of ADA_MACS over backbones, mean over schemes.
    """

    candidates: int
    accuracy_error: float
    accuracy_rank: float
    macs_error: float
    macs_rank: float

    def __str__(self) -> str:
        return (
            f"estimates for backbones left out ({self.candidates:,} candidates, {FOLDS} folds): accuracy is "
            f"off by {100 * self.accuracy_error:.2f} points on average (rank correlation "
            f"{self.accuracy_rank:.2f}), ADA_MACS by {100 * self.macs_error:.2f}% ({self.macs_rank:.2f})"
        )


def leave_out(table: Table, part: str = "", seed: int = 0) -> Quality | None:
    """Estimate each backbone of a table, at most `MOST`, from the backbones of the other folds.

    Args:
        table: With fewer than `FEWEST` backbones, the result is `None`.
        part: The part to judge on; empty = the part that a search judges on.
        seed: Determines folds and schemes.

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
    # (scheme, backbone, measured or estimated, accuracy or ADA_MACS)
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
    """Return values (schemes, backbones, 2, 2): measured and estimated, accuracy and ADA_MACS."""
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
    """Return a scheme of random thresholds of the table; continuous ones are uniform."""
    space = table.space()
    if table.description.thresholds == CONTINUOUS:
        return SelectionScheme(tuple(rng.uniform(size=space.exit_points).tolist()))
    return space.decode(space.sample(rng, 1)[0]).scheme


def _rank(values: npt.NDArray[np.float64]) -> float:
    """Return Spearman's correlation of (schemes, backbones, 2), mean over schemes; ties share their ranks."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=1)
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    product = (centred[..., 0] * centred[..., 1]).sum(axis=1)
    sizes = np.sqrt((centred**2).sum(axis=1).prod(axis=1))
    # If all values are equal, there is nothing to rank: the correlation counts as 1.
    return float(np.where(sizes > 0, product / np.maximum(sizes, 1e-12), 1.0).mean())
