"""A network with thresholds by each setter: figures, files, and unchanged parts."""

import copy

import exported_nets
import numpy as np
import pytest
import torch
from small_runs import parts

import edanas
from edanas.core.contracts import ThresholdChoice, ThresholdSetter
from edanas.core.errors import CandidateError
from edanas.core.types import SelectionScheme
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.evaluation.scoring import score
from edanas.exits.correctness import Correctness
from edanas.exits.eenet import EENet
from edanas.exits.inference import Aggregate
from edanas.model.anatomy import Anatomy
from edanas.model.calibration import calibrate
from edanas.model.fitting import fit
from edanas.model.profiling import collect_profile
from edanas.model.temperature import TEMPERATURES
from edanas.thresholds.exit_shares import ExitShares
from edanas.thresholds.failure_prediction import FailurePrediction
from edanas.thresholds.schemes import exit_costs
from edanas.thresholds.setters import Budgeted, Calibrated, Dynamic, Static
from edanas.thresholds.stream_budget import HOLD

SAMPLES = parts().calibration


@pytest.fixture
def network():
    return copy.deepcopy(exported_nets.network())


def anatomy(network):
    return Anatomy.of(network, 1)


def middle(network):
    costs_by_exit = exit_costs(anatomy(network).costs, exported_nets.PLACED)
    return float(costs_by_exit[:2].mean())


@pytest.mark.parametrize("name", ["static", "budget", "floor", "calibrated", "dynamic", "eenet", "eefp"])
def test_a_calibrated_network_is_restored_from_its_files(name, network, tmp_path):
    setter = {
        "static": lambda: Static(accuracy_drop=0.1),
        "budget": lambda: Budgeted(max_macs=middle(network)),
        "floor": lambda: Budgeted(min_accuracy="5%"),
        "calibrated": lambda: Calibrated(accuracy_drop=0.1),
        "dynamic": lambda: Dynamic(max_macs=middle(network), horizon=40),
        "eefp": lambda: FailurePrediction(accuracy_drop=0.1),
        "eenet": lambda: ExitShares(max_macs=middle(network)),
    }[name]()
    if name == "eenet":
        network.criterion = EENet(steps=30).build(len(network.classes), network.exit_points)
        network.description["criterion"] = {"name": "eenet", "options": {"steps": 30}}
    old = network.scheme
    promise = calibrate(network, SAMPLES, anatomy(network).costs, setter)
    assert network.scheme.placed == old.placed
    assert np.array_equal(promise.confidence, collect_profile(network, SAMPLES).confidence)
    metrics = score(promise, network.scheme, anatomy(network))
    if name in ("budget", "dynamic", "eenet"):
        assert metrics.executed_macs <= middle(network)
    if name == "floor":
        assert metrics.accuracy >= 0.05
    assert (TEMPERATURES in network.description) == (name == "calibrated")
    loaded = edanas.load(SafetensorsExporter().export(network, tmp_path / "net")[0])
    for before, after in zip(network(exported_nets.images()), loaded(exported_nets.images()), strict=True):
        assert torch.equal(before, after)


def test_a_setter_gets_the_outputs_of_the_inference_rule(network):
    network.inference = Aggregate("mean")
    calibrations = []

    class Reading(Static):
        def choose(self, calibration):
            calibrations.append(calibration)
            return super().choose(calibration)

    calibrate(network, SAMPLES, anatomy(network).costs, Reading())
    answers = calibrations[0].answers()
    right = answers.outputs.argmax(axis=2) == answers.labels[:, None]
    assert np.array_equal(right, calibrations[0].profile.correct)
    means = torch.from_numpy(answers.logits).softmax(dim=2).cumsum(dim=1) / torch.arange(1, 4)[:, None]
    assert torch.allclose(torch.from_numpy(answers.outputs).exp(), means, atol=1e-5)


def test_calibration_does_not_change_labels(network):
    images = exported_nets.images()
    before = network.all_exits(images)[0]
    calibrate(network, SAMPLES, anatomy(network).costs, Calibrated())
    assert torch.equal(network.all_exits(images)[0], before)


def test_a_dynamic_network_holds_its_budget_when_it_is_loaded(network, tmp_path):
    budget = middle(network)
    calibrate(network, SAMPLES, anatomy(network).costs, Dynamic(max_macs=budget, horizon=24))
    loaded = edanas.load(SafetensorsExporter().export(network, tmp_path / "net")[0])
    assert loaded.description[HOLD] == network.description[HOLD]
    images = exported_nets.images().repeat(12, 1, 1, 1)
    costs_by_exit = exit_costs(anatomy(network).costs, exported_nets.PLACED)
    columns = {exit_: column for column, exit_ in enumerate((*exported_nets.PLACED, 4))}
    spent = [costs_by_exit[columns[answer.exit - 1]] for answer in edanas.stream(loaded, images)]
    bound = 1.75 * (costs_by_exit[-1] - costs_by_exit[0]) * 24 / len(spent)
    assert abs(np.mean(spent) - budget) <= bound
    assert np.mean(spent[100:]) == pytest.approx(budget, rel=0.03)


def test_retuning_removes_the_budget_holder(network):
    calibrate(network, SAMPLES, anatomy(network).costs, Dynamic(max_macs=middle(network)))
    confidences = network.all_exits(exported_nets.images())[1].numpy()
    edanas.retune(network, confidences, max_macs=middle(network))
    assert HOLD not in network.description


def test_a_setter_that_places_other_exits_is_refused(network):
    class Elsewhere(ThresholdSetter):
        def choose(self, calibration):
            return ThresholdChoice(SelectionScheme((None, 0.5, None, None)))

    old = network.scheme
    with pytest.raises(CandidateError, match=r"Elsewhere places exits at \(1,\); expected \(1, 3\)"):
        calibrate(network, SAMPLES, anatomy(network).costs, Elsewhere())
    assert network.scheme == old


def test_criteria_are_fitted_again_to_calibrated_logits(network):
    network.criterion = Correctness().build(10, 4)
    fit(network, SAMPLES)
    before = network.criterion.after(network.answering_logits(SAMPLES.images)[:1], network.scheme.placed[:1])
    promise = calibrate(network, SAMPLES, anatomy(network).costs, Calibrated())
    assert network.description[TEMPERATURES]
    assert (promise.confidence == collect_profile(network, SAMPLES).confidence).all()
    fit(network, SAMPLES)
    assert (promise.confidence == collect_profile(network, SAMPLES).confidence).all()
    assert (promise.confidence[:, 0] != before.detach().numpy()).any()
