"""Early stopping of candidates that are trained one by one: rungs of their training, by ASHA's rule.

Source: L. Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020. As in its stopping
variant, a candidate is never paused: at the end of a rung its training ends, or goes on to the next rung.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Evaluator, Objective, SearchStrategy
from edanas.core.objective_values import minimised
from edanas.core.types import Candidate, Metrics

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StopRule:
    """The strategy's answers to the partial results of one candidate. Picklable.

    Args:
        stops: See `SearchStrategy.stopping`.
        objectives: The J objectives.
        earlier: For each rung but the last, the minimised values (n, J) of the n earlier candidates there.
        reduction: ASHA's reduction factor.
    """

    stops: Callable[[Values, Values, int], bool]
    objectives: tuple[Objective, ...]
    earlier: tuple[Values, ...]
    reduction: int

    def __call__(self, rung: int, metrics: Metrics) -> bool:
        """Return whether a candidate with these metrics stops at the end of rung number `rung`, from 0."""
        values = np.array(minimised(self.objectives, metrics), dtype=np.float64)
        return bool(self.stops(values, self.earlier[rung], self.reduction))


@dataclass(frozen=True)
class Trial:
    """A candidate to evaluate in rungs.

    Args:
        candidate: The candidate.
        rule: Decides at the end of each rung whether the training stops.
    """

    candidate: Candidate
    rule: StopRule

    @property
    def id(self) -> str:
        """The id of the candidate."""
        return self.candidate.id


class Rungs:
    """The partial results of a search, in the order of its evaluations.

    Args:
        evaluator: The evaluation.
        strategy: The strategy.
        objectives: The J objectives.
    """

    def __init__(
        self, evaluator: Evaluator, strategy: SearchStrategy, objectives: Sequence[Objective]
    ) -> None:
        self.strategy, self.objectives = strategy, tuple(objectives)
        self._ends, self._reduction = tuple(evaluator.rungs), evaluator.reduction
        self._results: list[list[list[float]]] = []
        self.spent = 0.0
        """Epochs of the trainings of all evaluated candidates."""

    def item(self, candidate: Candidate, size: int) -> Candidate | Trial:
        """Return what the executor gets: the candidate, with a rule if its training has rungs.

        Args:
            candidate: The candidate.
            size: The number of evaluations whose partial results count.
        """
        if len(self._ends) < 2:
            return candidate
        earlier = tuple(self._at(rung, size) for rung in range(len(self._ends) - 1))
        return Trial(candidate, StopRule(self.strategy.stopping(), self.objectives, earlier, self._reduction))

    def _at(self, rung: int, size: int) -> Values:
        rows = [values[rung] for values in self._results[:size] if len(values) > rung]
        return np.array(rows, dtype=np.float64).reshape(-1, len(self.objectives))

    def record(self, partial: Sequence[Metrics], *, stopped: bool) -> dict[str, Any]:
        """Append the partial results of an evaluation, and return them as values of JSON's types."""
        values = [[float(v) for v in minimised(self.objectives, metrics)] for metrics in partial]
        epochs = self._ends[len(values) - 1] if stopped else self._ends[-1]
        note = {"values": values, "stopped": stopped, "epochs": epochs}
        self.replay(note)
        return note

    def replay(self, note: dict[str, Any] | None) -> None:
        """Append the recorded partial results of an evaluation; `None` = its training had no rungs."""
        self._results.append([] if note is None else note["values"])
        self.spent += sum(self._ends[-1:]) if note is None else note["epochs"]

    def affordable(self, limit: float) -> int:
        """Return the number of further candidates whose whole trainings fit a limit in epochs."""
        # A tolerance for sums of fractions of epochs.
        return max(0, int((limit - self.spent) / self._ends[-1] + 1e-9))


def rung_note(candidate: str) -> str:
    """Return the key of the archive's note with a candidate's partial results.

    Example:
        >>> rung_note("25ac4393ca35")
        'rungs 25ac4393ca35'
    """
    return f"rungs {candidate}"
