"""Accuracies and objectives of backbones under a fixed set of reference utilizations.

A utilization determines the costs of a backbone exactly. Only the accuracy must be predicted, and accuracy
changes smoothly from backbone to backbone. The reference utilizations together represent the threshold front
of a backbone with continuous thresholds.

Symbols of shapes: T reference utilizations, N exit points, J objectives, M constraints.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.counted_values import one_exit
from edanas.core.types import Backbone, Candidate, ExitProfile, Outcome, SelectionScheme

Values = npt.NDArray[np.float64]

Judge = Callable[[Candidate, Outcome], Sequence[float]]

REFERENCES = 400
"""Largest number of reference utilizations."""


def utilizations(exit_points: int) -> Values:
    """Return the reference utilizations, (T, N + 1): shares of samples at each exit point and the last exit.

    At each exit point, a fraction of the remaining samples exits. The fraction takes evenly spaced values
    from 0 to 1, and the rows hold all combinations. The number of values is the largest for which T is at
    most `REFERENCES`.

    Args:
        exit_points: N, the number of exit points.

    Example:
        >>> utilizations(1)[[0, 200, -1]].round(2)
        array([[0. , 1. ],
               [0.5, 0.5],
               [1. , 0. ]])
    """
    levels = 2
    while _count(levels + 1, exit_points) <= REFERENCES and levels < REFERENCES:
        levels += 1
    shares = np.linspace(0, 1, levels)
    rows: dict[tuple[float, ...], None] = {}
    for fractions in itertools.product(shares, repeat=exit_points):
        left, row = 1.0, []
        for share in fractions:
            row.append(left * share)
            left -= row[-1]
        rows[(*row, left)] = None
    return np.array(list(rows))


def _count(levels: int, exit_points: int) -> int:
    return sum((levels - 1) ** i for i in range(exit_points + 1))


def accuracies(profile: ExitProfile, references: Values) -> Values:
    """Return the top-1 accuracy of a backbone under each reference utilization, (T,).

    At each exit, the remaining samples with the largest confidence exit.

    Args:
        profile: Exit profile of the backbone, with a column for every exit point.
        references: Reference utilizations, (T, N + 1).
    """
    samples = len(profile)
    counts = np.rint(np.cumsum(references, axis=1) * samples).astype(np.int64)
    counts = np.diff(counts, axis=1, prepend=0)
    waiting = np.ones((len(references), samples), dtype=np.bool_)
    right = np.zeros(len(references))
    for exit_ in range(len(profile.points)):
        order = np.argsort(-profile.confidence[:, exit_], kind="stable")
        remaining = waiting[:, order]
        exiting = remaining & (remaining.cumsum(axis=1) <= counts[:, exit_, None])
        right += exiting @ profile.correct[order, exit_].astype(np.float64)
        waiting[:, order] = remaining & ~exiting
    right += waiting @ profile.correct[:, -1].astype(np.float64)
    return right / samples


class Pricing:
    """A function from accuracies under the reference utilizations to objectives and excesses.

    Objectives are assumed to be weighted sums of accuracy and utilization; `fits` checks this. The judge is
    therefore called only for outcomes in which all samples exit at the same exit, with accuracy 0 or 1. If an
    exit without samples costs nothing (as for ADA_MACS), the judge is called only for the scheme with all
    exits. The costs of the first backbone determine whether this is the case.

    Args:
        judge: Computes objectives and excesses; see `SearchProblem.judge`.
        references: Reference utilizations, (T, N + 1).
        every_exit: True if all exits are placed. With false, an exit with utilization 0 is not placed.
    """

    def __init__(self, judge: Judge, references: Values, *, every_exit: bool) -> None:
        self._judge, self._references = judge, references
        self._exit_points = references.shape[1] - 1
        placed = np.ones_like(references[:, :-1], bool) if every_exit else references[:, :-1] > 0
        self._sets, self._set_of = np.unique(placed, axis=0, return_inverse=True)
        self._unused_are_free: bool | None = None
        self._prices: dict[str, tuple[Values, Values]] = {}

    def __call__(self, backbone: Backbone, accuracy: Values) -> Values:
        """Return minimised objective values and excesses under each reference utilization, (T, J + M).

        Args:
            backbone: The backbone, which determines the costs.
            accuracy: Accuracy of the backbone under each reference utilization, (T,).
        """
        if backbone.id not in self._prices:
            self._prices[backbone.id] = self._prices_of(backbone)
        fixed, slope = self._prices[backbone.id]
        return fixed + accuracy[:, None] * slope

    def fits(self, backbone: Backbone) -> bool:
        """Return true if the objectives are weighted sums of accuracy and utilization.

        The check of one backbone is sufficient for all backbones.
        """
        shares, accuracy = self._references.mean(axis=0), 0.5
        scheme = SelectionScheme((1.0,) * self._exit_points)
        mixed = Outcome(accuracy, tuple(shares.tolist()), (accuracy,) * len(shares), accuracy)
        expected = np.array(self._judge(Candidate(backbone, scheme), mixed))
        every = Pricing(self._judge, shares[None], every_exit=True)
        return bool(np.allclose(every(backbone, np.array([accuracy]))[0], expected, rtol=1e-6))

    def _prices_of(self, backbone: Backbone) -> tuple[Values, Values]:
        """Return the objectives and excesses at accuracy 0 for each reference utilization, and their slopes.

        Returns:
            The results of the judge, (T, J + M), for the T reference utilizations; and the slopes of the
            results over accuracy, (J + M,).
        """
        everywhere, slope = self._prices_at_exits(backbone, self._sets[-1])
        fixed = self._references @ everywhere
        if self._unused_are_free is not True:
            alike = True
            for number, placed in enumerate(self._sets):
                rows = np.flatnonzero(self._set_of == number)
                exits = [*np.flatnonzero(placed), self._exit_points]
                values = self._prices_at_exits(backbone, placed)[0]
                alike = alike and np.allclose(values[exits], everywhere[exits], rtol=1e-9)
                fixed[rows] = self._references[rows] @ values
            self._unused_are_free = alike if self._unused_are_free is None else self._unused_are_free
        return fixed, slope

    def _prices_at_exits(self, backbone: Backbone, placed: npt.NDArray[np.bool_]) -> tuple[Values, Values]:
        """Return the results of the judge at accuracy 0, (N + 1, J + M), and their slopes over accuracy.

        In row i, all samples exit at exit i; the last row belongs to the last exit. The slopes, (J + M,),
        are the same for all exits.

        Args:
            backbone: The backbone.
            placed: A boolean for each exit point, (N,): true for a placed exit. The row of an exit that is
                not placed holds zeros.
        """
        scheme = SelectionScheme(tuple(1.0 if is_placed else None for is_placed in placed))
        candidate = Candidate(backbone, scheme)
        last = np.array(self._judge(candidate, one_exit(self._exit_points, self._exit_points, 0.0)))
        slope = np.array(self._judge(candidate, one_exit(self._exit_points, self._exit_points, 1.0))) - last
        values = np.zeros((self._exit_points + 1, len(last)))
        values[-1] = last
        for exit_ in scheme.placed:
            values[exit_] = self._judge(candidate, one_exit(self._exit_points, exit_, 0.0))
        return values, slope
