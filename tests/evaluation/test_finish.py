import copy
import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import Recorded, equal_states, parts, relabelled, space, workbench

from edanas.core.contracts import Exporter
from edanas.core.errors import CandidateError, ExportError, RunError
from edanas.core.feasible import Feasibility
from edanas.core.progress import Silent
from edanas.core.types import Candidate, SelectionScheme
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.evaluation import finish
from edanas.evaluation import workbench as workbench_module
from edanas.evaluation.finish import Finisher
from edanas.evaluation.scoring import Anatomy, score
from edanas.evaluation.shared import SharedEvaluation
from edanas.exits import calibration
from edanas.exits.profiles import collect_profile
from edanas.exits.setters import Grid, Static
from edanas.exits.thresholds import set_thresholds
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry

KEYS = {
    "id",
    "exits",
    "thresholds",
    "utilization",
    "test_accuracy",
    "validation_accuracy",
    "ada_macs",
    "executed_macs",
    "backbone_macs",
    "backbone_test_accuracy",
    "params",
}


def candidates():
    rng = np.random.default_rng(4)
    schemes = [(0.05, None, 0.2, None), (None, None, None, None)]
    return [Candidate(space().sample_backbone(rng), SelectionScheme(each)) for each in schemes]


class Kept(Exporter):
    """An exporter that keeps networks, and files of no content."""

    def __init__(self):
        self.networks = {}

    def export(self, network, stem):
        self.networks[stem.name] = network
        path = stem.with_name(f"{stem.name}.kept")
        path.write_text("")
        return [path]


@pytest.fixture(scope="module")
def supernet(tmp_path_factory):
    """A finished supernet training, as bytes."""
    folder = tmp_path_factory.mktemp("once")
    SharedEvaluation(workbench(folder, training__epochs=6)).prepare(Silent())
    return (folder / "supernet.pt").read_bytes()


@pytest.fixture
def finisher(supernet, tmp_path):
    def make(name="run", data=None, exporters=None, setter=None, **given):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "supernet.pt").write_bytes(supernet)
        bench = workbench(folder, data, training__epochs=6, **given)
        evaluator = SharedEvaluation(bench)
        evaluator.prepare(Silent())
        writers = exporters if exporters is not None else [SafetensorsExporter()]
        return Finisher(bench, evaluator, setter or Static(), writers)

    return make


def rows(made, wanted=None):
    """The rows, where nothing fails."""
    found, failures = made.finish(wanted or candidates(), "Finishing", Silent())
    assert failures == []
    return found


def poisoned(name):
    data = parts()
    part = getattr(data, name)
    return replace(data, **{name: relabelled(part, (part.labels + 3) % 10)})


def test_rows_have_the_keys_that_tools_read(finisher):
    found = rows(finisher())
    for row, candidate in zip(found, candidates(), strict=True):
        assert set(row) >= KEYS
        assert (row["id"], row["exits"]) == (candidate.id, candidate.scheme.exits)
        assert [t is None for t in row["thresholds"]] == [t is None for t in candidate.scheme.thresholds]
        assert len(row["utilization"]) == 5
        assert sum(row["utilization"]) == pytest.approx(1)
        assert 0 <= row["test_accuracy"] <= 1
        assert row["test_ci"][0] <= row["test_accuracy"] <= row["test_ci"][1]
        assert row["ada_macs"] <= row["executed_macs"]
        assert json.loads(json.dumps(row)) == row
    assert found[1]["executed_macs"] == found[1]["backbone_macs"]
    assert found[1]["test_accuracy"] == found[1]["backbone_test_accuracy"]


