"""Searches of a toy problem with a random strategy, and faults for them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edanas.core.archive import Archive
from edanas.core.contracts import Evaluator, Executor, IterationSummary, Objective, SearchStrategy
from edanas.core.engine import Engine, SearchOutcome, SearchSetup
from edanas.core.progress import Silent
from edanas.core.settings import SearchSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Evaluation, Metrics
from edanas.testing.toy_search import ToyAccuracy, ToyCost, ToyEvaluator, toy_problem, toy_space

LENGTH = SearchSettings(initial=6, iterations=3, per_iteration=4)


TOTAL = 18


class Lottery(SearchStrategy):
    """Random candidates by seed and number of results; records its results and the number of its calls."""

    def start(self, problem: Any) -> None:
        self.problem = problem
        self.rows: list[np.ndarray] = []
        self.values: list[np.ndarray] = []
        self.groups: list[int] = []
        self.calls = 0

    def _draw(self, count: int) -> list[Candidate]:
        space: SearchSpace = self.problem.space
        held = {row.tobytes() for row in self.rows}
        rng = np.random.default_rng([self.problem.seed, len(self.rows)])
        left = [genome for genome in space.genomes() if genome.tobytes() not in held]
        return [space.decode(left[i]) for i in rng.permutation(len(left))[:count]]

    def initial(self) -> list[Candidate]:
        self.calls += 1
        return self._draw(self.problem.initial)

    def ask(self, count: int) -> list[Candidate]:
        self.calls += 1
        return self._draw(count)

    def tell(
        self,
        genomes: np.ndarray,
        objectives: np.ndarray,
        profiles: Sequence[Any] = (),
        excesses: np.ndarray | None = None,
    ) -> None:
        assert len(profiles) == len(genomes)
        assert excesses is not None
        assert excesses.shape == (len(genomes), 0)
        assert genomes.dtype == np.int64
        assert objectives.shape == (len(genomes), 2)
        self.groups.append(len(genomes))
        self.rows.extend(genomes)
        self.values.extend(objectives)

    def notes(self) -> dict[str, str]:
        return {"results": str(len(self.rows))}


class Serial(Executor):
    closed = False

    def run(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            yield function(item)

    def close(self) -> None:
        self.closed = True


class Faulty(ToyEvaluator):
    """Replaces the metrics of the n-th evaluation by those of `faults[n]`."""

    def __init__(self, faults: dict[int, Callable[[Metrics], Any]]) -> None:
        self.faults = faults
        self.calls = 0

    def evaluate(self, candidate: Candidate) -> Metrics:
        metrics = super().evaluate(candidate)
        index, self.calls = self.calls, self.calls + 1
        return self.faults[index](metrics) if index in self.faults else metrics


class Calm(Silent):
    """Progress on which each message is an error."""

    def say(self, line: str) -> None:
        raise AssertionError(line)


class Events:
    def __init__(self) -> None:
        self.evaluated: list[Evaluation] = []
        self.summaries: list[IterationSummary] = []

    def __call__(self, event: str, **values: Any) -> None:
        if event == "edanas_candidate_evaluated":
            self.evaluated.append(values.pop("evaluation"))
        else:
            assert event == "edanas_iteration_finished"
            self.summaries.append(values.pop("summary"))
        assert not values


def throw(error: BaseException) -> Callable[[Metrics], Any]:
    def fault(metrics: Metrics) -> Any:
        raise error

    return fault


def changed(**values: Any) -> Callable[[Metrics], Metrics]:
    return lambda metrics: Metrics(**{**metrics.__dict__, **values})


def search(
    folder: Path,
    length: SearchSettings = LENGTH,
    evaluator: Evaluator | None = None,
    strategy: SearchStrategy | None = None,
    notify: Callable[..., None] = lambda *_args, **_values: None,
    space: SearchSpace | None = None,
    objectives: Sequence[Objective] = (ToyAccuracy(), ToyCost()),
    executor: Executor | None = None,
    progress: Any = None,
) -> SearchOutcome:
    space = space or toy_space()
    strategy = strategy or Lottery()
    strategy.start(toy_problem(space, seed=5, initial=length.initial))
    with Archive(folder) as archive:
        evaluator = evaluator or ToyEvaluator()
        setup = SearchSetup(space, strategy, evaluator, executor or Serial(), objectives, length)
        return Engine(setup, archive, notify, progress or Calm()).run()


def recorded(folder: Path) -> list[tuple[list[int], Evaluation]]:
    with Archive(folder) as archive:
        return [(genome.tolist(), evaluation) for genome, evaluation in archive.replay()]
