"""The loop: what is recorded, what is told, and that an interruption changes nothing."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core import engine as engine_module
from edanas.core.archive import Archive
from edanas.core.contracts import Evaluator, Executor, IterationSummary, Objective, SearchStrategy
from edanas.core.engine import Engine, SearchOutcome
from edanas.core.errors import CandidateError, Interrupted, RunError
from edanas.core.pareto import non_dominated
from edanas.core.progress import Silent
from edanas.core.settings import SearchSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Evaluation, Metrics
from edanas.testing.toys import ToyAccuracy, ToyCost, ToyEvaluator, toy_problem, toy_space

LENGTH = SearchSettings(initial=6, iterations=3, per_iteration=4)
TOTAL = 18


class Lottery(SearchStrategy):
    """Random candidates by seed and number told; remembers what it was told and how often it was asked."""

    def start(self, problem: Any) -> None:
        self.problem = problem
        self.rows: list[np.ndarray] = []
        self.values: list[np.ndarray] = []
        self.groups: list[int] = []
        self.asked = 0

    def _draw(self, count: int) -> list[Candidate]:
        space: SearchSpace = self.problem.space
        held = {row.tobytes() for row in self.rows}
        rng = np.random.default_rng([self.problem.seed, len(self.rows)])
        left = [genome for genome in space.genomes() if genome.tobytes() not in held]
        return [space.decode(left[i]) for i in rng.permutation(len(left))[:count]]

    def initial(self) -> list[Candidate]:
        self.asked += 1
        return self._draw(self.problem.initial)

    def ask(self, count: int) -> list[Candidate]:
        self.asked += 1
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
        return {"asked": str(len(self.rows))}


class Serial(Executor):
    closed = False

    def run(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            yield function(item)

    def close(self) -> None:
        self.closed = True


class Faulty(ToyEvaluator):
    """Does `faults[n]` instead of the n-th evaluation."""

    def __init__(self, faults: dict[int, Callable[[Metrics], Any]]) -> None:
        self.faults = faults
        self.calls = 0

    def evaluate(self, candidate: Candidate) -> Metrics:
        metrics = super().evaluate(candidate)
        index, self.calls = self.calls, self.calls + 1
        return self.faults[index](metrics) if index in self.faults else metrics


class Calm(Silent):
    """Nothing is to be said."""

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
        return Engine(
            space,
            strategy,
            evaluator or ToyEvaluator(),
            executor or Serial(),
            archive,
            objectives,
            length,
            notify,
            progress or Calm(),
        ).run()


def recorded(folder: Path) -> list[tuple[list[int], Evaluation]]:
    with Archive(folder) as archive:
        return [(genome.tolist(), evaluation) for genome, evaluation in archive.replay()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchOutcome, list[Any], Events]:
    """A run that nothing disturbs, its archive and its events."""
    folder = tmp_path_factory.mktemp("whole")
    events = Events()
    return search(folder, notify=events), recorded(folder), events


def test_an_undisturbed_run(whole: tuple[SearchOutcome, list[Any], Events]) -> None:
    outcome, archive, events = whole
    assert outcome.stopped == "completed"
    assert [e.iteration for e in outcome.evaluations] == [0] * 6 + [1] * 4 + [2] * 4 + [3] * 4
    assert archive == list(zip(outcome.genomes.tolist(), outcome.evaluations, strict=True))
    assert events.evaluated == list(outcome.evaluations)
    space = toy_space()
    for genome, evaluation in zip(outcome.genomes, outcome.evaluations, strict=True):
        assert space.decode(genome) == evaluation.candidate
        assert evaluation.metrics == ToyEvaluator().evaluate(evaluation.candidate)
    assert [s.iteration for s in events.summaries] == [0, 1, 2, 3]
    assert [s.evaluated for s in events.summaries] == [6, 10, 14, 18]
    assert [s.notes for s in events.summaries] == [{}, {"asked": "6"}, {"asked": "10"}, {"asked": "14"}]
    assert tuple(s.hypervolume for s in events.summaries) == outcome.hypervolumes
    assert [e for s in events.summaries for e in s.newest] == events.evaluated


def test_hypervolume_grows_between_points_fixed_by_the_initial_archive(
    whole: tuple[SearchOutcome, list[Any], Events], tmp_path: Path
) -> None:
    outcome = search(tmp_path)
    assert list(outcome.hypervolumes) == sorted(outcome.hypervolumes)
    assert 0 < outcome.hypervolumes[0] <= outcome.hypervolumes[-1] <= 1
    with Archive(tmp_path) as archive:
        box = archive.meta()["hypervolume_box"]
    metrics = [e.metrics for e in outcome.evaluations[:6] if e.metrics]
    worst = max(m.ada_macs for m in metrics)
    lowest = min(m.accuracy for m in metrics)
    assert box["ideal"] == [-1.0, 0.0]
    assert box["reference"] == pytest.approx([-0.99 * lowest, 1.01 * worst])
    # The staircase under the front, by hand.
    values = np.array([[-e.metrics.accuracy, e.metrics.ada_macs] for e in outcome.evaluations if e.metrics])
    front = sorted(values[non_dominated(values)].tolist())
    area, height = 0.0, box["reference"][1]
    for error, cost in front:
        area += max(0.0, box["reference"][0] - error) * max(0.0, height - cost)
        height = min(height, cost)
    total = (box["reference"][0] - box["ideal"][0]) * box["reference"][1]
    assert outcome.hypervolumes[-1] == pytest.approx(area / total)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_interruptions_change_nothing(
    whole: tuple[SearchOutcome, list[Any], Events],
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[int],
) -> None:
    """Ctrl-C in the n-th evaluation of each start; the last start runs through."""
    folder = tmp_path_factory.mktemp("cut")
    events = Events()
    strategy = Lottery()
    for cut in cuts:
        before = len(recorded(folder))
        if before + cut >= TOTAL:
            break
        with pytest.raises(Interrupted, match=f"interrupted after {before + cut} evaluations"):
            search(folder, evaluator=Faulty({cut: throw(KeyboardInterrupt())}), notify=events)
        assert len(recorded(folder)) == before + cut
    outcome = search(folder, notify=events, strategy=strategy)
    expected, archive, told = whole
    assert recorded(folder) == archive
    assert outcome.evaluations == expected.evaluations
    np.testing.assert_array_equal(outcome.genomes, expected.genomes)
    assert outcome.hypervolumes == expected.hypervolumes
    # Told once and in order, across all starts, and the strategy in the groups of the undisturbed run.
    assert events.evaluated == told.evaluated
    assert events.summaries == told.summaries
    assert strategy.groups == [6, 4, 4, 4]


def test_complete_iterations_are_told_and_not_asked_again(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        search(tmp_path, evaluator=Faulty({12: throw(KeyboardInterrupt())}))
    strategy = Lottery()
    search(tmp_path, strategy=strategy)
    assert strategy.asked == 2  # the cut iteration, and the last one
    again, events = Lottery(), Events()
    outcome = search(tmp_path, strategy=again, evaluator=Faulty({0: throw(AssertionError())}), notify=events)
    assert (again.asked, len(outcome.evaluations), outcome.stopped) == (0, TOTAL, "completed")
    assert (events.evaluated, events.summaries) == ([], [])


def test_iterations_that_fell_short_are_complete_too(tmp_path: Path) -> None:
    class Modest(Lottery):
        def ask(self, count: int) -> list[Candidate]:
            return super().ask(count - 1)

    first, second = Modest(), Modest()
    with pytest.raises(Interrupted):
        search(tmp_path, strategy=first, evaluator=Faulty({13: throw(KeyboardInterrupt())}))
    outcome = search(tmp_path, strategy=second)
    assert [e.iteration for e in outcome.evaluations] == [0] * 6 + [1] * 3 + [2] * 3 + [3] * 3
    assert (first.asked, second.asked) == (4, 1)


def test_ctrl_c_while_the_strategy_thinks_closes_everything(tmp_path: Path) -> None:
    class Pondering(Lottery):
        def ask(self, count: int) -> list[Candidate]:
            raise KeyboardInterrupt

    executor = Serial()
    space = toy_space()
    strategy = Pondering()
    strategy.start(toy_problem(space, seed=5, initial=6))
    archive = Archive(tmp_path)
    engine = Engine(
        space,
        strategy,
        ToyEvaluator(),
        executor,
        archive,
        (ToyAccuracy(), ToyCost()),
        LENGTH,
        Events(),
        Silent(),
    )
    with pytest.raises(
        Interrupted, match="after 6 evaluations, which are kept; run the same again"
    ) as caught:
        engine.run()
    assert caught.value.exit_code == 130
    assert executor.closed
    with pytest.raises(RunError, match="closed"):
        archive.count()


class OutOfMemoryError(RuntimeError):
    """The name that torch gives the device's."""


