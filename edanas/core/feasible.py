"""Feasibility: violations of constraints, and Pareto dominance that puts feasibility first (Deb, 2000)."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Constraint
from edanas.core.errors import CandidateError
from edanas.core.types import Candidate, Metrics, SelectionScheme

Values = npt.NDArray[np.float64]


class Feasibility:
    """All constraints of a run, and the violations of candidates.

    An excess is the distance of a candidate from the limit of one constraint; see `Constraint.excess`. The
    violation of a candidate is the sum of its positive excesses: 0 if it keeps all constraints. The structure
    of a candidate is its choices and the costs that follow from them, without accuracies.

    Args:
        constraints: The prepared constraints.
        counted: Returns metrics with exact costs from a candidate's structure; `None` if only an evaluation
            can count costs.
        bare: True if a candidate stands for all selection schemes on its backbone. Its structure is then
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
        self.measured = [c for c in self.constraints if c.basis not in known]
        """The constraints that need an evaluation."""
        costs = any(c.basis == "costs" for c in self._structural)
        self._counted = counted if costs else None
        self._bare = bare

    @property
    def limits(self) -> int:
        """Number M of constraints that need an evaluation."""
        return len(self.measured)

    @property
    def structural(self) -> bool:
        """True if at least one constraint depends on the structure alone."""
        return bool(self._structural)

    def structure(self, candidate: Candidate) -> float:
        """Return a candidate's violation of the constraints that depend on its structure alone.

        Raises:
            CandidateError: An excess is not finite.
        """
        candidate, metrics = self._structure(candidate)
        return sum(max(0.0, _excess(c, candidate, metrics)) for c in self._structural)

    def excesses(self, candidate: Candidate, metrics: Metrics) -> list[float]:
        """Return a candidate's excesses over the M constraints that need an evaluation.

        Raises:
            CandidateError: An excess is not finite.
        """
        return [_excess(c, candidate, metrics) for c in self.measured]

    def violation(self, candidate: Candidate, metrics: Metrics) -> float:
        """Return a candidate's violation of all constraints.

        Raises:
            CandidateError: An excess is not finite.
        """
        return sum(max(0.0, _excess(c, candidate, metrics)) for c in self.constraints)

    def breaches(self, candidate: Candidate, metrics: Metrics | None = None) -> list[str]:
        """Return a sentence for each broken constraint.

        Without metrics, only the constraints that depend on the structure are checked.
        """
        broken, candidate, metrics = self._broken(candidate, metrics)
        return [c.describe(candidate, metrics) for c in broken]

    def breaks_memory(self, candidate: Candidate, metrics: Metrics | None = None) -> bool:
        """Return whether a limit of RAM or flash is among the constraints of `breaches`."""
        return any(constraint.footprints for constraint in self._broken(candidate, metrics)[0])

    def _broken(
        self, candidate: Candidate, metrics: Metrics | None
    ) -> tuple[list[Constraint], Candidate, Metrics | None]:
        """Return the broken constraints, with the candidate and the metrics that break them."""
        constraints: Sequence[Constraint] = self.constraints
        if metrics is None:
            constraints = self._structural
            candidate, metrics = self._structure(candidate)
        return [c for c in constraints if _excess(c, candidate, metrics) > 0], candidate, metrics

    def _structure(self, candidate: Candidate) -> tuple[Candidate, Metrics | None]:
        """Return the candidate whose structure is checked, and its counted metrics.

        The candidate has no exits if `bare` is true. The metrics are `None` if no structural constraint
        depends on costs.
        """
        if self._bare:
            nothing = SelectionScheme((None,) * len(candidate.scheme.thresholds))
            candidate = Candidate(candidate.backbone, nothing)
        return candidate, self._counted(candidate) if self._counted else None


def feasible_first(values: Values, violations: Values) -> Values:
    """Return values (n, J) for which plain Pareto dominance equals dominance by Deb's rule.

    By that rule, a feasible candidate dominates every infeasible candidate, and the smaller violation decides
    between two infeasible candidates. The values of feasible candidates do not change. The values of an
    infeasible candidate become worse than the worst finite value of each objective; the difference grows with
    the violation. Rows that are not finite do not change.

    Source: K. Deb, An Efficient Constraint Handling Method for Genetic Algorithms, Computer Methods in
    Applied Mechanics and Engineering 186, 2000.

    Args:
        values: Minimised values (n, J) of n candidates in J objectives.
        violations: Violation (n,) of each candidate, 0 or more.

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
        raise CandidateError(
            f"constraint {type(constraint).__name__} is exceeded by {excess}; allowed: finite numbers"
        )
    return excess
