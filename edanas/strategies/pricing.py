"""Accuracies and objectives of backbones under reference utilizations.

A utilization determines a backbone's costs exactly. Only the accuracy must be learnt, and it changes smoothly
from backbone to backbone. Together, the reference utilizations trace a backbone's whole front over continuous
thresholds.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.types import Backbone, Candidate, ExitProfile, Outcome, SelectionScheme

Values = npt.NDArray[np.float64]

Judge = Callable[[Candidate, Outcome], Sequence[float]]

REFERENCES = 400
"""Most reference utilizations."""


def utilizations(exit_points: int) -> Values:
    """Return reference utilizations: shares (T, N + 1) that exit at each exit point and at the last exit.

    At each exit point, the fraction of the remaining samples that exit takes the same evenly spaced levels
    from 0 to 1. There are as many levels as keep T at `REFERENCES` or below.

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
    """Return the top-1 accuracies (T,) of a backbone under reference utilizations.

    At each exit, the most confident of the remaining samples exit.

    Args:
        profile: With a column for every exit point.
        references: (T, N + 1) utilizations.
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
    """Objectives of backbones under the reference utilizations, for given accuracies.

    Costs are weighted sums of utilizations. So the judge is called only for outcomes where all samples exit
    at one exit, and for accuracies 0 and 1. If unused exits cost nothing (ADA_MACS), which the first backbone
    shows, the scheme with all exits suffices.

    Args:
        judge: See `SearchProblem.judge`.
        references: (T, N + 1) utilizations; an exit with share 0 is not placed, unless `every_exit`.
        every_exit: Whether all exits are placed.
    """

    def __init__(self, judge: Judge, references: Values, *, every_exit: bool) -> None:
        self._judge, self._references = judge, references
        self._exit_points = references.shape[1] - 1
        placed = np.ones_like(references[:, :-1], bool) if every_exit else references[:, :-1] > 0
        self._sets, self._set_of = np.unique(placed, axis=0, return_inverse=True)
        self._unused_are_free: bool | None = None
        self._prices: dict[str, tuple[Values, Values]] = {}

    def __call__(self, backbone: Backbone, accuracy: Values) -> Values:
        """Return minimised values (T, J) for accuracies (T,), followed by the excesses, if any."""
        if backbone.id not in self._prices:
            self._prices[backbone.id] = self._prices_of(backbone)
        fixed, slope = self._prices[backbone.id]
        return fixed + accuracy[:, None] * slope

    def fits(self, backbone: Backbone) -> bool:
        """Return whether the objectives are such weighted sums; one backbone represents all."""
        shares, accuracy = self._references.mean(axis=0), 0.5
        scheme = SelectionScheme((1.0,) * self._exit_points)
        mixed = Outcome(accuracy, tuple(shares.tolist()), (accuracy,) * len(shares), accuracy)
        expected = np.array(self._judge(Candidate(backbone, scheme), mixed))
        every = Pricing(self._judge, shares[None], every_exit=True)
        return bool(np.allclose(every(backbone, np.array([accuracy]))[0], expected, rtol=1e-6))

    def _prices_of(self, backbone: Backbone) -> tuple[Values, Values]:
        """Return the numbers at accuracy 0, (T, J) for T references, and the slopes over accuracy, (J,)."""
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
        """Return the values if all samples exit at one exit, wrongly, (N + 1, J), and the slopes, (J,)."""
        scheme = SelectionScheme(tuple(1.0 if is_placed else None for is_placed in placed))
        candidate = Candidate(backbone, scheme)
        last = np.array(self._judge(candidate, self._all_exit(self._exit_points, 0.0)))
        slope = np.array(self._judge(candidate, self._all_exit(self._exit_points, 1.0))) - last
        values = np.zeros((self._exit_points + 1, len(last)))
        values[-1] = last
        for exit_ in scheme.placed:
            values[exit_] = self._judge(candidate, self._all_exit(exit_, 0.0))
        return values, slope

    def _all_exit(self, exit_: int, accuracy: float) -> Outcome:
        shares = tuple(float(i == exit_) for i in range(self._exit_points + 1))
        right = tuple(accuracy if share else None for share in shares)
        return Outcome(accuracy, shares, right, accuracy)
