"""The search loop: ask the strategy, evaluate, record, tell the strategy; and again after an interruption.

The archive is the only state. A strategy's answers follow from its seed and from what it was told, so a
resumed run tells a fresh strategy the recorded iterations, asks again only for the one that was cut,
evaluates what is missing there, and goes on: the archive ends as that of a run that was never interrupted.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

import numpy as np
import numpy.typing as npt

from edanas.core.archive import Archive
from edanas.core.attempt import Attempt, Tried
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
"""Why a search stopped: all iterations done, nothing left to ask for, or the hypervolume grows no more."""

MAX_EVALS, TIME_LIMIT = "max_evals", "time_limit"
"""Or because a budget was spent."""

HYPERVOLUME_BOX = "hypervolume_box"
"""The archive's note with the ideal and the reference point that hypervolumes are measured between."""

_FINISHED = "iterations_finished"


@dataclass(frozen=True)
class SearchOutcome:
    """What a search leaves.

    Args:
        evaluations: The whole archive, in order.
        genomes: Their canonical genomes, (n, D).
        hypervolumes: After the initial archive and after each iteration, the last one perhaps cut short.
        stopped: `completed`, `exhausted`, `converged`, `max_evals` or `time_limit`.
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
        """Search until the settings' end.

        Raises:
            CandidateError: Not one candidate of the initial archive could be evaluated.
            InfeasibleError: The structure of all candidates that the strategy found breaks a constraint.
            Interrupted: The user pressed Ctrl-C; the archive is closed, and a new engine on it goes on.
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
                if not self._stopped and self._stands_still(hypervolumes):
                    self._stopped = CONVERGED
        genomes = np.array(self._ledger.genomes, dtype=np.int64)
        return SearchOutcome(
            tuple(self._ledger.evaluations), genomes, tuple(hypervolumes), self._stopped or COMPLETED
        )

    def _stands_still(self, hypervolumes: Sequence[float]) -> bool:
        """Whether the last `patience` iterations together brought no gain that counts."""
        patience = self.settings.patience
        if not patience or len(hypervolumes) <= patience:
            return False
        return hypervolumes[-1] - hypervolumes[-1 - patience] <= self.settings.min_gain

    def _round(self, iteration: int, ask: Callable[[], list[Candidate]], count: int, bar: Bar) -> int:
        """Complete an iteration and tell the strategy; returns how many evaluations are new.

        Sets `_stopped` where a budget ends it or there is nothing to ask for.
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
        """Evaluate what an iteration lacks, as far as the budgets go; returns how many that were."""
        self._stopped = self._spent()
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
        """What an iteration consists of: what the strategy chooses, less what other iterations hold.

        What a candidate's structure makes infeasible is not evaluated.
        """
        taken = {e.candidate.id for e in self._ledger.evaluations} - recorded
        plan: dict[str, Candidate] = {}
        for choice in ask():
            candidate = self.space.decode(self.space.encode(choice))
            violation = self._limits.structure(candidate)
            if violation > 0:
                self._refused[candidate.id] = violation, candidate
            elif candidate.id not in taken:
                plan.setdefault(candidate.id, candidate)
        return list(plan.values())[:count]

    def _evaluate(self, iteration: int, candidates: Sequence[Candidate], bar: Bar) -> int:
        """Evaluate in order, record each answer as it comes; returns how many there were time for."""
        answers = self.executor.run(self._attempt, self._in_time(candidates))
        done = 0
        for candidate, answer in zip(candidates, answers, strict=False):
            evaluation = self._ledger.judged(candidate, iteration, answer)
            genome = self.space.encode(candidate)
            profile = answer.profile if isinstance(answer, Tried) else None
            if profile is not None:
                # Before the candidate: whatever the archive holds then has its profile, even after a kill.
                self.archive.put_profile(candidate.id, profile)
            self.archive.append(evaluation, genome)
            self._ledger.add(genome, evaluation, profile)
            done += 1
            bar.advance(1, "" if evaluation.ok else f"{candidate.id} failed: {evaluation.error}")
            self.notify("edanas_candidate_evaluated", evaluation=evaluation)
        return done

    def _in_time(self, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
        for candidate in candidates:
            if self._ledger.evaluations and monotonic() >= self._deadline:
                return
            yield candidate

    def _box(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Ideal and reference point of the hypervolume, noted in the archive once they are final."""
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
        """The hypervolume so far; tells that an iteration is complete, where that is news."""
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

    def _spent(self) -> str:
        """Which budget allows no further evaluation, or nothing."""
        if self._affordable(len(self._ledger) + 1) <= len(self._ledger):
            return MAX_EVALS
        return TIME_LIMIT if self._ledger.evaluations and monotonic() >= self._deadline else ""

    def _affordable(self, evaluations: int) -> int:
        return min(evaluations, self.settings.max_evals or evaluations)