FAULTS: dict[str, tuple[Callable[[Metrics], Any], str]] = {
    "exception": (
        throw(ValueError("kernel 4:\n  not in the supernet")),
        "ValueError: kernel 4: not in the supernet",
    ),
    "bare": (throw(ZeroDivisionError()), "ZeroDivisionError"),
    "memory": (throw(MemoryError()), "MemoryError"),
    "device": (throw(OutOfMemoryError("CUDA out of memory.")), "OutOfMemoryError: CUDA out of memory."),
    "exit": (throw(SystemExit(3)), "SystemExit: 3"),
    "nan": (changed(accuracy=float("nan")), "CandidateError: accuracy is nan"),
    "infinite": (changed(utilization=(0.5, float("inf"), 0.5)), "CandidateError: utilization is inf"),
    "type": (lambda metrics: metrics.accuracy, "TypeError: the evaluation gave float; expected Metrics"),
    "text": (changed(params={3}), "TypeError: metrics hold set; expected numbers"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_failed_candidate_is_recorded_and_passed_over(
    name: str, tmp_path: Path, whole: tuple[SearchOutcome, list[Any], Events]
) -> None:
    fault, text = FAULTS[name]
    strategy, events = Lottery(), Events()
    outcome = search(tmp_path, evaluator=Faulty({2: fault, 7: fault}), strategy=strategy, notify=events)
    assert len(outcome.evaluations) == TOTAL
    assert [i for i, e in enumerate(outcome.evaluations) if not e.ok] == [2, 7]
    assert {outcome.evaluations[i].error for i in (2, 7)} == {text}
    assert np.isnan(strategy.values[2]).all()
    assert np.isfinite(np.delete(strategy.values, (2, 7), axis=0)).all()
    assert [s.failed for s in events.summaries] == [1, 2, 2, 2]
    # Results stay with their candidates.
    assert [e.candidate for e in outcome.evaluations] == [e.candidate for e in whole[0].evaluations]
    assert outcome.evaluations[8:] == whole[0].evaluations[8:]
    # A failure is replayed as one.
    again = search(tmp_path, strategy=(resumed := Lottery()))
    assert again.evaluations == outcome.evaluations
    np.testing.assert_array_equal(resumed.values, strategy.values)


def test_a_very_long_reason_is_cut(tmp_path: Path) -> None:
    outcome = search(tmp_path, evaluator=Faulty({0: throw(ValueError("x" * 10_000))}))
    assert outcome.evaluations[0].error == f"ValueError: {'x' * 488}"


def test_an_objective_without_a_number_is_a_failure(tmp_path: Path) -> None:
    class Ratio(ToyCost):
        def value(self, metrics: Metrics) -> float:
            if metrics.params == 0:
                raise ZeroDivisionError("no parameters")
            return float("inf") if metrics.params == 1 else metrics.ada_macs / metrics.params

    outcome = search(
        tmp_path,
        evaluator=Faulty({1: changed(params=0), 3: changed(params=1)}),
        objectives=(ToyAccuracy(), Ratio()),
    )
    errors = [e.error for e in outcome.evaluations]
    assert errors[1] == "ZeroDivisionError: no parameters"
    assert errors[3] == "CandidateError: objective Ratio is inf"
    assert [i for i, e in enumerate(errors) if e] == [1, 3]
    assert outcome.evaluations[1].metrics is None


def test_numbers_of_numpy_are_recorded_as_plain_ones(tmp_path: Path) -> None:
    fault = changed(accuracy=np.float32(0.1), params=np.int64(7), utilization=[np.float64(0.25), 0.5, 0.25])
    outcome = search(tmp_path, evaluator=Faulty({0: fault}))
    metrics = outcome.evaluations[0].metrics
    assert metrics is not None
    assert metrics.utilization == (0.25, 0.5, 0.25)
    assert (type(metrics.accuracy), type(metrics.params)) == (float, int)
    assert metrics.accuracy == float(np.float32(0.1))
    assert recorded(tmp_path)[0][1] == outcome.evaluations[0]


def test_a_dead_workers_candidate_is_a_failure(tmp_path: Path) -> None:
    class Deadly(Serial):
        def run(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
            for index, answer in enumerate(super().run(function, items)):
                yield CandidateError("two worker processes died") if index == 1 else answer

    outcome = search(tmp_path, executor=Deadly())
    assert [e.error for e in outcome.evaluations if not e.ok] == [
        "CandidateError: two worker processes died"
    ] * 4
    assert [i for i, e in enumerate(outcome.evaluations) if not e.ok] == [1, 7, 11, 15]


def test_if_nothing_succeeds_the_run_ends_with_the_most_frequent_reason(tmp_path: Path) -> None:
    faults = {i: throw(ValueError("no such kernel")) for i in range(6)} | {3: throw(MemoryError())}
    for _ in range(2):  # at once, and when it is resumed
        with pytest.raises(
            CandidateError, match=r"none of the 6 .*\(5 times\) is ValueError: no such kernel"
        ):
            search(tmp_path, evaluator=Faulty(faults))
        assert len(recorded(tmp_path)) == 6


def test_one_success_is_enough(tmp_path: Path) -> None:
    faults = {i: throw(MemoryError()) for i in range(TOTAL) if i != 4}
    outcome = search(tmp_path, evaluator=Faulty(faults))
    assert [e.ok for e in outcome.evaluations] == [i == 4 for i in range(TOTAL)]
    assert outcome.hypervolumes[0] > 0


@pytest.mark.parametrize("budget", [1, 5, 6, 7, 10, 17, 18, 40])
def test_a_budget_of_evaluations_is_exact_and_can_be_raised(
    budget: int, tmp_path: Path, whole: tuple[SearchOutcome, list[Any], Events]
) -> None:
    length = SearchSettings(initial=6, iterations=3, per_iteration=4, max_evals=budget)
    for _ in range(2):  # running again adds nothing
        outcome = search(tmp_path, length)
        assert recorded(tmp_path) == whole[1][:budget]
        assert outcome.evaluations == whole[0].evaluations[:budget]
        assert outcome.stopped == ("completed" if budget >= TOTAL else "max_evals")
    assert len(outcome.hypervolumes) == len({e.iteration for e in outcome.evaluations})
    raised = search(tmp_path)
    assert recorded(tmp_path) == whole[1]
    assert raised.hypervolumes == whole[0].hypervolumes


@pytest.mark.parametrize("limit", [0.5, 3.0, 8.0, 30.0])
def test_a_time_limited_run_is_the_beginning_of_the_unlimited_one(
    limit: float,
    tmp_path: Path,
    whole: tuple[SearchOutcome, list[Any], Events],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(engine_module, "monotonic", lambda: float(next(clock)))
    length = SearchSettings(initial=6, iterations=3, per_iteration=4, time_limit=limit)
    events = Events()
    sizes = []
    for _ in range(40):
        outcome = search(tmp_path, length, notify=events)
        sizes.append(len(outcome.evaluations))
        assert recorded(tmp_path) == whole[1][: sizes[-1]]
        if outcome.stopped == "completed":
            break
        assert outcome.stopped == "time_limit"
    # Each start goes on where the last one stopped, at least where its time allows for one evaluation.
    assert sizes[0] >= 1
    if limit > 2:
        assert sizes[-1] == TOTAL
        assert (len(sizes) > 1) == (limit < 30)
        assert sizes == sorted(set(sizes))
        assert events.summaries == whole[2].summaries
        assert outcome.hypervolumes == whole[0].hypervolumes
    else:
        assert set(sizes) == {1}


def test_an_exhausted_space_ends_the_search_tidily(tmp_path: Path) -> None:
    space = toy_space(layers=1, exit_points=1)
    for _ in range(2):
        outcome = search(tmp_path, SearchSettings(initial=6, iterations=9, per_iteration=5), space=space)
        assert outcome.stopped == "exhausted"
        assert len(outcome.evaluations) == space.size() == 18
        assert [e.iteration for e in outcome.evaluations][-2:] == [3, 3]
        assert len(outcome.hypervolumes) == 4


def test_a_strategy_without_a_first_candidate_is_an_error(tmp_path: Path) -> None:
    class Idle(Lottery):
        def initial(self) -> list[Candidate]:
            return []

    with pytest.raises(CandidateError, match="no candidate for the initial archive"):
        search(tmp_path, strategy=Idle())


def test_no_candidate_is_evaluated_twice(tmp_path: Path) -> None:
    class Stubborn(Lottery):
        """Repeats itself within and across iterations, and asks for too much."""

        def ask(self, count: int) -> list[Candidate]:
            fresh = super().ask(count + 2)
            return [self.problem.space.decode(self.rows[0]), fresh[0], *fresh]

    def stopped_at(cut: int) -> list[Any]:
        folder = tmp_path / str(cut)
        if cut < TOTAL:
            with pytest.raises(Interrupted):
                search(folder, strategy=Stubborn(), evaluator=Faulty({cut: throw(KeyboardInterrupt())}))
        search(folder, strategy=Stubborn())
        return recorded(folder)

    undisturbed = stopped_at(TOTAL)
    assert len(undisturbed) == len({e.candidate.id for _, e in undisturbed}) == TOTAL
    assert stopped_at(8) == undisturbed


def test_a_strategy_that_changes_its_mind_is_mentioned_and_keeps_its_archive(tmp_path: Path) -> None:
    class Fickle(Lottery):
        def ask(self, count: int) -> list[Candidate]:
            return super().ask(count + 3)[::-1][:count]

    class Lines(Silent):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def say(self, line: str) -> None:
            self.lines.append(line)

    with pytest.raises(Interrupted):
        search(tmp_path, evaluator=Faulty({8: throw(KeyboardInterrupt())}))
    before, lines = recorded(tmp_path), Lines()
    outcome = search(tmp_path, strategy=Fickle(), progress=lines)
    assert [line[:30] for line in lines.lines] == ["iteration 1: the search strate"]
    assert recorded(tmp_path)[:8] == before
    assert [e.iteration for e in outcome.evaluations] == [0] * 6 + [1] * 4 + [2] * 4 + [3] * 4


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(
    tmp_path: Path, whole: tuple[SearchOutcome, list[Any], Events], monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Archive.append

    def limited(self: Archive, evaluation: Evaluation, genome: np.ndarray) -> None:
        if self.count() == 9:
            self._connection.execute("PRAGMA max_page_count = 1")
            evaluation = Evaluation(evaluation.candidate, 1, None, "x" * 100_000)
        append(self, evaluation, genome)

    executor = Serial()
    with monkeypatch.context() as patch:
        patch.setattr(Archive, "append", limited)
        with pytest.raises(RunError, match="disk is full"):
            search(tmp_path, executor=executor)
    assert executor.closed
    assert len(recorded(tmp_path)) == 9
    search(tmp_path)
    assert recorded(tmp_path) == whole[1]


def test_bars_count_evaluations_also_those_of_an_earlier_start(tmp_path: Path) -> None:
    class Bars(Silent):
        def __init__(self) -> None:
            self.bars: list[list[Any]] = []

        def task(self, label: str, total: int) -> Any:
            self.bars.append([label, total, 0, []])
            bar = self.bars[-1]

            class Bar:
                def __enter__(self) -> Any:
                    return self

                def __exit__(self, *_: object) -> None:
                    pass

                def advance(self, steps: int = 1, note: str = "") -> None:
                    bar[2] += steps
                    bar[3].append(note)

            return Bar()

    first, second = Bars(), Bars()
    with pytest.raises(Interrupted):
        search(
            tmp_path,
            evaluator=Faulty({2: throw(ValueError("no")), 8: throw(KeyboardInterrupt())}),
            progress=first,
        )
    search(tmp_path, progress=second)
    assert [bar[:3] for bar in first.bars] == [["Initial archive", 6, 6], ["Search", 12, 2]]
    assert [bar[:3] for bar in second.bars] == [["Initial archive", 6, 6], ["Search", 12, 12]]
    assert any("failed: ValueError: no" in note for note in first.bars[0][3])


def test_the_archive_is_plain_json(tmp_path: Path) -> None:
    search(tmp_path)
    with Archive(tmp_path) as archive:
        rows = archive._rows("SELECT genome, candidate, metrics FROM evaluations")
    for row in rows:
        assert all(isinstance(json.loads(column), (list, dict)) for column in row)
