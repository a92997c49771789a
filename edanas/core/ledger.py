"""What a search has so far: evaluations with their genomes and values, trade-offs, the hypervolume."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.attempt import Tried, reason
from edanas.core.contracts import Objective
from edanas.core.errors import CandidateError
from edanas.core.pareto import minimised, normalised_hypervolume, reference_point
from edanas.core.types import Candidate, Evaluation, ExitProfile, Metrics

Values = npt.NDArray[np.float64]

Front = Callable[[Candidate, ExitProfile], Values]
"""All trade-offs (k, J) that an evaluated backbone offers; see `SearchProblem.front`."""


class Ledger:
    """The evaluations of one search, in order, and what they are worth.

    Args:
        objectives: What is optimised, J of them.
        front: Where thresholds are continuous, what a backbone is worth: all of its trade-offs. Otherwise a
            candidate's own values are.
    """

    def __init__(self, objectives: Sequence[Objective], front: Front | None = None) -> None:
        self.objectives = tuple(objectives)
        self.evaluations: list[Evaluation] = []
        self.genomes: list[npt.NDArray[np.int64]] = []
        self.values: list[list[float]] = []
        self._front = front
        self._trade_offs: list[Values] = []

    def __len__(self) -> int:
        return len(self.evaluations)

    def rows(self, iteration: int) -> list[int]:
        """The positions of an iteration's evaluations."""
        return [i for i, e in enumerate(self.evaluations) if e.iteration == iteration]

    def judged(self, candidate: Candidate, iteration: int, answer: Tried | CandidateError) -> Evaluation:
        """An executor's answer as an evaluation; it failed where an objective has no value, too."""
        tried = Tried(reason(answer), 0.0, None) if isinstance(answer, CandidateError) else answer
        found, seconds, profile = tried
        if isinstance(found, Metrics):
            try:
                self._measured(candidate, found, profile)
                return Evaluation(candidate, iteration, found, seconds=seconds)
            except Exception as error:
                found = reason(error)
        return Evaluation(candidate, iteration, None, found, seconds)

    def add(self, genome: npt.NDArray[np.int64], evaluation: Evaluation, profile: ExitProfile | None) -> None:
        """Append an evaluation, of this process or replayed, with its exit profile if one is kept."""
        values, trade_offs = self._measured(evaluation.candidate, evaluation.metrics, profile)
        self.evaluations.append(evaluation)
        self.genomes.append(genome)
        self.values.append(values)
        self._trade_offs.append(trade_offs)

    def _measured(
        self, candidate: Candidate, metrics: Metrics | None, profile: ExitProfile | None
    ) -> tuple[list[float], Values]:
        """The objectives' minimised values, and the trade-offs (k, J) that count for the hypervolume."""
        if metrics is None:
            failed = [math.nan] * len(self.objectives)
            return failed, np.array([failed])
        values = [float(value) for value in minimised(self.objectives, metrics)]
        for objective, value in zip(self.objectives, values, strict=True):
            if not math.isfinite(value):
                raise CandidateError(f"objective {type(objective).__name__} is {value}")
        if self._front is None:
            return values, np.array([values])
        if profile is None:
            raise CandidateError("thresholds are continuous, but the evaluation keeps no exit profile")
        return values, self._front(candidate, profile)

    def box(self) -> tuple[Values, Values]:
        """Ideal and reference point of the hypervolume, both fixed by the initial archive.

        The ideal is 0 for what is minimised and 1 for what is maximised (costs and fractions), or what the
        initial archive reaches, where that is better.

        Raises:
            CandidateError: Nothing in the initial archive succeeded.
        """
        found = [self._trade_offs[i] for i in self.rows(0) if self.evaluations[i].ok]
        if not found:
            raise CandidateError(self._nothing_succeeded())
        points = np.concatenate(found)
        bounds = [-1.0 if objective.maximise else 0.0 for objective in self.objectives]
        return np.minimum(points.min(axis=0), bounds), reference_point(points)

    def hypervolume(self, size: int, ideal: Values, reference: Values) -> float:
        """The dominated share of the box, in [0, 1], by the first `size` evaluations."""
        return normalised_hypervolume(np.concatenate(self._trade_offs[:size]), ideal, reference)

    def _nothing_succeeded(self) -> str:
        if not self.evaluations:
            return "the search strategy has no candidate for the initial archive"
        (cause, times), *_ = Counter(e.error for e in self.evaluations).most_common(1)
        return (
            f"none of the {len(self.evaluations)} candidates of the initial archive could be evaluated; "
            f"the most frequent reason ({times} times) is {cause}"
        )
