"""The search loop: records, events, and the same result after interruptions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_runs import LENGTH, TOTAL, Events, Faulty, Lottery, Serial, recorded, search, throw
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.archive import Archive
from edanas.core.engine import Engine, SearchOutcome, SearchSetup
from edanas.core.errors import Interrupted, RunError
from edanas.core.notes import SurrogateNote
from edanas.core.progress import Silent
from edanas.core.types import Candidate
from edanas.numerics.pareto import non_dominated
from edanas.testing.toy_search import ToyAccuracy, ToyCost, ToyEvaluator, toy_problem, toy_space


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
    assert [s.notes for s in events.summaries] == [{}, {"results": "6"}, {"results": "10"}, {"results": "14"}]
    assert tuple(s.hypervolume for s in events.summaries) == outcome.hypervolumes
    assert [e for s in events.summaries for e in s.newest] == events.evaluated


def test_notes_reach_the_listeners_as_the_strategy_returns_them(tmp_path: Path) -> None:
    typed = SurrogateNote("gp", 0.5, objective=1)

    class Noting(Lottery):
        def notes(self) -> dict[str, str]:
            return {"objective 1": "rbf tau 0.61", "objective 2": typed, "remark": "tau tau"}

    events = Events()
    search(tmp_path, strategy=Noting(), notify=events)
    for summary in events.summaries[1:]:
        assert summary.notes == {
            "objective 1": "rbf tau 0.61",
            "objective 2": "gp tau 0.50",
            "remark": "tau tau",
        }
        assert type(summary.notes["objective 1"]) is str
        assert summary.notes["objective 2"] is typed


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


@settings(max_examples=12)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=5))
def test_interruptions_change_nothing(
    whole: tuple[SearchOutcome, list[Any], Events],
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[int],
) -> None:
    """Each start is interrupted in its n-th evaluation, except for the last one."""
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
    expected, archive, undisturbed = whole
    assert recorded(folder) == archive
    assert outcome.evaluations == expected.evaluations
    np.testing.assert_array_equal(outcome.genomes, expected.genomes)
    assert outcome.hypervolumes == expected.hypervolumes
    # Across all starts, events come once and in order; the strategy gets the groups of the undisturbed run.
    assert events.evaluated == undisturbed.evaluated
    assert events.summaries == undisturbed.summaries
    assert strategy.groups == [6, 4, 4, 4]


def test_complete_iterations_are_repeated_from_the_archive(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        search(tmp_path, evaluator=Faulty({12: throw(KeyboardInterrupt())}))
    strategy = Lottery()
    search(tmp_path, strategy=strategy)
    assert strategy.calls == 2  # the cut iteration, and the last one
    again, events = Lottery(), Events()
    outcome = search(tmp_path, strategy=again, evaluator=Faulty({0: throw(AssertionError())}), notify=events)
    assert (again.calls, len(outcome.evaluations), outcome.stopped) == (0, TOTAL, "completed")
    assert (events.evaluated, events.summaries) == ([], [])


def test_iterations_with_too_few_candidates_are_complete(tmp_path: Path) -> None:
    class Modest(Lottery):
        def ask(self, count: int) -> list[Candidate]:
            return super().ask(count - 1)

    first, second = Modest(), Modest()
    with pytest.raises(Interrupted):
        search(tmp_path, strategy=first, evaluator=Faulty({13: throw(KeyboardInterrupt())}))
    outcome = search(tmp_path, strategy=second)
    assert [e.iteration for e in outcome.evaluations] == [0] * 6 + [1] * 3 + [2] * 3 + [3] * 3
    assert (first.calls, second.calls) == (4, 1)


def test_ctrl_c_while_the_strategy_runs_closes_executor_and_archive(tmp_path: Path) -> None:
    class Pondering(Lottery):
        def ask(self, count: int) -> list[Candidate]:
            raise KeyboardInterrupt

    executor = Serial()
    space = toy_space()
    strategy = Pondering()
    strategy.start(toy_problem(space, seed=5, initial=6))
    archive = Archive(tmp_path)
    setup = SearchSetup(space, strategy, ToyEvaluator(), executor, (ToyAccuracy(), ToyCost()), LENGTH)
    engine = Engine(setup, archive, Events(), Silent())
    with pytest.raises(
        Interrupted, match="after 6 evaluations, which are kept; run the same search again to resume it"
    ) as caught:
        engine.run()
    assert caught.value.exit_code == 130
    assert executor.closed
    with pytest.raises(RunError, match="closed"):
        archive.count()


def test_no_candidate_is_evaluated_twice(tmp_path: Path) -> None:
    class Stubborn(Lottery):
        """Strategy that repeats candidates within and across iterations, and returns too many."""

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


def test_other_candidates_after_a_resume_are_reported_and_keep_the_archive(
    tmp_path: Path,
) -> None:
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


def test_progress_bars_include_evaluations_of_an_earlier_start(tmp_path: Path) -> None:
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
