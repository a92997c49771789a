from dataclasses import replace

import numpy as np
import pytest
import torch
from finishings import Medians, candidates, rows
from small_networks import SMALL
from small_runs import equal_states, parts, workbench
from torch.nn import functional

from edanas.core.errors import ConfigError
from edanas.core.progress import Silent, SilentBar
from edanas.core.space import SearchSpace
from edanas.deploy.int8.network import int8_network
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.evaluation import finish_step
from edanas.evaluation.finetune import FinetuneEvaluation
from edanas.evaluation.finish import Finisher
from edanas.evaluation.finish_step import FinishOrder
from edanas.evaluation.quantised import train_in_integers
from edanas.evaluation.scoring import score
from edanas.evaluation.shared import SharedEvaluation
from edanas.model.loading import load
from edanas.model.profiling import collect_profile
from edanas.supernets.elastic_resnet import ElasticResNetProvider
from edanas.training.pace import Pace

MODES = {"shared": SharedEvaluation, "finetune": FinetuneEvaluation}


@pytest.fixture(scope="module", params=list(MODES))
def evaluator(request, tmp_path_factory):
    evaluation = MODES[request.param](
        workbench(tmp_path_factory.mktemp("run")), quantized=True, quantized_epochs=1
    )
    evaluation.prepare(Silent())
    return evaluation


def test_candidates_are_judged_in_integers(evaluator):
    candidate, bench = candidates()[0], evaluator.workbench
    network = evaluator.network(candidate)
    integers = int8_network(network, parts().calibration.images)
    validation = parts().validation
    metrics = evaluator.evaluate(candidate)
    profile = collect_profile(integers, validation)
    expected = score(profile, candidate.scheme, bench.anatomy(network), validation.labels.numpy())
    assert metrics.accuracy == expected.accuracy
    assert metrics.utilization == expected.utilization
    assert (metrics.params, metrics.executed_macs) == (expected.params, expected.executed_macs)
    plain = collect_profile(network, validation)
    assert not np.allclose(profile.confidence, plain.confidence, atol=1e-6)


def test_results_are_those_of_the_integers_of_the_delivered_file(evaluator, tmp_path):
    bench = replace(evaluator.workbench, folder=tmp_path)
    finisher = Finisher(bench, evaluator, Medians(), [SafetensorsExporter()])
    row = rows(finisher, candidates()[:1])[0]
    delivered = load(tmp_path / row["model"])
    assert delivered.description["quantized"] is True
    integers = int8_network(delivered, parts().calibration.images)
    prediction = integers.predict(parts().test.images)
    accuracy = float((prediction.label == parts().test.labels).double().mean())
    assert row["test_accuracy"] == pytest.approx(accuracy)
    assert list(delivered.scheme.thresholds) == row["thresholds"]


def test_training_in_integers_changes_the_weights_reproducibly(evaluator):
    bench = evaluator.workbench
    settings = replace(bench.settings.finetune, learning_rate=0.05)
    networks = [evaluator.network(candidates()[0]) for _ in range(3)]
    for network, epochs in zip(networks, (0, 2, 2), strict=True):
        with Silent().task("", None) as bar:
            train_in_integers(bench, network, settings, epochs, 5, bar)
    assert not equal_states(networks[0], networks[1])
    assert equal_states(networks[1], networks[2])
    assert equal_states(networks[0], evaluator.network(candidates()[0]))


def test_training_in_integers_lowers_the_loss_of_the_integers(evaluator):
    bench, data = evaluator.workbench, parts().train
    settings = replace(bench.settings.finetune, learning_rate=0.05)
    network, losses = evaluator.network(candidates()[0]), []
    for epochs in (0, 4):
        with Silent().task("", None) as bar:
            train_in_integers(bench, network, settings, epochs, 5, bar)
        with torch.no_grad():
            logits = int8_network(network, parts().calibration.images).answering_logits(data.images)
        losses.append(float(sum(functional.cross_entropy(each, data.labels) for each in logits)))
    assert losses[1] < 0.9 * losses[0]


@pytest.mark.parametrize("mode", MODES)
def test_a_calibration_part_that_is_too_small_is_refused_before_any_training(mode, tmp_path):
    few = parts().calibration.subset(np.arange(9))
    bench = workbench(tmp_path, replace(parts(), calibration=few))
    with pytest.raises(
        ConfigError, match=r"evaluation\.quantized: calibration part: found 9 samples; allowed: 16"
    ):
        MODES[mode](bench, quantized=True).prepare(Silent())
    assert not list(tmp_path.iterdir())


def test_a_layer_that_integers_lack_is_refused_before_any_training(tmp_path):
    options = {**SMALL["elastic-resnet"], "activation": "gelu"}
    bench = workbench(tmp_path)
    provider = ElasticResNetProvider(**options)
    space = SearchSpace(provider.variables(), "continuous", provider.exit_points)
    bench = replace(bench, provider=provider, space=space)
    with pytest.raises(ConfigError, match=r"evaluation\.quantized: stage 1.*gelu"):
        SharedEvaluation(bench, quantized=True).prepare(Silent())


@pytest.mark.parametrize("mode", MODES)
def test_negative_epochs_are_refused(mode, tmp_path):
    with pytest.raises(ConfigError, match=r"evaluation\.quantized_epochs: found -1; allowed: 0 or more"):
        MODES[mode](workbench(tmp_path), quantized=True, quantized_epochs=-1)


@pytest.mark.parametrize(("floats", "integers"), [(5, 1), (400, 0)])
def test_steps_in_integers_are_at_most_a_fifth_of_those_in_limited_time(
    evaluator, tmp_path, monkeypatch, floats, integers
):
    bench, steps = replace(evaluator.workbench, folder=tmp_path), []
    monkeypatch.setattr(finish_step, "train_in_integers", lambda *_, **more: steps.append(more["steps"]))
    monkeypatch.setattr(type(bench), "finetune", lambda *_, **__: None)
    finisher = Finisher(bench, evaluator, Medians(), [SafetensorsExporter()])
    finisher.folder.mkdir()
    order = FinishOrder(candidates()[0], 0.0, SilentBar(), Pace(10.0, {0: floats}, fixed=True))
    assert finisher.step(order).row is not None
    assert order.pace.limit < 10
    epoch = -(-len(parts().train) // bench.settings.finetune.batch_size)
    assert steps == [integers or epoch]
