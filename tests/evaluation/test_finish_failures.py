"""Failures and interruptions of finishing: skipped networks, the end of the run, and resuming."""

import errno
from pathlib import Path

import pytest
import torch
from finishings import RecordingExporter, candidates, rows
from small_runs import RecordedBars

from edanas.core.errors import CandidateError, ExportError, RunError
from edanas.core.feasible import Feasibility
from edanas.evaluation import network_trainer
from edanas.evaluation.final_thresholds import FinalThresholds
from edanas.thresholds.exit_shares import ExitShares
from edanas.thresholds.nachos import NachosThresholds
from edanas.thresholds.reject_options import Eero
from edanas.thresholds.setters import Budgeted, Dynamic


def test_a_finished_row_is_read_back_and_not_computed_again(finisher, monkeypatch):
    first = rows(finisher())
    finishing = finisher()
    monkeypatch.setattr(finishing.evaluator, "network", lambda candidate: pytest.fail("judged again"))
    assert rows(finishing) == first
    assert rows(finishing, candidates()[::-1]) == first[::-1]


def test_an_interrupted_finishing_resumes(finisher, monkeypatch):
    whole = rows(finisher("a"))
    finishing = finisher("b")
    original = finishing.evaluator.network

    def cut(candidate):
        if candidate == candidates()[1]:
            raise KeyboardInterrupt
        return original(candidate)

    monkeypatch.setattr(finishing.evaluator, "network", cut)
    with pytest.raises(KeyboardInterrupt):
        rows(finishing)
    assert rows(finisher("b")) == whole
    left = sorted(p.suffix for p in finishing.folder.iterdir())
    assert left == sorted([".json", ".json", ".safetensors"] * 2)


