"""Which candidates keep the constraints, what the others break, and how that ranks (Deb, 2000)."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Constraint
from edanas.core.errors import CandidateError
from edanas.core.types import Candidate, Metrics, SelectionScheme

Values = npt.NDArray[np.float64]


class Feasibility:
    """All constraints of a run together.

    A candidate's violation is the sum of its excesses above 0: 0 where it keeps all constraints.

    Args:
        constraints: Prepared.
        counted: Metrics with exact costs from a candidate's structure alone; `None` where a backbone must be
            built to be counted. Costs are then known from an evaluation only.
        bare: Whether a candidate stands for all selection schemes on its backbone: its structure is then
            judged without exits.
    """

    def __init__(
        self,
        constraints: Sequence[Constraint] = (),
        counted: Callable[[Candidate], Metrics] | None = None,
        *,
        bare: bool = False,
    ) -> None:
        self.constraints = tuple(constraints)
        known = ("choices", "costs") if counted else ("choices",)
        self._structural = [c for c in self.constraints if c.basis in known]
        self._measured = [c for c in self.constraints if c.basis not in known]
        costs = any(c.basis == "costs" for c in self._structural)
        self._counted = counted if costs else None
        self._bare = bare

    @property
    def limits(self) -> int:
        """M, how many constraints only an evaluation decides."""
        return len(self._measured)

    @property
    def structural(self) -> bool:
        """Whether there are constraints that the structure decides."""
        return bool(self._structural)

    def structure(self, candidate: Candidate) -> float:
        """The violation of the constraints that the structure decides."""
        candidate, metrics = self._structure(candidate)
        return sum(max(0.0, _excess(c, candidate, metrics)) for c in self._structural)

    def excesses(self, candidate: Candidate, metrics: Metrics) -> list[float]:
        """(M,) excesses of the constraints that an evaluation decides."""
        return [_excess(c, candidate, metrics) for c in self._measured]

    def violation(self, candidate: Candidate, metrics: Metrics) -> float:
        """The violation of all constraints.

        Raises:
            CandidateError: An excess is not finite.
        """
        return sum(max(0.0, _excess(c, candidate, metrics)) for c in self.constraints)

    def breaches(self, candidate: Candidate, metrics: Metrics | None = None) -> list[str]:
        """What the candidate breaks, in words; without metrics, by its structure alone."""
        constraints: Sequence[Constraint] = self.constraints
        if metrics is None:
            constraints = self._structural
            candidate, metrics = self._structure(candidate)
        broken = [c for c in constraints if _excess(c, candidate, metrics) > 0]
        return [c.describe(candidate, metrics) for c in broken]

    def _structure(self, candidate: Candidate) -> tuple[Candidate, Metrics | None]:
        """What the structure is judged by."""
        if self._bare:
            nothing = SelectionScheme((None,) * len(candidate.scheme.thresholds))
            candidate = Candidate(candidate.backbone, nothing)
        return candidate, self._counted(candidate) if self._counted else None


def feasible_first(values: Values, violations: Values) -> Values:
    """(n, J) values in which plain dominance is that of Deb's rule (2000).

    A feasible candidate dominates any other, of two infeasible ones the smaller violation does, and feasible
    ones dominate each other as they do anyway. So the values of feasible candidates stay; all of an
    infeasible one's become worse than the worst that there is, by its violation (the fitness of that paper,
    the same in each objective). Rows that are not finite stay.

    Args:
        values: (n, J) minimised.
        violations: (n,) 0 or more.
    """
    broken = np.asarray(violations) > 0
    finite = np.isfinite(values).all(axis=1)
    if not (broken & finite).any():
        return values
    worst, span = values[finite].max(axis=0), np.ptp(values[finite], axis=0)
    share = violations / violations[broken & finite].max()
    beyond = worst + np.where(span > 0, span, 1.0) * (1.0 + share)[:, None]
    return np.where((broken & finite)[:, None], beyond, values)


def _excess(constraint: Constraint, candidate: Candidate, metrics: Metrics | None) -> float:
    found = float(constraint.excess(candidate, metrics))
    if not math.isfinite(found):
        raise CandidateError(f"constraint {type(constraint).__name__} is exceeded by {found}")
    return found
