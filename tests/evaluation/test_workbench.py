import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_runs import OPTIONS, parts, space, workbench
from torch import nn

from edanas.core.contracts import ExitClassifier
from edanas.core.preprocess import prepare, preprocessing_fields
from edanas.core.types import SelectionScheme
from edanas.evaluation import network_trainer as module
from edanas.training.steps import derive_seed, recalibration_sample


class Normalised(ExitClassifier):
    """A head with a BatchNorm of its own."""

    def build(self, point, num_classes):
        return nn.Sequential(
            nn.BatchNorm2d(point.channels),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(point.channels, num_classes),
        )


def make(bench, placed=(1,)):
    staged = bench.provider.build(space().largest(), bench.parts.task)
    scheme = SelectionScheme(tuple(0.5 if at in placed else None for at in range(4)))
    return bench.network(staged, bench.fresh_heads(staged, placed), scheme)


@pytest.fixture
def bench(tmp_path):
    return replace(workbench(tmp_path, recalibration=50), classifier=Normalised())


@torch.no_grad()
def by_hand(norm, inputs):
    """Compare a BatchNorm's statistics with the averages over batches of mean and unbiased variance."""
    flat = [each.transpose(0, 1).flatten(1) for each in inputs]
    mean = torch.stack([each.mean(1) for each in flat]).mean(0)
    var = torch.stack([each.var(1) for each in flat]).mean(0)
    return torch.allclose(norm.running_mean, mean, atol=1e-5) and torch.allclose(
        norm.running_var, var, rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize(("size", "batches"), [(256, 1), (50, 1), (49, 2), (24, 3)])
def test_statistics_of_backbone_and_heads_over_equal_batches(size, batches, bench, monkeypatch):
    """With a limit of 49, no batch has a single image, which would weigh as much as the other 49."""
    monkeypatch.setattr(module, "_BATCH", size)
    network, inputs = make(bench), {}
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.register_forward_pre_hook(lambda m, args: inputs.setdefault(m, []).append(args[0].clone()))
    bench.recalibrate(network)
    assert set(inputs) == set(norms)
    assert network.heads["1"][0] in inputs
    sizes = [len(each) for each in inputs[norms[0]]]
    assert (len(sizes), sum(sizes)) == (batches, 50)
    assert max(sizes) - min(sizes) <= 1
    for norm in norms:
        assert by_hand(norm, inputs[norm])


def test_the_recalibration_normalises_the_sample_as_a_deployed_network_does(bench):
    inputs, network = [], make(bench)
    network.backbone.stages[0].register_forward_pre_hook(lambda _, args: inputs.append(args[0].clone()))
    bench.recalibrate(network)
    data = parts()
    at = recalibration_sample(data.train, 50, seed=0)
    assert torch.equal(torch.cat(inputs), prepare(data.train.images[at], 12, data.mean, data.std))


def test_heads_are_copied(bench):
    staged = bench.provider.build(space().largest(), bench.parts.task)
    heads = bench.fresh_heads(staged, (0, 3))
    before = copy.deepcopy(heads[0].state_dict())
    network = bench.network(staged, heads, SelectionScheme((None,) * 4))
    with torch.no_grad():
        for parameter in network.heads.parameters():
            parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in heads[0].state_dict().items())


def test_a_network_has_the_classes_and_the_normalisation_of_the_data(bench):
    network, data = make(bench), parts()
    assert (network.mean, network.std) == (data.mean, data.std)
    assert network.classes == data.train.classes
    assert not any(m.training for m in network.modules())
    shapes = [(p.index, p.channels) for p in bench.exit_points(network.backbone)]
    assert shapes == list(enumerate(options[-1] for options in bench.provider.exit_channels()))


def test_seeds_follow_from_the_seed_of_the_run(bench):
    assert bench.seed("train", "a") == derive_seed(0, "train", "a")
    assert bench.seed("train") != bench.seed("heads")


def test_a_description_is_plain_and_complete(bench):
    backbone = space().sample_backbone(np.random.default_rng(0))
    assert bench.describe(backbone) == {
        "supernet": {"name": "ofa-mbv3", "options": OPTIONS},
        "classifier": {"name": "pool-linear", "options": {}},
        "criterion": {"name": "score-margin", "options": {}},
        "inference": {"name": "early-stop", "options": {}},
        "backbone": dict(backbone.choices),
        "in_channels": 1,
        "num_classes": 10,
        "preprocessing": preprocessing_fields((8, 8), 1, backbone["resolution"]),
    }


@pytest.mark.parametrize(("sample", "read"), [(10, 10), (5000, len(parts().train))])
def test_judging_passes(sample, read, tmp_path):
    bench = workbench(tmp_path, recalibration=sample)
    assert bench.judging_passes() == read + len(parts().validation)
