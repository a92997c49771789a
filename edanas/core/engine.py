"""The search loop: the strategy chooses candidates, and the engine evaluates and archives them.

The archive is the only state. A strategy's candidates follow from its seed and the evaluations that it
received. A resumed run therefore passes the archived iterations to a fresh strategy. For the interrupted
iteration, it asks the strategy again, evaluates the missing candidates, and goes on. The final archive equals
the archive of a run without interruption.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.archive import Archive
from edanas.core.attempt import Attempt, AttemptResult
from edanas.core.contracts import Evaluator, Executor, IterationSummary, Objective, SearchStrategy
from edanas.core.errors import CandidateError, InfeasibleError, Interrupted
from edanas.core.feasible import Feasibility
from edanas.core.ledger import Front, Ledger
from edanas.core.progress import Bar, Progress, Silent
from edanas.core.rungs import Rungs, rung_note
from edanas.core.settings import SearchSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Evaluation

COMPLETED, EXHAUSTED, CONVERGED = "completed", "exhausted", "converged"
"""Reasons why a search stopped: iterations done, space exhausted, or too little gain of hypervolume."""

MAX_EVALS, MAX_EPOCHS, TIME_LIMIT = "max_evals", "max_epochs", "time_limit"
"""Reasons why a search stopped: evaluations, epochs of candidates or the time reached their limit."""

HYPERVOLUME_BOX = "hypervolume_box"
"""Key of the archive's note with the ideal point and the reference point of the hypervolume."""

EVALUATED = "edanas_candidate_evaluated"
"""Event after each evaluation."""

_FINISHED = "iterations_finished"


def step_note(iteration: int) -> str:
    """Return the key of the archive's note with the summary of an iteration.

    Example:
        >>> step_note(3)
        'iteration 3'
    """
    return f"iteration {iteration}"


def step_values(summary: IterationSummary) -> dict[str, Any]:
    """Return the summary of an iteration without `newest`, in values that JSON can hold.

    Example:
        >>> step_values(IterationSummary(0, evaluated=8, failed=1, hypervolume=0.5, newest=()))["evaluated"]
        8
    """
    values = {name: value for name, value in vars(summary).items() if name != "newest"}
    return {**values, "notes": dict(summary.notes)}