class Refusing(RecordingExporter):
    """An exporter that raises on networks with early exits."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def export(self, network, stem):
        if network.points:
            raise self.error
        return super().export(network, stem)


class Running(RecordingExporter):
    """An exporter with runnable files and a summary, for single-exit networks only."""

    def __init__(self):
        super().__init__()
        self.prepared = None

    def prepare(self, calibration, validation):
        self.prepared = calibration, validation

    def export(self, network, stem):
        if network.points:
            raise ExportError("no room for exits")
        return super().export(network, stem)

    def summary(self, path):
        return f"{path.name} weighs nothing"


class RecordedLines(RecordedBars):
    def __init__(self):
        super().__init__()
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def test_a_form_that_does_not_fit_is_reported_and_the_others_are_written(finisher):
    exporter, picky = RecordingExporter(), Running()
    picky.registered_name = "picky"
    finishing, progress = finisher(exporters=[exporter, picky]), RecordedLines()
    finished, failures = finishing.finish(candidates(), "Finishing", progress)
    assert failures == []
    assert [len(row.files) for row in finished] == [1, 2]
    assert picky.prepared == (finishing.workbench.parts.calibration, finishing.workbench.parts.validation)
    early, static = (candidate.id for candidate in candidates())
    assert f"Network {early} is not exported by picky: no room for exits" in progress.lines
    assert any(
        f"Network {static}, picky: eenn-0-{static}.kept weighs nothing" in line for line in progress.lines
    )


def test_a_budget_above_the_cost_of_a_network_is_kept_and_reported_once(finisher):
    finishing, progress = finisher(setter=Budgeted(max_macs="9G"), exporters=[]), RecordedLines()
    finished, failures = finishing.finish(candidates(), "Finishing", progress)
    assert (len(finished), failures) == (2, [])
    assert sum("The budget of 9G MACs holds with all thresholds" in line for line in progress.lines) == 1
    network = finishing.evaluator.network(candidates()[0])
    for setter in (Dynamic, Eero, ExitShares, NachosThresholds):
        thresholds = FinalThresholds(finishing.workbench, setter(max_macs="9G"), Feasibility())
        assert thresholds.loose_budget(network)
        thresholds = FinalThresholds(finishing.workbench, setter(max_macs="1k"), Feasibility())
        assert not thresholds.loose_budget(network)


def test_a_budget_below_the_first_exit_is_refused_before_training(finisher, monkeypatch):
    finishing = finisher(setter=Budgeted(max_macs="1k"), exporters=[])
    monkeypatch.setattr(network_trainer, "finetune", lambda *_: pytest.fail("a network was trained"))
    finished, failures = finishing.finish(candidates()[:1], "Finishing", RecordedLines())
    costs = finishing.workbench.anatomy_of(candidates()[0].backbone, (0, 2)).costs
    least = costs.stages[0] + costs.heads[0]
    assert finished == []
    assert failures[0]["error"].startswith(
        "CandidateError: final_thresholds.max_macs: found 1k MACs; possible with the placed exits: "
        f"{least / 1e3:.4g}k MACs (all samples exit at exit 1) to "
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("no pen"), "RuntimeError: no pen"),
        (torch.OutOfMemoryError("CUDA out of memory"), "OutOfMemoryError: CUDA out of memory"),
        (CandidateError("the confidence is not a number"), "CandidateError: the confidence is not a number"),
        (PermissionError(13, "Permission denied"), "PermissionError: [Errno 13] Permission denied"),
    ],
)
def test_a_network_that_fails_is_recorded_and_skipped(finisher, error, text):
    finishing, progress = finisher("a", exporters=[Refusing(error)]), RecordedBars()
    finished, failures = finishing.finish(candidates(), "Finishing", progress)
    assert [row.id for row in finished] == [candidates()[1].id]
    assert failures == [{"id": candidates()[0].id, "error": text}]
    assert sum(progress.moves) == progress.totals[0]
    assert not (finishing.folder / f"{candidates()[0].id}.row.json").exists()
    # Without the cause, the same folder gives the rows of an undisturbed one.
    assert rows(finisher("a", exporters=[RecordingExporter()])) == rows(
        finisher("b", exporters=[RecordingExporter()])
    )


def test_fine_tuning_that_diverges_is_a_failure_and_no_row(finisher, monkeypatch):
    def diverged(network, *_):
        with torch.no_grad():
            for weight in network.parameters():
                weight.fill_(float("nan"))

    with monkeypatch.context() as patched:
        patched.setattr(network_trainer, "finetune", diverged)
        progress = RecordedBars()
        finished, failures = finisher().finish(candidates(), "Finishing", progress)
    assert finished == []
    assert [failure["id"] for failure in failures] == [candidate.id for candidate in candidates()]
    assert all("not a number" in failure["error"] for failure in failures)
    assert sum(progress.moves) == progress.totals[0]


@pytest.mark.parametrize("error", [RunError("models: cannot be written"), KeyboardInterrupt()])
def test_an_error_of_the_run_ends_it(finisher, error):
    with pytest.raises(type(error)):
        rows(finisher(exporters=[Refusing(error)]))


def test_a_full_disk_ends_the_run_and_the_file_is_named(finisher, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")  # as from `write`, which knows no name
    finishing = finisher(exporters=[Refusing(full)])
    with pytest.raises(RunError, match=rf"^{finishing.folder}: cannot be written: No space left"):
        rows(finishing)
    finishing = finisher("other")
    rename = Path.replace

    def until_the_row(self, target):
        return _raise(full) if target.name.endswith(".row.json") else rename(self, target)

    monkeypatch.setattr(Path, "replace", until_the_row)
    with pytest.raises(RunError, match=r"\.row\.json: cannot be written: No space left"):
        rows(finishing)


def _raise(error, *_, **__):
    raise error


def test_a_damaged_row_is_finished_again(finisher):
    first = rows(finisher())
    path = finisher().folder / f"{candidates()[0].id}.row.json"
    intact, params = path.read_text(), first[0]["params"]
    number = f'"params": {params}'
    for damaged in ("{", intact.replace(number, f"{number[:-1]}{int(number[-1]) ^ 1}")):
        path.write_text(damaged)
        bars = RecordedBars()
        finished, _ = finisher().finish(candidates(), "Finishing", bars)
        assert [row.to_json() for row in finished] == first
        assert f"{path}: is damaged (" in bars.lines[0]
        assert path.read_text() == intact
