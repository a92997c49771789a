"""The asynchronous search loop: a free worker gets the next candidate before the iteration ends.

An iteration is one call of `SearchStrategy.ask`. The strategy is called when all candidates of the iterations
before are in work or finished. It has then received the finished evaluations, in the order in which they
finished, and knows the candidates in work. The archive holds the evaluations in that order, and the note
`ASKS` the number of evaluations before each call. A resumed run therefore repeats the calls.
"""

from collections import deque
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from edanas.core.archive import Archive
from edanas.core.engine import CONVERGED, EXHAUSTED, TIME_LIMIT, Engine, SearchSetup
from edanas.core.progress import Bar
from edanas.core.rungs import Trial
from edanas.core.types import Candidate

ASKS = "asks"
"""Key of the archive's note with the number of evaluations before each iteration's call of the strategy."""


_Choice = tuple[int, Candidate]
"""A candidate, and the number of the iteration that chose it."""


class AsynchronousEngine(Engine):
    """An `Engine` whose workers never wait for the end of an iteration; the arguments are those of `Engine`.

    The initial archive is one iteration that all workers complete, since surrogates and the hypervolume need
    it.
    """

    _batches: list[list[Candidate]]
    _notes_of: list[Mapping[str, str]]
    _sizes: list[int]
    _waiting: deque[_Choice]
    _drawn: list[_Choice]
    _received: int

    @staticmethod
    def continues(setup: SearchSetup, archive: Archive) -> bool:
        """Return whether a search is asynchronous: by its executor, or since its archive began so."""
        return setup.executor.asynchronous or ASKS in archive.meta()

    def _iterate(
        self,
        hypervolumes: list[float],
        ideal: npt.NDArray[np.float64],
        reference: npt.NDArray[np.float64],
        bar: Bar,
    ) -> None:
        """See `Engine._iterate`."""
        self._replay()
        bar.advance(len(self._ledger) - len(self._ledger.rows(0)))
        self._report(hypervolumes, ideal, reference, bar)
        for number, answer in self.executor.as_completed(self._attempt, self._candidates()):
            self._record(*self._drawn[number], answer, bar)
            self._report(hypervolumes, ideal, reference, bar)
            if not self._stopped and self._has_converged(hypervolumes):
                self._stopped = CONVERGED
        begun = [i for i in range(len(hypervolumes), len(self._batches) + 1) if self._ledger.rows(i)]
        hypervolumes += [self._finish_with_notes(iteration, ideal, reference) for iteration in begun]

    def _replay(self) -> None:
        """Repeat the recorded calls of the strategy, and collect the candidates without an evaluation."""
        self._batches, self._notes_of, self._drawn = [], [], []
        self._received = len(self._ledger.rows(0))
        self._sizes = list(self.archive.meta().get(ASKS, []))
        for size in self._sizes:
            self._ask_after(size)
        names = {evaluation.candidate.id for evaluation in self._ledger.evaluations}
        choices = ((iteration, c) for iteration, batch in enumerate(self._batches, 1) for c in batch)
        self._waiting = deque(choice for choice in choices if choice[1].id not in names)
        for iteration, batch in enumerate(self._batches, 1):
            recorded = {self._ledger.evaluations[row].candidate.id for row in self._ledger.rows(iteration)}
            if not recorded <= {candidate.id for candidate in batch}:
                self._say_other_candidates(iteration)

    def _candidates(self) -> Iterator[Candidate | Trial]:
        """Yield the candidates to evaluate; call the strategy when none is left."""
        start = len(self._ledger)
        while not self._stopped:
            self._stopped = self._limit(start + len(self._drawn))
            is_last = len(self._batches) == self.settings.iterations
            if self._stopped or (is_last and not self._waiting):
                return
            if not self._waiting:
                size = len(self._ledger)
                batch = self._ask_after(size)
                if not batch:
                    self._batches.pop()
                    self._stopped = EXHAUSTED
                    return
                self._sizes.append(size)
                self.archive.set_meta(ASKS, self._sizes)
                self._waiting.extend((len(self._batches), candidate) for candidate in batch)
            self._drawn.append(self._waiting.popleft())
            iteration, candidate = self._drawn[-1]
            yield self._rungs.item(candidate, self._sizes[iteration - 1])

    def _ask_after(self, size: int) -> list[Candidate]:
        """Pass the first `size` evaluations to the strategy, and return the candidates of a new iteration."""
        self._tell(range(self._received, size))
        self._received = size
        finished = {each.candidate.id for each in self._ledger.evaluations[:size]}
        earlier = [candidate for batch in self._batches for candidate in batch]
        pending = [self.space.encode(each) for each in earlier if each.id not in finished]
        self.strategy.set_pending(np.array(pending, dtype=np.int64).reshape(-1, self.space.dimensions))
        names = {each.id for each in earlier} | {
            self._ledger.evaluations[row].candidate.id for row in self._ledger.rows(0)
        }
        # A replayed call may return the candidates that the archive holds for it, and those of later calls.
        free = {each.candidate.id for each in self._ledger.evaluations} - names
        batch = [
            each for each in self._plan(self._ask, free, self.settings.per_iteration) if each.id not in names
        ]
        self._batches.append(batch)
        self._notes_of.append(self._notes)
        return batch

    def _limit(self, evaluations: int) -> str:
        """Return the limit that forbids an evaluation after so many; empty if there is none."""
        return self._limit_of(evaluations + 1) or (TIME_LIMIT if self._is_late() else "")

    def _report(
        self,
        hypervolumes: list[float],
        ideal: npt.NDArray[np.float64],
        reference: npt.NDArray[np.float64],
        bar: Bar,
    ) -> None:
        """Append the hypervolume of each iteration that is complete, in the order of iterations."""
        while len(hypervolumes) <= len(self._batches):
            iteration = len(hypervolumes)
            if len(self._ledger.rows(iteration)) < len(self._batches[iteration - 1]):
                return
            hypervolumes.append(self._finish_with_notes(iteration, ideal, reference))
            bar.advance(0, f"hypervolume {hypervolumes[-1]:.4f}")

    def _finish_with_notes(
        self, iteration: int, ideal: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]
    ) -> float:
        self._notes = self._notes_of[iteration - 1]
        return self._finish(iteration, 0, ideal, reference)
