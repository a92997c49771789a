import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from small_runs import space, workbench

from edanas.core.attempt import as_archived
from edanas.core.contracts import Meter
from edanas.core.errors import CandidateError, ConfigError, RunError
from edanas.core.types import Candidate, Outcome, SegmentFigures, SelectionScheme
from edanas.evaluation.latency import Latency
from edanas.evaluation.measured_times import FILE, measure_once
from edanas.evaluation.predicted_metrics import judge_of
from edanas.evaluation.shared import SharedEvaluation

TIMES = SegmentFigures((1, 2), (3,), 4)


class Changing(Meter):
    """Returns other times at each call."""

    name = "changing"

    def __init__(self, *, counted=False):
        self.counted, self.calls = counted, 0

    def figures(self, specimen):
        self.calls += 1
        points = len(specimen.points)
        return SegmentFigures((self.calls,) * (points + 1), (10,) * points, 100)


def bench(folder, *meters):
    run = workbench(folder)
    object.__setattr__(run, "meters", meters)
    return run


def candidate():
    backbone = space().sample_backbone(np.random.default_rng(0))
    return Candidate(backbone, SelectionScheme((0.1, None, 0.1, None)))


LEAVING = Outcome(0.5, (0.5, 0.0, 0.25, 0.0, 0.25), (0.5, None, 0.5, None, 0.5), 0.5)


def judged(folder, *meters):
    return SharedEvaluation(bench(folder, *meters)).judge(candidate(), LEAVING)


def test_times_are_those_of_the_modules_up_to_each_exit(tmp_path):
    figures = judged(tmp_path, Changing()).exit_figures
    # A stage takes 1, a head 10, the last exit 100.
    assert figures == {"changing": (1 + 10, None, 3 + 20, None, 5 + 20 + 100)}


def test_a_measured_time_is_kept_for_other_processes_and_resumed_runs(tmp_path):
    meter = Changing()
    first = judged(tmp_path, meter)
    assert judged(tmp_path, meter) == first
    assert judged(tmp_path, pickle.loads(pickle.dumps(Changing()))) == first
    assert meter.calls == 1
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    assert judged(elsewhere, meter) != first  # another run measures anew


def test_a_time_that_is_not_a_number_is_refused(tmp_path):
    metrics = replace(judged(tmp_path), exit_figures={"broken": (1.0, None, float("nan"))})
    with pytest.raises(CandidateError, match="exit_figures is nan"):
        as_archived(metrics)


def test_counted_figures_are_not_stored(tmp_path):
    judged(tmp_path, Changing(counted=True))
    assert not (tmp_path / FILE).exists()


def test_only_counted_figures_are_predicted_between_evaluations(tmp_path):
    for counted in (True, False):
        run = bench(tmp_path, Changing(counted=counted))
        assert (judge_of(run, SharedEvaluation(run)) is not None) == counted


def test_an_unfinished_line_is_measured_again(tmp_path):
    assert measure_once(tmp_path, "m", "a", lambda: TIMES) == TIMES
    whole = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(f'{whole}{{"meter": "m", "backb')
    other = SegmentFigures((5, 5), (5,), 5)
    assert measure_once(tmp_path, "m", "b", lambda: other) == other
    assert measure_once(tmp_path, "m", "a", lambda: other) == TIMES
    assert measure_once(tmp_path, "n", "a", lambda: other) == other
    lines = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert [(line["meter"], line["backbone"]) for line in lines] == [("m", "a"), ("m", "b"), ("n", "a")]


@pytest.mark.parametrize("line", ["[]", "nothing", '{"meter": "m"}'])
def test_a_damaged_line_is_named(tmp_path, line):
    measure_once(tmp_path, "m", "a", lambda: TIMES)
    with (tmp_path / FILE).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(RunError, match=f"{FILE}: line 2 is damaged"):
        measure_once(tmp_path, "m", "b", lambda: TIMES)


def test_the_machine_is_measured_with_every_head_and_the_mean_is_by_utilization(tmp_path, monkeypatch):
    monkeypatch.setattr("edanas.model.part_latency._MOST_PASSES", 15)
    objective = Latency(batch_size=2)
    (meter,) = objective.meters
    metrics = judged(tmp_path, meter)
    first, _, second, _, last = metrics.exit_figures[meter.name]
    assert 0 < first < second < last
    mean = (0.5 * first + 0.25 * second + 0.25 * last) / 1e6
    assert objective.value(metrics) == pytest.approx(mean)
    assert judged(tmp_path, *Latency(batch_size=2).meters) == metrics
    with pytest.raises(ConfigError, match=r"objectives\.batch_size: found 0"):
        Latency(batch_size=0)
