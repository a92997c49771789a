"""The search loop: ask the strategy, evaluate, record, tell the strategy; also after an interruption.

The archive is the only state. A strategy's candidates follow from its seed and the evaluations that it
received. A resumed run therefore passes the recorded iterations to a fresh strategy, asks again only for the
interrupted one, evaluates its missing candidates, and goes on. The archive equals that of a run without
interruption.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

import numpy as np
import numpy.typing as npt

from edanas.core.archive import Archive
from edanas.core.attempt import Attempt, AttemptResult
from edanas.core.contracts import Evaluator, Executor, IterationSummary, Objective, SearchStrategy
from edanas.core.errors import InfeasibleError, Interrupted
from edanas.core.feasible import Feasibility
from edanas.core.ledger import Front, Ledger
from edanas.core.notes import typed_notes
from edanas.core.progress import Bar, Progress, Silent
from edanas.core.settings import SearchSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Evaluation

COMPLETED, EXHAUSTED, CONVERGED = "completed", "exhausted", "converged"
"""Reasons why a search stopped: all iterations done, space exhausted, or hypervolume constant."""

MAX_EVALS, TIME_LIMIT = "max_evals", "time_limit"
"""Reasons why a search stopped: a budget is spent."""

HYPERVOLUME_BOX = "hypervolume_box"
"""The key of the archive's note with the ideal and the reference point of hypervolumes."""

_FINISHED = "iterations_finished"


@dataclass(frozen=True)
class SearchOutcome:
    """Result of a search.

    Args:
        evaluations: The whole archive, in order.
        genomes: Their canonical genomes, (n, D).
        hypervolumes: After the initial archive and after each iteration; the last one may be incomplete.
        stopped: `completed`, `exhausted`, `converged`, `max_evals` or `time_limit`.

    Example:
        >>> SearchOutcome((), np.zeros((0, 3), dtype=np.int64), (0.5, 0.6), COMPLETED).hypervolumes[-1]
        0.6
    """

    evaluations: tuple[Evaluation, ...]
    genomes: npt.NDArray[np.int64]
    hypervolumes: tuple[float, ...]
    stopped: str


@dataclass(frozen=True)
class SearchSetup:
    """The parts of one search, apart from its archive and its listeners.

    Args:
        space: Maps genomes to candidates.
        strategy: Started; it has received no evaluation yet.
        evaluator: Prepared.
        executor: Runs the evaluations; the engine closes it when the search ends.
        objectives: At least one.
        settings: The length of the search. The time limit counts from the call of `Engine.run`, so that a run
            that spent it can continue; at least one candidate is evaluated.
        front: Computes the front of an evaluated backbone, where thresholds are continuous.
        limits: The constraints. A candidate whose structure breaks one is not evaluated.

    Example:
        >>> from edanas.executors.serial import Serial
        >>> from edanas.strategies.random_search import RandomSearch
        >>> from edanas.testing.toy_search import toy_space
        >>> setup = SearchSetup(toy_space(), RandomSearch(), None, Serial(), (), SearchSettings())
        >>> setup.limits.limits
        0
    """

    space: SearchSpace
    strategy: SearchStrategy
    evaluator: Evaluator
    executor: Executor
    objectives: Sequence[Objective]
    settings: SearchSettings
    front: Front | None = None
    limits: Feasibility = field(default_factory=Feasibility)


