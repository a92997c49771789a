"""Choice of the candidates that a run finishes, spread over the useful part of the front."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Objective
from edanas.core.types import Evaluation
from edanas.evaluation.selection import objective_values, pareto_set
from edanas.numerics.pareto import RADIUS, ROUNDING, trade_off

_USEFUL = 1 / 3
"""Share of the front's range of the first objective, from its best value, in which candidates are useful."""

_NEAR = RADIUS / 2
"""Distance, with objectives scaled to the range of the front, at which a candidate is near the front."""


def choose_results(
    evaluations: Sequence[Evaluation], objectives: Sequence[Objective], count: int
) -> list[Evaluation]:
    """Choose the candidates to finish: the best trade-off for each number of exits, and others between them.

    Only candidates with early exits that keep all constraints are chosen. The best trade-off for a number of
    exits (Section V-B, paper) is the best among the useful candidates of the front for that number: in the
    first objective they lie in the best third of the range of the Pareto set. If possible, it is near the
    Pareto set, and at least `RADIUS` away from all chosen candidates. If there are more best trade-offs than
    `count`, the trade-offs with the most exits are dropped, and the last place has the best candidate in the
    first objective.

    If there are fewer, candidates of the Pareto set are added: first the best in the first objective, then
    repeatedly the candidate that is farthest from all chosen candidates. Candidates that are worse in the
    first objective than every best trade-off come last, since they lose much accuracy for little cost.
    Distances count costs by their logarithms, so that a front from 10k to 500k multiply-adds gets a network
    at about 70k.

    Args:
        evaluations: The archive.
        objectives: The run's objectives.
        count: Maximum number of returned candidates.

    Returns:
        The best trade-offs by rising number of exits, then the added candidates.
    """
    good = [e for e in evaluations if e.feasible and e.candidate.scheme.exits > 0]
    front = pareto_set(good, objectives)
    if not front:
        return []
    distances = _Distances(front, objectives)
    firsts = objective_values(front, objectives)[:, 0]
    limit = firsts.min() + _USEFUL * np.ptp(firsts)
    chosen: list[Evaluation] = []
    for exits in sorted({e.candidate.scheme.exits for e in good}):
        group = pareto_set([e for e in good if e.candidate.scheme.exits == exits], objectives)
        values = objective_values(group, objectives)
        is_useful = values[:, 0] <= limit
        if is_useful.any():
            is_new = distances.gaps(group, chosen) > RADIUS
            is_good = is_useful & is_new & (distances.gaps(group, front) <= _NEAR)
            chosen.append(group[trade_off(values, is_good if is_good.any() else is_useful)])
    worst = objective_values(chosen, objectives)[:, 0].max()
    best = front[int(firsts.argmin())]
    if best not in chosen[:count] and len(chosen) != count:
        chosen = [*chosen[: max(1, count - 1)], best]
    for is_last in (False, True):
        pairs = zip(front, firsts > worst, strict=True)
        rest = [e for e, flag in pairs if flag == is_last and e not in chosen]
        while len(chosen) < count and rest:
            gaps = distances.gaps(rest, chosen)
            # Rounding must not decide which of two equal distances wins.
            chosen.append(rest.pop(int(np.flatnonzero(gaps >= gaps.max() * (1 - ROUNDING))[0])))
    return chosen[:count]


class _Distances:
    """Distances between candidates, whose objectives are scaled to their range over the front.

    Minimised objectives whose values are all positive, such as multiply-adds, count by their logarithms.

    Args:
        front: The Pareto set, not empty.
        objectives: The run's objectives.
    """

    def __init__(self, front: Sequence[Evaluation], objectives: Sequence[Objective]) -> None:
        self.objectives = objectives
        self.is_positive = objective_values(front, objectives).min(axis=0) > 0
        span = np.ptp(self._scaled(front), axis=0)
        self.span = np.where(span > 0, span, 1.0)

    def gaps(self, candidates: Sequence[Evaluation], chosen: Sequence[Evaluation]) -> npt.NDArray[np.float64]:
        """Return the distance of each candidate to the nearest of `chosen`; infinite if there is none."""
        if not chosen:
            return np.full(len(candidates), np.inf)
        steps = (self._scaled(candidates)[:, None] - self._scaled(chosen)[None]) / self.span
        gaps: npt.NDArray[np.float64] = np.sqrt((steps**2).sum(-1)).min(1)
        return gaps

    def _scaled(self, candidates: Sequence[Evaluation]) -> npt.NDArray[np.float64]:
        values = objective_values(candidates, self.objectives)
        logarithms = np.log(np.where(values > 0, values, 1.0))
        return np.where(self.is_positive, logarithms, values)
