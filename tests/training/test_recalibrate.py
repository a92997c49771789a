import copy

import pytest
import torch
from small_runs import equal_states
from torch import nn

from edanas.training.recalibrate import recalibrate


class Watched(nn.Module):
    """Records the mode in which it ran."""

    def __init__(self):
        super().__init__()
        self.modes = []

    def forward(self, images):
        self.modes.append(self.training)
        return images


@pytest.fixture
def network():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.BatchNorm2d(3, momentum=0.3), Watched(), nn.Conv2d(3, 4, 3), nn.Dropout(0.9), nn.BatchNorm2d(4)
    )
    with torch.no_grad():
        net[0].running_mean.fill_(7.0)
        net[4].running_var.fill_(9.0)
    return net.train()


def batches(sizes=(5, 5, 8)):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(size, 3, 6, 6, generator=generator) * 2 + 1 for size in sizes]


def averages(features):
    """Means and unbiased variances by channel, averaged over batches."""
    flat = [batch.transpose(0, 1).flatten(1).double() for batch in features]
    mean = torch.stack([batch.mean(1) for batch in flat]).mean(0)
    return mean, torch.stack([batch.var(1, unbiased=True) for batch in flat]).mean(0)


def normalised(batch):
    """Output of a BatchNorm in training mode, with weight 1 and bias 0."""
    mean, var = batch.mean((0, 2, 3), keepdim=True), batch.var((0, 2, 3), unbiased=False, keepdim=True)
    return (batch - mean) / (var + 1e-5).sqrt()


@torch.no_grad()
def test_statistics_are_the_averages_over_the_batches(network):
    recalibrate(network, batches())
    inner = [network[2](normalised(batch)) for batch in batches()]
    for norm, features in ((network[0], batches()), (network[4], inner)):
        mean, var = averages(features)
        assert torch.allclose(norm.running_mean.double(), mean, atol=1e-5)
        assert torch.allclose(norm.running_var.double(), var, atol=1e-4)


def test_only_batchnorm_runs_in_training_mode(network):
    recalibrate(network, batches())
    assert network[1].modes == [False] * 3
    assert not any(module.training for module in network.modules())


def test_momentum_and_weights_are_as_before(network):
    weights = [parameter.detach().clone() for parameter in network.parameters()]
    recalibrate(network, batches())
    assert [network[0].momentum, network[4].momentum] == [0.3, 0.1]
    assert all(torch.equal(a, b) for a, b in zip(weights, network.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_networks_logits_change_accordingly(network):
    images = batches()[0]
    before = copy.deepcopy(network).eval()(images)
    recalibrate(network, [images])
    after = network(images)
    assert not torch.allclose(before, after, atol=0.1)
    with torch.no_grad():
        mean, std = images.mean((0, 2, 3), keepdim=True), images.var((0, 2, 3), keepdim=True).sqrt()
        inner = network[2]((images - mean) / std)
    assert torch.allclose(after.mean((0, 2, 3)), torch.zeros(4), atol=1e-2)
    assert torch.allclose(inner.std((0, 2, 3)) / network[4].running_var.sqrt(), torch.ones(4), atol=2e-2)


def test_it_depends_on_the_batches_alone(network):
    other = copy.deepcopy(network)
    recalibrate(other, batches((4, 4)))
    recalibrate(other, batches())
    recalibrate(network, batches())
    assert equal_states(network, other)


def test_a_failure_leaves_momentum_as_it_was(network):
    with pytest.raises(RuntimeError):
        recalibrate(network, [torch.zeros(4, 3, 6, 6), torch.zeros(4, 2, 6, 6)])
    assert [network[0].momentum, network[4].momentum] == [0.3, 0.1]
    assert not network[0].training