@dataclass(frozen=True)
class SearchOutcome:
    """Result of a search.

    Args:
        evaluations: All n evaluations of the archive, in its order.
        genomes: Canonical genomes (n, D) of the evaluated candidates, D genes each.
        hypervolumes: Hypervolume after the initial archive and after each iteration. The last iteration may
            be incomplete.
        stopped: Reason for the end: `completed`, `exhausted`, `converged`, `max_evals`,
            `max_epochs` or `time_limit`.

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
        strategy: A started search strategy that has received no evaluation yet.
        evaluator: A prepared evaluator, or an attempt with it that the executor recognises.
        executor: Runs the evaluations; the engine closes it when the search ends.
        objectives: The J objectives.
        settings: The length of the search. The time limit counts from the call of `Engine.run`, so that a run
            that reached the limit can be resumed. The search evaluates at least one candidate.
        front: Computes the front of an evaluated backbone if thresholds are continuous; otherwise `None`.
        limits: The constraints, by default none. A candidate whose structure breaks a constraint is not
            evaluated.

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
    evaluator: Evaluator | Attempt
    executor: Executor
    objectives: Sequence[Objective]
    settings: SearchSettings
    front: Front | None = None
    limits: Feasibility = field(default_factory=Feasibility)


class Engine:
    """One search, which continues after the evaluations that its archive already holds.

    Args:
        setup: The parts of the search.
        archive: The archive of this search: empty, or with the evaluations before an interruption. The engine
            closes it only if the user interrupts the search.
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
        evaluator = setup.evaluator
        self._attempt = evaluator if isinstance(evaluator, Attempt) else Attempt(evaluator)
        self._limits = setup.limits
        self._rungs = Rungs(self._attempt.evaluator, setup.strategy, setup.objectives)
        self._ledger = Ledger(setup.objectives, setup.front, setup.limits)
        self._refused: dict[str, tuple[float, Candidate]] = {}
        self._deadline = math.inf
        self._stopped = ""
        self._notes: Mapping[str, str] = {}

    def run(self) -> SearchOutcome:
        """Search until the iterations are done, a limit is reached, or another reason to stop applies.

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
                f"interrupted after {len(self._ledger)} evaluations, which are kept; run the same "
                "search again to resume it"
            ) from None
        finally:
            self.executor.close()

    def _search(self) -> SearchOutcome:
        settings = self.settings
        if settings.time_limit:
            self._deadline = monotonic() + settings.time_limit
        notes = self.archive.meta()
        for genome, evaluation in self.archive.replay():
            self._ledger.add(genome, evaluation, self.archive.get_profile(evaluation.candidate.id))
            self._rungs.replay(notes.get(rung_note(evaluation.candidate.id)))
        initial = self._affordable(settings.initial)
        with self.progress.task("Initial archive", initial) as bar:
            new = self._round(0, self.strategy.initial, settings.initial, bar)
            ideal, reference = self._box()
            hypervolumes = [self._finish(0, new, ideal, reference)]
        rest = self._affordable(settings.initial + settings.iterations * settings.per_iteration) - initial
        with (self.progress if rest else Silent()).task("Search", rest) as bar:
            if not self._stopped:
                self._iterate(hypervolumes, ideal, reference, bar)
        genomes = np.array(self._ledger.genomes, dtype=np.int64)
        return SearchOutcome(
            tuple(self._ledger.evaluations), genomes, tuple(hypervolumes), self._stopped or COMPLETED
        )

    def _iterate(
        self,
        hypervolumes: list[float],
        ideal: npt.NDArray[np.float64],
        reference: npt.NDArray[np.float64],
        bar: Bar,
    ) -> None:
        """Complete the iterations after the initial archive, and append their hypervolumes to the list.

        Args:
            hypervolumes: Hypervolume after the initial archive.
            ideal: Ideal point (J,) of the hypervolume.
            reference: Reference point (J,) of the hypervolume.
            bar: The progress bar; it moves by one step for each candidate.
        """
        for iteration in range(1, self.settings.iterations + 1):
            if self._stopped:
                break
            new = self._round(iteration, self._ask, self.settings.per_iteration, bar)
            if self._ledger.rows(iteration):
                hypervolumes.append(self._finish(iteration, new, ideal, reference))
                bar.advance(0, f"hypervolume {hypervolumes[-1]:.4f}")
            if not self._stopped and self._has_converged(hypervolumes):
                self._stopped = CONVERGED

    def _has_converged(self, hypervolumes: Sequence[float]) -> bool:
        """Return true if the hypervolume grew by at most `min_gain` in the last `patience` iterations."""
        patience = self.settings.patience
        if not patience or len(hypervolumes) <= patience:
            return False
        return hypervolumes[-1] - hypervolumes[-1 - patience] <= self.settings.min_gain

    def _round(self, iteration: int, ask: Callable[[], list[Candidate]], count: int, bar: Bar) -> int:
        """Complete an iteration and pass it to the strategy; return the number of new evaluations.

        Set `_stopped` if a limit is reached or the space is exhausted.

        Args:
            iteration: Number of the iteration; 0 = the initial archive.
            ask: Returns the candidates that the strategy chooses.
            count: Number of candidates in a complete iteration.
            bar: The progress bar; it moves by one step for each candidate.
        """
        rows = self._ledger.rows(iteration)
        bar.advance(len(rows))
        followed = bool(self._ledger.evaluations) and self._ledger.evaluations[-1].iteration > iteration
        new = 0
        if len(rows) < count and not followed:
            new = self._extend(iteration, ask, count, bar)
        elif iteration and self.archive.meta().get(_FINISHED, 0) <= iteration:
            ask()  # a killed process did not record the strategy's notes
        self._tell(self._ledger.rows(iteration))
        return new

    def _tell(self, rows: Sequence[int]) -> None:
        """Pass the evaluations with the indices `rows` to the strategy; do nothing if there are none."""
        if rows:
            self.strategy.tell(
                np.array([self._ledger.genomes[i] for i in rows], dtype=np.int64),
                np.array([self._ledger.values[i] for i in rows], dtype=np.float64),
                [self.archive.get_profile(self._ledger.evaluations[i].candidate.id) for i in rows],
                np.array([self._ledger.excesses[i] for i in rows], dtype=np.float64),
            )

    def _extend(self, iteration: int, ask: Callable[[], list[Candidate]], count: int, bar: Bar) -> int:
        """Evaluate the candidates that an iteration still lacks, until a limit of evaluations or time.

        Set `_stopped` to the limit that is reached, or to `EXHAUSTED` if the strategy has no new candidate.
        Arguments as for `_round`.

        Returns:
            Number of evaluated candidates.
        """
        self._stopped = self._spent_budget()
        if self._stopped:
            return 0
        recorded = [self._ledger.evaluations[i].candidate.id for i in self._ledger.rows(iteration)]
        plan = self._plan(ask, set(recorded), count)
        if not plan and not recorded:
            self._stopped = EXHAUSTED
            return 0
        if [candidate.id for candidate in plan[: len(recorded)]] != recorded:
            self._say_other_candidates(iteration)
        missing = [c for c in plan if c.id not in recorded][: count - len(recorded)]
        due = missing[: self._affordable(len(self._ledger) + len(missing)) - len(self._ledger)]
        done = self._evaluate(iteration, due, bar)
        if done < len(due):
            self._stopped = TIME_LIMIT
        elif done < len(missing):
            self._stopped = self._limit_of(len(self._ledger) + 1)
        return done

    def _say_other_candidates(self, iteration: int) -> None:
        self.progress.say(
            f"iteration {iteration}: the search strategy chooses other candidates than before the "
            "interruption; the evaluations from before stay in the archive"
        )

    def _plan(self, ask: Callable[[], list[Candidate]], recorded: set[str], count: int) -> list[Candidate]:
        """Return the candidates of an iteration: at most `count` of the strategy's choices.

        Candidates that other iterations evaluated, or whose structure breaks a constraint, are left out.

        Args:
            ask: Returns the candidates that the strategy chooses.
            recorded: Ids of the candidates that this iteration has evaluated already.
            count: Number of candidates in a complete iteration.
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
        """Evaluate and archive candidates in order; return the number of evaluated candidates."""
        size = min([*self._ledger.rows(iteration), len(self._ledger)])
        items = (self._rungs.item(each, size) for each in self._until_deadline(candidates))
        answers = self.executor.run(self._attempt, items)
        done = 0
        for candidate, answer in zip(candidates, answers, strict=False):
            self._record(iteration, candidate, answer, bar)
            done += 1
        return done

    def _record(
        self, iteration: int, candidate: Candidate, answer: AttemptResult | CandidateError, bar: Bar
    ) -> None:
        """Archive the evaluation of a candidate, and report it."""
        evaluation = self._ledger.to_evaluation(candidate, iteration, answer)
        genome = self.space.encode(candidate)
        packed = answer.profile if isinstance(answer, AttemptResult) else None
        if packed is not None:
            # Stored before the evaluation: every archived candidate has its profile, even after a kill.
            self.archive.put_profile(candidate.id, packed)
        partial = answer.partial if isinstance(answer, AttemptResult) and evaluation.ok else ()
        if partial:
            stopped = isinstance(answer, AttemptResult) and answer.stopped
            self.archive.set_meta(rung_note(candidate.id), self._rungs.record(partial, stopped=stopped))
        else:
            self._rungs.replay(None)
        self.archive.append(evaluation, genome)
        profile = packed.opened if packed and self._ledger.reads_profiles else None
        self._ledger.add(genome, evaluation, profile)
        bar.advance(1, "" if evaluation.ok else f"{candidate.id} failed: {evaluation.error}")
        self.notify(EVALUATED, evaluation=evaluation)

    def _until_deadline(self, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
        for candidate in candidates:
            if self._is_late():
                return
            yield candidate

    def _is_late(self) -> bool:
        return bool(self._ledger.evaluations) and monotonic() >= self._deadline

    def _box(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return the ideal and the reference point of the hypervolume; archive both once they are final.

        Raises:
            InfeasibleError: Every candidate of the strategy breaks a constraint by its structure.
            CandidateError: No evaluation of the initial archive succeeded.
        """
        if not self._ledger.evaluations and self._refused:
            _, nearest = min(self._refused.values(), key=lambda each: (each[0], each[1].id))
            raise InfeasibleError(
                "the search found no candidate whose structure keeps the constraints; the nearest candidate "
                f"is {nearest.id}: {'; '.join(self._limits.breaches(nearest))}",
                nearest,
            )
        ideal, reference = self._ledger.box()
        if self._stopped != TIME_LIMIT:
            self.archive.set_meta(HYPERVOLUME_BOX, {"ideal": ideal.tolist(), "reference": reference.tolist()})
        return ideal, reference

    def _finish(
        self, iteration: int, new: int, ideal: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]
    ) -> float:
        """Return the hypervolume after an iteration; report a complete iteration once.

        Args:
            iteration: Number of the iteration.
            new: Number of evaluations that this process added to the iteration.
            ideal: Ideal point (J,) of the hypervolume.
            reference: Reference point (J,) of the hypervolume.
        """
        rows = self._ledger.rows(iteration)
        # In an asynchronous search, the last evaluation of an earlier iteration may come later.
        size = 1 + max(i for i, e in enumerate(self._ledger.evaluations) if e.iteration <= iteration)
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
            self.archive.set_meta(step_note(iteration), step_values(summary))
            self.notify("edanas_iteration_finished", summary=summary)
            self.archive.set_meta(_FINISHED, iteration + 1)
        return volume

    def _ask(self) -> list[Candidate]:
        candidates = self.strategy.ask(self.settings.per_iteration)
        self._notes = dict(self.strategy.notes())
        return candidates

    def _spent_budget(self) -> str:
        """Return the name of the limit that forbids another evaluation; empty if there is none."""
        limit = self._limit_of(len(self._ledger) + 1)
        return limit or (TIME_LIMIT if self._is_late() else "")

    def _limit_of(self, evaluations: int) -> str:
        """Return the name of the limit that so many evaluations exceed; empty if there is none."""
        if self.settings.max_evals and evaluations > self.settings.max_evals:
            return MAX_EVALS
        return MAX_EPOCHS if self._affordable(evaluations) < evaluations else ""

    def _affordable(self, evaluations: int) -> int:
        """Return the largest number of evaluations, up to a number, within the limits of both settings.

        Trainings of further candidates count as whole trainings, so that the number does not depend on the
        order in which workers finish.
        """
        most = min(evaluations, self.settings.max_evals or evaluations)
        if self.settings.max_epochs:
            most = min(most, len(self._ledger) + self._rungs.affordable(self.settings.max_epochs))
        return most
