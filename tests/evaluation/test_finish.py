import copy
import json

import pytest
import torch
from finishings import RecordingExporter, candidates, poisoned, rows
from small_runs import RecordedBars, equal_states, parts

from edanas.core.feasible import Feasibility
from edanas.core.types import Backbone, Candidate, SelectionScheme
from edanas.evaluation import judging
from edanas.evaluation.scoring import score
from edanas.model import calibration
from edanas.model.anatomy import Anatomy
from edanas.model.profiling import collect_profile
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.thresholds.profiles import outcome
from edanas.thresholds.setters import Grid

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


def test_rows_have_the_keys_that_tools_read(finisher):
    finished = rows(finisher())
    for row, candidate in zip(finished, candidates(), strict=True):
        assert set(row) >= KEYS
        assert (row["id"], row["exits"]) == (candidate.id, candidate.scheme.exits)
        assert [t is None for t in row["thresholds"]] == [t is None for t in candidate.scheme.thresholds]
        assert len(row["utilization"]) == 5
        assert sum(row["utilization"]) == pytest.approx(1)
        assert 0 <= row["test_accuracy"] <= 1
        assert row["test_ci"][0] <= row["test_accuracy"] <= row["test_ci"][1]
        assert row["ada_macs"] <= row["executed_macs"]
        assert json.loads(json.dumps(row)) == row
    assert finished[1]["executed_macs"] == finished[1]["backbone_macs"]
    assert finished[1]["test_accuracy"] == finished[1]["backbone_test_accuracy"]


def test_rows_agree_with_the_finished_network(finisher):
    exporter = RecordingExporter()
    finishing = finisher(exporters=[exporter])
    for row, (name, network) in zip(rows(finishing), exporter.networks.items(), strict=True):
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
    exporter = RecordingExporter()
    (row,) = rows(finisher(exporters=[exporter]), candidates()[:1])
    (network,) = exporter.networks.values()
    profile = collect_profile(network, parts().calibration)
    utilization = outcome(profile, network.scheme).utilization
    assert utilization == pytest.approx((0.5, 0.0, 0.25, 0.0, 0.25))
    assert row["thresholds"] != list(candidates()[0].scheme.thresholds)
    promised = score(profile, network.scheme, Anatomy.of(network, 1))
    assert row["calibration_accuracy"] == promised.accuracy
    assert row["calibration_executed_macs"] == promised.executed_macs


def test_thresholds_that_violate_a_constraint_are_replaced_by_the_searched_ones(finisher):
    """With the searched thresholds all samples exit at the first exit, where the network then ends."""
    cheap = Candidate(candidates()[0].backbone, SelectionScheme((0.0, None, 0.2, None)))
    (free,) = rows(finisher("free"), [cheap])
    registry = Registry(load_plugins())

    def bound(**limit):
        return Feasibility([registry.create("constraint", "bound", {"of": "executed-macs", **limit})])

    tight = finisher("tight")
    tight.step.limits = bound(at_most=0.9 * free["calibration_executed_macs"])
    (bounded,) = rows(tight, [cheap])
    assert (free["exits"], bounded["exits"], bounded["backbone"]["stages"]) == (2, 0, 1)
    assert bounded["calibration_executed_macs"] < free["calibration_executed_macs"]
    assert (bounded["violation"], bounded["breaches"]) == (0.0, [])
    loose = finisher("loose")
    loose.step.limits = bound(at_most=1, at_least=0)
    (neither,) = rows(loose, [cheap])
    assert neither["violation"] == pytest.approx(neither["validation_executed_macs"] - 1)
    assert "executed-macs is" in neither["breaches"][0]


def test_a_row_without_set_thresholds_has_no_calibration_figures(finisher):
    _, single = rows(finisher("set"))
    searched = rows(finisher("searched", setter=Grid()))
    for row in (single, *searched):
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
            "balanced_accuracy",
            "class_recall",
            "confusion",
            "disagreement",
            "failure_prediction",
            "examples",
        }


def test_the_calibration_part_changes_thresholds_alone(finisher):
    exporters = RecordingExporter(), RecordingExporter()
    honest = rows(finisher("a", exporters=exporters[:1]))
    rows(finisher("b", poisoned("calibration"), exporters=exporters[1:]))
    for name, network in exporters[0].networks.items():
        other = exporters[1].networks[name]
        assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
    assert exporters[1].networks.keys() == {f"eenn-{row['exits']}-{row['id']}" for row in honest}


def test_the_validation_part_changes_validation_figures_alone(finisher):
    honest, wrong = rows(finisher("a")), rows(finisher("b", poisoned("validation")))
    for one, two in zip(honest, wrong, strict=True):
        assert {key for key in one if one[key] != two[key]} == {"validation_accuracy"}


def test_the_test_part_is_read_once_and_last(finisher, monkeypatch):
    looked = []

    def watching(original):
        def watched(network, data, *args):
            looked.append(next(name for name in ("calibration", "validation", "test") if data is at[name]))
            return original(network, data, *args)

        return watched

    at = vars(parts())
    for module, name in ((calibration, "collect_profile"), (judging, "collect_answers")):
        monkeypatch.setattr(module, name, watching(getattr(module, name)))
    finishing = finisher()
    first = rows(finishing)
    assert looked == ["calibration", "validation", "test", "validation", "test"]
    looked.clear()
    assert rows(finishing) == first
    assert looked == []


def test_the_network_is_written_before_the_test_part_is_read(finisher, monkeypatch):
    at, files = vars(parts()), []
    original = judging.collect_answers

    def watched(network, data, *args):
        if data is at["test"]:
            files.append(sorted(path.suffix for path in finishing.folder.glob("eenn-*")))
        return original(network, data, *args)

    finishing = finisher()
    monkeypatch.setattr(judging, "collect_answers", watched)
    rows(finishing)
    assert files == [[".json", ".safetensors"], [".json", ".json", ".safetensors", ".safetensors"]]


def test_statistics_are_recomputed_after_fine_tuning(finisher):
    """A second recalibration changes nothing: the statistics are those of the run's sample."""
    exporter = RecordingExporter()
    finishing = finisher(exporters=[exporter], finetune__epochs=2)
    rows(finishing)
    for network in exporter.networks.values():
        again = copy.deepcopy(network)
        finishing.workbench.recalibrate(again)
        assert equal_states(again, network)


def test_thresholds_may_stay_as_searched(finisher):
    """Exits without calibration samples are removed, though the thresholds of the others stay."""
    for row, candidate in zip(rows(finisher(setter=Grid())), candidates(), strict=True):
        searched = candidate.scheme.thresholds
        assert all(now in (None, before) for now, before in zip(row["thresholds"], searched, strict=True))
        assert row["exits"] == sum(threshold is not None for threshold in row["thresholds"])


def test_without_fine_tuning_the_network_is_the_evaluated_one(finisher):
    finishing = finisher(setter=Grid(), finetune__epochs=0)
    for row in rows(finishing):
        delivered = Candidate(Backbone.of(row["backbone"]), SelectionScheme(tuple(row["thresholds"])))
        judged = finishing.evaluator.evaluate(delivered)
        assert row["validation_accuracy"] == judged.accuracy
        assert row["validation_executed_macs"] == judged.executed_macs


@pytest.mark.parametrize("epochs", [0, 2])
def test_the_bar_is_full_at_the_end_also_after_a_resume(epochs, finisher):
    for _ in range(2):
        progress = RecordedBars()
        finisher(finetune__epochs=epochs).finish(candidates(), "Finishing", progress)
        assert progress.totals == [2 * (4 * epochs + 1)]
        assert sum(progress.moves) == progress.totals[0]
