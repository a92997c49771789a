"""Plugins that raise: one line names the plugin, and the run goes on where it can."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_packages import write_package
from tiny_runs import Edanas, recorded, refused, result_of

PLUGIN = """
from edanas import hookimpl
from edanas.core.contracts import ConfidenceCriterion, Exporter
from edanas.evaluation.shared import SharedEvaluation
from edanas.strategies.random_search import RandomSearch
from edanas.data.digits import Digits
from edanas.supernets.baselines import EECNN

class Criterion(ConfidenceCriterion):
    def __call__(self, logits):
        return logits
    def __init__(self):
        raise ValueError("no criterion today")

class Evaluation(SharedEvaluation):
    def evaluate(self, candidate):
        raise ValueError("no luck")

class Unprepared(SharedEvaluation):
    def prepare(self, progress):
        raise KeyError("weights")

class Strategy(RandomSearch):
    def ask(self, count):
        return [None][count]

class Data(Digits):
    def load(self, size, seed):
        raise FileNotFoundError(2, "No such file", "/there/it/was")

class Writer(Exporter):
    def export(self, network, stem):
        raise RuntimeError("no pen")

class Picky(Exporter):
    def __init__(self):
        self.calls = 0
    def export(self, network, stem):
        self.calls += 1
        if self.calls in (1, 3):
            raise RuntimeError("not this one")
        return []

class Shapeless(EECNN):
    def variables(self):
        raise KeyError("sides")

@hookimpl
def edanas_supernet_providers(): return {"shapeless": Shapeless}
@hookimpl
def edanas_confidence_criteria(): return {"raising": Criterion}
@hookimpl
def edanas_evaluations(): return {"raising": Evaluation, "unprepared": Unprepared}
@hookimpl
def edanas_search_strategies(): return {"raising": Strategy}
@hookimpl
def edanas_data_sets(): return {"raising": Data}
@hookimpl
def edanas_exporters(): return {"raising": Writer, "picky": Picky}
@hookimpl
def edanas_candidate_evaluated(evaluation): raise ValueError("deaf")
@hookimpl
def edanas_run_finished(result): raise ValueError("dumb")
"""


NAMED = "plugin e2e-raising 1.0 (entry point 'raising')"


@pytest.fixture
def raising(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install a plugin in which every part raises."""
    folder = tmp_path / "site"
    write_package(folder, "raising", "e2e_raising_plugin", PLUGIN, "e2e-raising")
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop("e2e_raising_plugin", None)


RAISING = {
    "factory": (
        "criterion=raising",
        [f"{NAMED}: confidence criterion 'raising' raised", "no criterion today"],
    ),
    "data": ("data=raising", [f"{NAMED} raised FileNotFoundError", "/there/it/was"]),
    "preparation": ("evaluation=unprepared", [f"{NAMED} raised KeyError: 'weights'"]),
    "strategy": ("strategy=raising", [f"{NAMED} raised IndexError"]),
    "exporter": (
        'exports=["raising"]',
        ["none of the 2 early-exit networks", "most frequent reason (2 times) is RuntimeError: no pen"],
    ),
    "evaluation": (
        "evaluation=raising",
        ["none of the 6 candidates", "most frequent reason (6 times) is ValueError: no luck", "--overwrite"],
    ),
}


@pytest.mark.parametrize("part", RAISING)
def test_a_plugin_that_raises_is_named(
    edanas: Edanas, tiny_config: Path, pictures: Path, raising: None, tmp_path: Path, part: str
) -> None:
    setting, parts = RAISING[part]
    out = tmp_path / "run"
    output = edanas("run", "--config", tiny_config, f"--set=data={pictures}", "--set", setting, "--out", out)
    error = refused(output, *parts)
    assert "fault of edanas" not in error
    if part in ("factory", "data"):
        assert not out.exists()
        refused(edanas("run", "--config", tiny_config, "--set", setting, "--dry-run"), *parts)


def test_a_supernet_that_raises_is_named_in_a_dry_run(edanas: Edanas, pictures: Path, raising: None) -> None:
    output = edanas("run", "--data", pictures, "--set", "supernet=shapeless", "--dry-run")
    refused(output, f"{NAMED} raised KeyError: 'sides'")


def test_networks_that_cannot_be_finished_are_recorded_and_skipped(
    edanas: Edanas, arguments: tuple[str, ...], reference: Path, raising: None, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    output = edanas(*arguments, "--set", 'exports=["picky"]', "--out", out)
    assert output.code == 0, output.err
    data, reference_data = result_of(out), result_of(reference)
    ids = {kind: [row["id"] for row in data[kind]] for kind in ("front", "static_front")}
    failed = [failure["id"] for failure in data["failures"]]
    # The third finished network is a single-exit network.
    assert len(failed) == 2
    names = [row["id"] for row in reference_data["front"]]
    assert failed[0] in names
    assert ids["front"] == [name for name in names if name != failed[0]]
    assert failed[1] not in ids["front"] + ids["static_front"]
    assert {failure["error"] for failure in data["failures"]} == {"RuntimeError: not this one"}
    assert data["failed"] == 0
    for name in failed:
        assert f"Network {name} could not be finished: RuntimeError: not this one" in output.err
    assert edanas("report", out).code == 0


def test_a_plugin_that_raises_in_events_is_reported_once(
    edanas: Edanas, arguments: tuple[str, ...], reference: Path, raising: None, tmp_path: Path
) -> None:
    output = edanas(*arguments, "--out", tmp_path / "run")
    assert output.code == 0, output.err
    for event, text in (("edanas_candidate_evaluated", "deaf"), ("edanas_run_finished", "dumb")):
        line = f"{NAMED}: {event} raised ValueError: {text}; the run goes on without it"
        assert output.err.splitlines().count(line) == 1
    assert recorded(tmp_path / "run") == recorded(reference)