def test_rows_are_what_the_finished_network_does(finisher):
    kept = Kept()
    made = finisher(exporters=[kept])
    for row, (name, network) in zip(rows(made), kept.networks.items(), strict=True):
        assert row["files"] == [f"models/{name}.kept"]
        assert row["model"] == f"models/{name}.kept"
        out = network(parts().test.images)
        assert row["test_accuracy"] == float((out.label == parts().test.labels).double().mean())
        assert row["utilization"] == [float((out.exit == at).double().mean()) for at in range(5)]
        validation = score(
            collect_profile(network, parts().validation), network.scheme, Anatomy.of(network, 1)
        )
        assert row["validation_accuracy"] == validation.accuracy
        assert row["validation_executed_macs"] == validation.executed_macs
        assert row["thresholds"] == list(network.scheme.thresholds)
        assert row["params"] == sum(p.numel() for p in network.parameters())


def test_thresholds_come_from_the_calibration_part(finisher):
    kept = Kept()
    (row,) = rows(finisher(exporters=[kept], setter=Static(accuracy_drop=0.1)), candidates()[:1])
    (network,) = kept.networks.values()
    profile = collect_profile(network, parts().calibration)
    expected = set_thresholds(profile, Anatomy.of(network, 1).costs, (0, 2), 4, 0.1)
    assert row["thresholds"] == list(expected.thresholds)
    assert row["thresholds"] != list(candidates()[0].scheme.thresholds)
    promised = score(profile, network.scheme, Anatomy.of(network, 1))
    assert row["calibration_accuracy"] == promised.accuracy
    assert row["calibration_executed_macs"] == promised.executed_macs


def test_thresholds_that_break_a_constraint_give_way_to_those_that_the_search_kept_it_with(finisher):
    """Searched thresholds let all leave at the first exit; accuracy would keep all until the last."""
    cheap = Candidate(candidates()[0].backbone, SelectionScheme((0.0, None, 0.2, None)))
    (free,) = rows(finisher("free"), [cheap])
    registry = Registry(load_plugins())

    def bound(**limit):
        return Feasibility([registry.create("constraint", "bound", {"of": "executed-macs", **limit})])

    tight = finisher("tight")
    tight.limits = bound(at_most=0.9 * free["calibration_executed_macs"])
    (kept,) = rows(tight, [cheap])
    assert free["thresholds"] != list(cheap.scheme.thresholds) == kept["thresholds"]
    assert kept["calibration_executed_macs"] < free["calibration_executed_macs"]
    assert (kept["violation"], kept["breaches"]) == (0.0, [])
    loose = finisher("loose")
    loose.limits = bound(at_most=1, at_least=0)
    (neither,) = rows(loose, [cheap])
    assert neither["violation"] == pytest.approx(neither["validation_executed_macs"] - 1)
    assert "executed-macs is" in neither["breaches"][0]


def test_thresholds_that_were_not_set_promise_nothing(finisher):
    _, single = rows(finisher("set"))
    kept = rows(finisher("searched", setter=Grid()))
    for row in (single, *kept):
        assert row["calibration_accuracy"] is None
        assert row["calibration_executed_macs"] is None


def test_the_test_part_changes_test_figures_alone(finisher):
    honest, wrong = rows(finisher("a")), rows(finisher("b", poisoned("test")))
    for one, two in zip(honest, wrong, strict=True):
        differing = {key for key in one if one[key] != two[key]}
        assert differing
        assert differing <= {
            "test_accuracy",
            "test_ci",
            "backbone_test_accuracy",
            "exit_accuracy",
            "examples",
        }


def test_the_calibration_part_decides_nothing_but_thresholds(finisher):
    kept = Kept(), Kept()
    honest = rows(finisher("a", exporters=kept[:1]))
    rows(finisher("b", poisoned("calibration"), exporters=kept[1:]))
    for name, network in kept[0].networks.items():
        other = kept[1].networks[name]
        assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
    assert kept[1].networks.keys() == {f"eenn-{row['exits']}-{row['id']}" for row in honest}


