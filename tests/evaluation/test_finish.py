import copy
import json

import pytest
import torch
from finishings import Kept, candidates, poisoned, rows
from small_runs import Recorded, equal_states, parts

from edanas.core.feasible import Feasibility
from edanas.core.types import Candidate, SelectionScheme
from edanas.evaluation import finish
from edanas.evaluation.scoring import score
from edanas.model import calibration
from edanas.model.anatomy import Anatomy
from edanas.model.profiling import collect_profile
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.thresholds.continuous import set_thresholds
from edanas.thresholds.setters import Grid, Static

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
