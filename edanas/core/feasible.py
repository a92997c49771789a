"""Feasibility: violations of constraints, and dominance by feasibility first (Deb, 2000)."""

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
        counted: Returns metrics with exact costs from a candidate's structure alone; `None` where only an
            evaluation counts them.
        bare: Whether a candidate stands for all selection schemes on its backbone; its structure is then
            checked without exits.

    Example:
        >>> Feasibility().limits
        0
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
        """M, the number of constraints that only an evaluation decides."""
        return len(self._measured)

    @property
    def structural(self) -> bool:
        """True if there are constraints that the structure decides."""
        return bool(self._structural)

    def structure(self, candidate: Candidate) -> float:
        """Return the violation of the constraints that the structure decides."""
        candidate, metrics = self._structure(candidate)
        return sum(max(0.0, _excess(c, candidate, metrics)) for c in self._structural)

    def excesses(self, candidate: Candidate, metrics: Metrics) -> list[float]:
        """Return the M excesses of the constraints that an evaluation decides."""
        return [_excess(c, candidate, metrics) for c in self._measured]

    def violation(self, candidate: Candidate, metrics: Metrics) -> float:
        """Return the violation of all constraints.

        Raises:
            CandidateError: An excess is not finite.
        """
        return sum(max(0.0, _excess(c, candidate, metrics)) for c in self.constraints)

    def breaches(self, candidate: Candidate, metrics: Metrics | None = None) -> list[str]:
        """Return a text for each broken constraint; without metrics, by the structure alone."""
        constraints: Sequence[Constraint] = self.constraints
        if metrics is None:
            constraints = self._structural
            candidate, metrics = self._structure(candidate)
        broken = [c for c in constraints if _excess(c, candidate, metrics) > 0]
        return [c.describe(candidate, metrics) for c in broken]

    def _structure(self, candidate: Candidate) -> tuple[Candidate, Metrics | None]:
        """Return the candidate and the metrics that decide for its structure."""
        if self._bare:
            nothing = SelectionScheme((None,) * len(candidate.scheme.thresholds))
            candidate = Candidate(candidate.backbone, nothing)
        return candidate, self._counted(candidate) if self._counted else None


def feasible_first(values: Values, violations: Values) -> Values:
    """Return (n, J) values whose Pareto dominance follows Deb's rule (2000).

    A feasible candidate dominates an infeasible one; of two infeasible ones, that with the smaller violation
    dominates. Values of feasible candidates do not change. Those of an infeasible one become worse than all
    finite values, by its violation, in each objective (the fitness of that paper). Rows that are not finite
    do not change.

    Args:
        values: (n, J) minimised.
        violations: (n,) 0 or more.

    Example:
        >>> feasible_first(np.array([[1.0, 4.0], [0.0, 0.0]]), np.array([0.0, 0.5]))
        array([[ 1.,  4.],
               [ 3., 12.]])
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
    excess = float(constraint.excess(candidate, metrics))
    if not math.isfinite(excess):
        raise CandidateError(f"constraint {type(constraint).__name__} is exceeded by {excess}")
    return excess