def test_the_validation_part_changes_validation_figures_alone(finisher):
    honest, wrong = rows(finisher("a")), rows(finisher("b", poisoned("validation")))
    for one, two in zip(honest, wrong, strict=True):
        assert {key for key in one if one[key] != two[key]} == {"validation_accuracy"}


def test_the_test_part_is_looked_at_once_and_last(finisher, monkeypatch):
    looked = []
    original = finish.collect_profile

    def watched(network, data, *args):
        looked.append(next(name for name in ("calibration", "validation", "test") if data is at[name]))
        return original(network, data, *args)

    at = vars(parts())
    for module in (calibration, finish):
        monkeypatch.setattr(module, "collect_profile", watched)
    made = finisher()
    first = rows(made)
    assert looked == ["calibration", "validation", "test", "validation", "test"]
    looked.clear()
    assert rows(made) == first
    assert looked == []


def test_a_finished_row_is_read_back_and_not_computed_again(finisher, monkeypatch):
    first = rows(finisher())
    made = finisher()
    monkeypatch.setattr(made.evaluator, "network", lambda candidate: pytest.fail("judged again"))
    assert rows(made) == first
    assert rows(made, candidates()[::-1]) == first[::-1]


def test_a_finishing_that_was_cut_goes_on(finisher, monkeypatch):
    whole = rows(finisher("a"))
    made = finisher("b")
    original = made.evaluator.network

    def cut(candidate):
        if candidate == candidates()[1]:
            raise KeyboardInterrupt
        return original(candidate)

    monkeypatch.setattr(made.evaluator, "network", cut)
    with pytest.raises(KeyboardInterrupt):
        rows(made)
    assert rows(finisher("b")) == whole
    left = sorted(p.suffix for p in made.folder.iterdir())
    assert left == sorted([".json", ".json", ".safetensors"] * 2)


