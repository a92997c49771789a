"""Backbones under reference utilizations: how accurate each would be if such shares left at each exit.

A utilization fixes what a backbone costs, exactly; only how accurate it then is must be learnt, and that
changes smoothly from backbone to backbone. Taken together, the reference utilizations trace a backbone's
whole front over continuous thresholds.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.types import Backbone, Candidate, ExitProfile, Outcome, SelectionScheme

Values = npt.NDArray[np.float64]

Judge = Callable[[Candidate, Outcome], Sequence[float]]

REFERENCES = 400
"""About how many reference utilizations there are at most."""


def utilizations(exit_points: int) -> Values:
    """(T, N + 1) shares that leave at each exit point and at the last exit.

    At each exit point the same levels of those who are still there leave, from nobody to everybody, as many
    levels as keep T at `REFERENCES` or below.
    """
    levels = 2
    while _count(levels + 1, exit_points) <= REFERENCES and levels < REFERENCES:
        levels += 1
    shares = np.linspace(0, 1, levels)
    found: dict[tuple[float, ...], None] = {}
    for leaving in itertools.product(shares, repeat=exit_points):
        left, row = 1.0, []
        for share in leaving:
            row.append(left * share)
            left -= row[-1]
        found[(*row, left)] = None
    return np.array(list(found))


def _count(levels: int, exit_points: int) -> int:
    return sum((levels - 1) ** i for i in range(exit_points + 1))


def accuracies(profile: ExitProfile, references: Values) -> Values:
    """Top-1 (T,) of a backbone, if at each exit the surest of those still there leave in these shares.

    Args:
        profile: With a column for every exit point.
        references: (T, N + 1).
    """
    samples = len(profile)
    counts = np.rint(np.cumsum(references, axis=1) * samples).astype(np.int64)
    counts = np.diff(counts, axis=1, prepend=0)
    waiting = np.ones((len(references), samples), dtype=np.bool_)
    right = np.zeros(len(references))
    for exit_ in range(len(profile.points)):
        order = np.argsort(-profile.confidence[:, exit_], kind="stable")
        there = waiting[:, order]
        leaves = there & (there.cumsum(axis=1) <= counts[:, exit_, None])
        right += leaves @ profile.correct[order, exit_].astype(np.float64)
        waiting[:, order] = there & ~leaves
    right += waiting @ profile.correct[:, -1].astype(np.float64)
    return right / samples


class Pricing:
    """The objectives of backbones under the reference utilizations, given how accurate they are.

    Costs are weighted sums of utilizations: it is enough to ask what a backbone is worth when everybody
    leaves at one exit, and for both ends of accuracy. Where exits that nobody takes cost nothing (ADA_MACS),
    which the first backbone tells, it is enough to ask that with all exits.

    Args:
        judge: See `SearchProblem.judge`.
        references: (T, N + 1); where nobody leaves no exit stands, unless `every_exit`.
        every_exit: Whether all exits stand whatever leaves there.
    """

    def __init__(self, judge: Judge, references: Values, *, every_exit: bool) -> None:
        self._judge, self._references = judge, references
        self._exit_points = references.shape[1] - 1
        stands = np.ones_like(references[:, :-1], bool) if every_exit else references[:, :-1] > 0
        self._sets, self._set_of = np.unique(stands, axis=0, return_inverse=True)
        self._free: bool | None = None
        self._prices: dict[str, tuple[Values, Values]] = {}

    def __call__(self, backbone: Backbone, accuracy: Values) -> Values:
        """(T,) accuracies -> (T, J) minimised values, and the excesses behind them, if there are any."""
        if backbone.id not in self._prices:
            self._prices[backbone.id] = self._ask(backbone)
        fixed, slope = self._prices[backbone.id]
        return fixed + accuracy[:, None] * slope

    def fits(self, backbone: Backbone) -> bool:
        """Whether the objectives are such weighted sums; one backbone tells for all."""
        shares, accuracy = self._references.mean(axis=0), 0.5
        scheme = SelectionScheme((1.0,) * self._exit_points)
        mixed = Outcome(accuracy, tuple(shares.tolist()), (accuracy,) * len(shares), accuracy)
        asked = np.array(self._judge(Candidate(backbone, scheme), mixed))
        every = Pricing(self._judge, shares[None], every_exit=True)
        return bool(np.allclose(every(backbone, np.array([accuracy]))[0], asked, rtol=1e-6))

    def _ask(self, backbone: Backbone) -> tuple[Values, Values]:
        """(T, J) values at accuracy 0, and (J,) what accuracy changes."""
        everywhere, slope = self._ask_set(backbone, self._sets[-1])
        fixed = self._references @ everywhere
        if self._free is not True:
            alike = True
            for number, stands in enumerate(self._sets):
                rows = np.flatnonzero(self._set_of == number)
                exits = [*np.flatnonzero(stands), self._exit_points]
                found = self._ask_set(backbone, stands)[0]
                alike = alike and np.allclose(found[exits], everywhere[exits], rtol=1e-9)
                fixed[rows] = self._references[rows] @ found
            self._free = alike if self._free is None else self._free
        return fixed, slope

    def _ask_set(self, backbone: Backbone, stands: npt.NDArray[np.bool_]) -> tuple[Values, Values]:
        """(N + 1, J) values if everybody leaves at an exit and errs, and (J,) what accuracy changes."""
        scheme = SelectionScheme(tuple(1.0 if s else None for s in stands))
        candidate = Candidate(backbone, scheme)
        last = np.array(self._judge(candidate, self._all_leave(self._exit_points, 0.0)))
        slope = np.array(self._judge(candidate, self._all_leave(self._exit_points, 1.0))) - last
        found = np.zeros((self._exit_points + 1, len(last)))
        found[-1] = last
        for exit_ in scheme.placed:
            found[exit_] = self._judge(candidate, self._all_leave(exit_, 0.0))
        return found, slope

    def _all_leave(self, exit_: int, accuracy: float) -> Outcome:
        shares = tuple(float(i == exit_) for i in range(self._exit_points + 1))
        right = tuple(accuracy if share else None for share in shares)
        return Outcome(accuracy, shares, right, accuracy)
