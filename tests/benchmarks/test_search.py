"""The harness of `benchmarks/search.py`: what counts as an evaluation, what is run again, what is printed."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from edanas.core.space import SearchSpace
from edanas.core.types import Variable

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
METHODS = ("edanas random", "pymoo nsga2")


@pytest.fixture
def bench(monkeypatch):
    """The benchmark's modules, found as the script finds them, and forgotten afterwards."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name.startswith("search_"):
            del sys.modules[name]


@pytest.fixture
def tiny(bench):
    """81 candidates, two opposed objectives."""

    class Tiny(bench("search_functions").Function):
        def __init__(self):
            space = SearchSpace(tuple(Variable(f"x{i}", (1, 2, 3)) for i in range(4)), (None,), 0)
            everything = np.array(list(space.genomes()))
            super().__init__("tiny", space, self.evaluate(everything))

        def evaluate(self, genomes):
            total = genomes.sum(axis=1)
            return np.stack([total + genomes[:, 0], (8 - total) + (genomes[:, 1] == 1)], axis=1).astype(float)

    return Tiny()


def jobs(bench, function, budget=24, seeds=2):
    options = bench("search_rivals").Options(budget=budget, initial=8)
    job = bench("search_runs").Job
    return [job(function, name, seed, options) for seed in range(seeds) for name in METHODS]


def test_a_benchmark_that_was_cut_runs_only_what_is_missing(bench, tiny, tmp_path):
    runs, file = bench("search_runs"), tmp_path / "results.jsonl"
    every = jobs(bench, tiny)
    runs.run(every[:1], file, 0, again=False)
    first = file.read_text()
    file.write_text(first + first[: len(first) // 2])  # killed while the next run was written
    runs.run(every, file, 0, again=False)
    whole = file.read_text()
    assert whole.startswith(first) and len(whole.splitlines()) == len(every) + 1
    runs.run(every, file, 0, again=False)
    assert file.read_text() == whole
    held = runs.load(file)
    assert set(held) == {job.key for job in every}
    for run in held.values():
        assert run.stopped == "budget" and len(run.values) == 24 == sum(run.sizes)
        assert len(run.own) == len(run.sizes)
        np.testing.assert_array_equal(run.values, tiny.evaluate(run.genomes))
    runs.run(every, file, 0, again=True)
    assert len(file.read_text().splitlines()) == 2 * len(every) + 1
    np.testing.assert_equal([r.values for r in runs.load(file).values()], [r.values for r in held.values()])


def test_repeats_count_and_a_batch_is_cut_at_the_budget(bench, tiny):
    rivals = bench("search_rivals")
    record = rivals.Recorder(tiny.evaluate, tiny.space.canonical, rivals.Options(budget=5))
    assert record(np.zeros((3, 4), dtype=np.int64)).shape == (3, 2)
    with pytest.raises(rivals.Spent):
        record(np.ones((3, 4), dtype=np.int64))
    assert record.sizes == [3, 2] and record.stopped == "budget"
    assert record.genomes == [[0] * 4] * 3 + [[1] * 4] * 2


def test_a_method_that_used_up_its_own_seconds_is_not_evaluated_further(bench, tiny):
    rivals = bench("search_rivals")
    record = rivals.Recorder(tiny.evaluate, tiny.space.canonical, rivals.Options(seconds=0.0))
    with pytest.raises(rivals.Spent):
        record(np.zeros((1, 4), dtype=np.int64))
    assert record.stopped == "seconds" and not record.values


def test_shares_are_of_the_true_front_and_reaching_it_is_found_by_bisection(bench, tiny, tmp_path):
    runs, results, file = bench("search_runs"), bench("search_results"), tmp_path / "results.jsonl"
    runs.run(jobs(bench, tiny, budget=60), file, 0, again=False)
    assert tiny.share(tiny.front) == 1.0
    view = results.View(tiny, "A tiny function")
    for run in runs.load(file).values():
        shares = [view.measure(tiny, run, size) for size in range(1, 61)]
        assert shares == sorted(shares) and shares[-1] <= 1.0
        for goal in (shares[0], shares[30], shares[-1]):
            assert results._first(view, run, goal, 60) == 1 + shares.index(goal)
        assert results._first(view, run, 1.1, 60) == float("inf")


def test_the_papers_procedure_is_run_once_for_each_budget(bench):
    variants, options = bench("search_runs").variants, bench("search_rivals").Options(budget=120)
    assert [(o.budget, o.scaled) for o in variants("paper", options, (60, 120, 340))] == [
        (60, 60),
        (120, 120),
    ]
    assert variants("optuna tpe", options, (60, 120, 340)) == [options]


def test_tables_and_plot_come_from_the_file(bench, tiny, tmp_path, monkeypatch):
    runs, results, file = bench("search_runs"), bench("search_results"), tmp_path / "results.jsonl"
    monkeypatch.setitem(results.TITLES, "tiny", "A tiny function")
    runs.run(jobs(bench, tiny), file, 0, again=False)
    lines = file.read_text().splitlines()
    text = json.loads(lines[0])
    text["method"], text["budget"] = "paper", 24
    file.write_text("\n".join([*lines, json.dumps(text)]) + "\n")
    page = results.page(runs.load(file), [tiny], (12, 24))
    assert "### A tiny function" in page
    reaching = [line for line in page.splitlines() if line.startswith("| the paper's procedure |")][-1]
    assert "never" not in reaching and "1 of 1" in reaching
    for name in ("random search", "pymoo nsga2", "the paper's procedure"):
        assert f"| {name} |" in page
    results.plot(runs.load(file), [tiny], 24, tmp_path / "plot.svg")
    assert "<svg" in (tmp_path / "plot.svg").read_text()


def test_zdt5_has_the_front_that_is_published(bench):
    problem = bench("search_functions").Zdt5()
    ones = 1 + np.arange(31)
    # f1 = 1 + ones in the first block, f2 = 10 / f1; both scaled to [0, 1].
    expected = np.stack([(ones - 1) / 30, (10 / ones - 10 / 31) / (10 - 10 / 31)], axis=1)
    np.testing.assert_allclose(problem.front[np.argsort(problem.front[:, 0])], expected, atol=1e-12)
    rng = np.random.default_rng(0)
    assert 0 < problem.share(problem.evaluate(problem.space.sample(rng, 200))) < 1