class Refusing(Kept):
    """An exporter that raises on networks with early exits."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def export(self, network, stem):
        if network.points:
            raise self.error
        return super().export(network, stem)


class Running(Kept):
    """An exporter whose files run, and have something to say; early-exit networks do not fit its form."""

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


class Heard(Recorded):
    def __init__(self):
        super().__init__()
        self.said = []

    def say(self, text):
        self.said.append(text)


def test_a_form_that_a_network_does_not_fit_is_told_of_and_the_rest_is_written(finisher):
    kept, picky = Kept(), Running()
    made, progress = finisher(exporters=[kept, picky]), Heard()
    found, failures = made.finish(candidates(), "Finishing", progress)
    assert failures == []
    assert [len(row["files"]) for row in found] == [1, 2]
    assert picky.prepared == (made.workbench.parts.calibration, made.workbench.parts.validation)
    early, static = (candidate.id for candidate in candidates())
    assert f"Network {early} is not exported by Running: no room for exits" in progress.said
    assert any(f"Network {static}, eenn-0-{static}.kept weighs nothing" in line for line in progress.said)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("no pen"), "RuntimeError: no pen"),
        (torch.OutOfMemoryError("CUDA out of memory"), "OutOfMemoryError: CUDA out of memory"),
        (CandidateError("the confidence is not a number"), "CandidateError: the confidence is not a number"),
        (PermissionError(13, "Permission denied"), "PermissionError: [Errno 13] Permission denied"),
    ],
)
def test_a_network_that_fails_is_recorded_and_passed_over(finisher, error, text):
    made, shown = finisher("a", exporters=[Refusing(error)]), Recorded()
    found, failures = made.finish(candidates(), "Finishing", shown)
    assert [row["id"] for row in found] == [candidates()[1].id]
    assert failures == [{"id": candidates()[0].id, "error": text}]
    assert sum(shown.moves) == shown.totals[0]
    assert not (made.folder / f"{candidates()[0].id}.row.json").exists()
    # The cause mended, the same folder yields what an undisturbed one does.
    assert rows(finisher("a", exporters=[Kept()])) == rows(finisher("b", exporters=[Kept()]))


def test_fine_tuning_that_diverges_is_a_failure_and_no_row(finisher, monkeypatch):
    def diverged(network, *_):
        with torch.no_grad():
            for weight in network.parameters():
                weight.fill_(float("nan"))

    with monkeypatch.context() as patched:
        patched.setattr(workbench_module, "finetune", diverged)
        shown = Recorded()
        found, failures = finisher().finish(candidates(), "Finishing", shown)
    assert found == []
    assert [failure["id"] for failure in failures] == [candidate.id for candidate in candidates()]
    assert all("not a number" in failure["error"] for failure in failures)
    assert sum(shown.moves) == shown.totals[0]


@pytest.mark.parametrize("error", [RunError("models: cannot be written"), KeyboardInterrupt()])
def test_what_concerns_the_run_ends_it(finisher, error):
    with pytest.raises(type(error)):
        rows(finisher(exporters=[Refusing(error)]))


def test_a_full_disk_ends_the_run_and_the_file_is_named(finisher, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")  # as from `write`, which knows no name
    made = finisher(exporters=[Refusing(full)])
    with pytest.raises(RunError, match=rf"^{made.folder}: cannot be written: No space left"):
        rows(made)
    made = finisher("other")
    rename = Path.replace

    def until_the_row(self, target):
        return _raise(full) if target.name.endswith(".row.json") else rename(self, target)

    monkeypatch.setattr(Path, "replace", until_the_row)
    with pytest.raises(RunError, match=r"\.row\.json: cannot be written: No space left"):
        rows(made)


def _raise(error, *_, **__):
    raise error


def test_the_network_is_written_before_the_test_part_is_looked_at(finisher, monkeypatch):
    at, seen = vars(parts()), []
    original = finish.collect_profile

    def watched(network, data, *args):
        if data is at["test"]:
            seen.append(sorted(path.suffix for path in made.folder.glob("eenn-*")))
        return original(network, data, *args)

    made = finisher()
    monkeypatch.setattr(finish, "collect_profile", watched)
    rows(made)
    assert seen == [[".json", ".safetensors"], [".json", ".json", ".safetensors", ".safetensors"]]


def test_a_row_that_cannot_be_read_is_named(finisher):
    made = finisher()
    made.folder.mkdir()
    path = made.folder / f"{candidates()[0].id}.row.json"
    path.write_text("{")
    with pytest.raises(
        RunError, match=r"row\.json: cannot be read .*; delete it to finish this network anew"
    ):
        rows(made)


def test_statistics_are_recomputed_after_fine_tuning(finisher):
    """Once more changes nothing: they are those of the run's sample, not the training's running ones."""
    kept = Kept()
    made = finisher(exporters=[kept], finetune__epochs=2)
    rows(made)
    for network in kept.networks.values():
        again = copy.deepcopy(network)
        made.workbench.recalibrate(again)
        assert equal_states(again, network)


def test_thresholds_may_stay_as_searched(finisher):
    found = rows(finisher(setter=Grid()))
    assert [row["thresholds"] for row in found] == [list(c.scheme.thresholds) for c in candidates()]


def test_without_fine_tuning_the_network_is_the_one_that_was_judged(finisher):
    made = finisher(setter=Grid(), finetune__epochs=0)
    for row, candidate in zip(rows(made), candidates(), strict=True):
        judged = made.evaluator.evaluate(candidate)
        assert row["validation_accuracy"] == judged.accuracy
        assert row["validation_executed_macs"] == judged.executed_macs


@pytest.mark.parametrize("epochs", [0, 2])
def test_the_bar_is_full_at_the_end_also_on_resuming(epochs, finisher):
    for _ in range(2):
        shown = Recorded()
        finisher(finetune__epochs=epochs).finish(candidates(), "Finishing", shown)
        assert shown.totals == [2 * (4 * epochs + 1)]
        assert sum(shown.moves) == shown.totals[0]