class Engine:
    """One search, from an archive that may hold the first part of it already.

    Args:
        setup: The parts of the search.
        archive: The archive of this search alone, perhaps interrupted. It stays open, unless the user
            interrupts.
        notify: Called as `notify("edanas_candidate_evaluated", evaluation=...)` when an evaluation is
            durable, and as `notify("edanas_iteration_finished", summary=...)`. A resumed run reports only
            new events.
        progress: Shows the progress bars.
    """

    def __init__(
        self, setup: SearchSetup, archive: Archive, notify: Callable[..., None], progress: Progress
    ) -> None:
        self.space, self.strategy, self.settings = setup.space, setup.strategy, setup.settings
        self.executor = setup.executor
        self.archive = archive
        self.notify = notify
        self.progress = progress
        self._attempt = Attempt(setup.evaluator)
        self._limits = setup.limits
        self._ledger = Ledger(setup.objectives, setup.front, setup.limits)
        self._refused: dict[str, tuple[float, Candidate]] = {}
        self._deadline = math.inf
        self._stopped = ""
        self._notes: Mapping[str, str] = {}

    def run(self) -> SearchOutcome:
        """Search until the settings end it.

        Raises:
            CandidateError: No candidate of the initial archive could be evaluated.
            InfeasibleError: Every candidate of the strategy breaks a constraint by its structure.
            Interrupted: The user pressed Ctrl-C; the archive is closed, and a new engine can resume it.
            RunError: The archive cannot be written.
        """
        try:
            return self._search()
        except KeyboardInterrupt:
            self.archive.close()
            raise Interrupted(
                f"interrupted after {len(self._ledger)} evaluations, which are kept; run the same again "
                "to go on from there"
            ) from None
        finally:
            self.executor.close()

    def _search(self) -> SearchOutcome:
        settings = self.settings
        if settings.time_limit:
            self._deadline = monotonic() + settings.time_limit
        for genome, evaluation in self.archive.replay():
            self._ledger.add(genome, evaluation, self.archive.get_profile(evaluation.candidate.id))
        initial = self._affordable(settings.initial)
        with self.progress.task("Initial archive", initial) as bar:
            new = self._round(0, self.strategy.initial, settings.initial, bar)
            ideal, reference = self._box()
            hypervolumes = [self._finish(0, new, ideal, reference)]
        rest = self._affordable(settings.initial + settings.iterations * settings.per_iteration) - initial
        with (self.progress if rest else Silent()).task("Search", rest) as bar:
            for iteration in range(1, settings.iterations + 1):
                if self._stopped:
                    break
                new = self._round(iteration, self._ask, settings.per_iteration, bar)
                if self._ledger.rows(iteration):
                    hypervolumes.append(self._finish(iteration, new, ideal, reference))
                    bar.advance(0, f"hypervolume {hypervolumes[-1]:.4f}")
                if not self._stopped and self._has_converged(hypervolumes):
                    self._stopped = CONVERGED
        genomes = np.array(self._ledger.genomes, dtype=np.int64)
        return SearchOutcome(
            tuple(self._ledger.evaluations), genomes, tuple(hypervolumes), self._stopped or COMPLETED
        )

    def _has_converged(self, hypervolumes: Sequence[float]) -> bool:
        """Return whether the last `patience` iterations together brought no sufficient gain."""
        patience = self.settings.patience
        if not patience or len(hypervolumes) <= patience:
            return False
        return hypervolumes[-1] - hypervolumes[-1 - patience] <= self.settings.min_gain

    def _round(self, iteration: int, ask: Callable[[], list[Candidate]], count: int, bar: Bar) -> int:
        """Complete an iteration and pass it to the strategy; return the number of new evaluations.

        Set `_stopped` if a budget is spent or the space is exhausted.
        """
        rows = self._ledger.rows(iteration)
        bar.advance(len(rows))
        followed = bool(self._ledger.evaluations) and self._ledger.evaluations[-1].iteration > iteration
        new = 0
        if len(rows) < count and not followed:
            new = self._extend(iteration, ask, count, bar)
        rows = self._ledger.rows(iteration)
        if rows:
            self.strategy.tell(
                np.array([self._ledger.genomes[i] for i in rows], dtype=np.int64),
                np.array([self._ledger.values[i] for i in rows], dtype=np.float64),
                [self.archive.get_profile(self._ledger.evaluations[i].candidate.id) for i in rows],
                np.array([self._ledger.excesses[i] for i in rows], dtype=np.float64),
            )
        return new

    def _extend(self, iteration: int, ask: Callable[[], list[Candidate]], count: int, bar: Bar) -> int:
        """Evaluate the missing candidates of an iteration within the budgets; return their number."""
        self._stopped = self._spent_budget()
        if self._stopped:
            return 0
        recorded = [self._ledger.evaluations[i].candidate.id for i in self._ledger.rows(iteration)]
        plan = self._plan(ask, set(recorded), count)
        if not plan and not recorded:
            self._stopped = EXHAUSTED
            return 0
        if [candidate.id for candidate in plan[: len(recorded)]] != recorded:
            self.progress.say(
                f"iteration {iteration}: the search strategy chooses otherwise than before the interruption; "
                "what was evaluated stays"
            )
        missing = [c for c in plan if c.id not in recorded][: count - len(recorded)]
        due = missing[: self._affordable(len(self._ledger) + len(missing)) - len(self._ledger)]
        done = self._evaluate(iteration, due, bar)
        if done < len(due):
            self._stopped = TIME_LIMIT
        elif done < len(missing):
            self._stopped = MAX_EVALS
        return done

    def _plan(self, ask: Callable[[], list[Candidate]], recorded: set[str], count: int) -> list[Candidate]:
        """Return the candidates of an iteration: the strategy's choices that other iterations do not hold.

        A candidate that is infeasible by its structure is left out.
        """
        others = {e.candidate.id for e in self._ledger.evaluations} - recorded
        plan: dict[str, Candidate] = {}
        for choice in ask():
            candidate = self.space.decode(self.space.encode(choice))
            violation = self._limits.structure(candidate)
            if violation > 0:
                self._refused[candidate.id] = violation, candidate
            elif candidate.id not in others:
                plan.setdefault(candidate.id, candidate)
        return list(plan.values())[:count]

    def _evaluate(self, iteration: int, candidates: Sequence[Candidate], bar: Bar) -> int:
        """Evaluate in order and record each result as it arrives; return their number."""
        answers = self.executor.run(self._attempt, self._until_deadline(candidates))
        done = 0
        for candidate, answer in zip(candidates, answers, strict=False):
            evaluation = self._ledger.to_evaluation(candidate, iteration, answer)
            genome = self.space.encode(candidate)
            profile = answer.profile if isinstance(answer, AttemptResult) else None
            if profile is not None:
                # Before the candidate, so that every archived candidate has its profile, even after a kill.
                self.archive.put_profile(candidate.id, profile)
            self.archive.append(evaluation, genome)
            self._ledger.add(genome, evaluation, profile)
            done += 1
            bar.advance(1, "" if evaluation.ok else f"{candidate.id} failed: {evaluation.error}")
            self.notify("edanas_candidate_evaluated", evaluation=evaluation)
        return done

    def _until_deadline(self, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
        for candidate in candidates:
            if self._ledger.evaluations and monotonic() >= self._deadline:
                return
            yield candidate

    def _box(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return ideal and reference point of the hypervolume; archive them once they are final."""
        if not self._ledger.evaluations and self._refused:
            _, nearest = min(self._refused.values(), key=lambda each: (each[0], each[1].id))
            raise InfeasibleError(
                f"the search found no candidate whose structure keeps the constraints; what came nearest, "
                f"{nearest.id}: {'; '.join(self._limits.breaches(nearest))}"
            )
        ideal, reference = self._ledger.box()
        if self._stopped != TIME_LIMIT:
            self.archive.set_meta(HYPERVOLUME_BOX, {"ideal": ideal.tolist(), "reference": reference.tolist()})
        return ideal, reference

    def _finish(
        self, iteration: int, new: int, ideal: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]
    ) -> float:
        """Return the present hypervolume; report a complete iteration unless it is already reported."""
        rows = self._ledger.rows(iteration)
        size = rows[-1] + 1
        volume = self._ledger.hypervolume(size, ideal, reference)
        unannounced = new or self.archive.meta().get(_FINISHED, 0) <= iteration
        if unannounced and self._stopped != TIME_LIMIT:
            summary = IterationSummary(
                iteration=iteration,
                evaluated=size,
                failed=sum(not e.ok for e in self._ledger.evaluations[:size]),
                hypervolume=volume,
                newest=tuple(self._ledger.evaluations[i] for i in rows),
                notes=self._notes,
                feasible=self._ledger.feasible(rows),
            )
            self.notify("edanas_iteration_finished", summary=summary)
            self.archive.set_meta(_FINISHED, iteration + 1)
        return volume

    def _ask(self) -> list[Candidate]:
        candidates = self.strategy.ask(self.settings.per_iteration)
        self._notes = typed_notes(self.strategy.notes())
        return candidates

    def _spent_budget(self) -> str:
        """Return the budget that allows no further evaluation, or nothing."""
        if self._affordable(len(self._ledger) + 1) <= len(self._ledger):
            return MAX_EVALS
        return TIME_LIMIT if self._ledger.evaluations and monotonic() >= self._deadline else ""

    def _affordable(self, evaluations: int) -> int:
        return min(evaluations, self.settings.max_evals or evaluations)
