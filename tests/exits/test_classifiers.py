import pytest
import torch
from torch import nn

from edanas.core.errors import ConfigError
from edanas.core.tracing import count_macs
from edanas.core.types import ExitPoint
from edanas.exits.classifiers import MLP, Convolutional, ConvPoolFC, PoolLinear, Separable
from edanas.testing import check_classifier

POINT = ExitPoint(index=0, channels=24, height=8, width=8)


@pytest.mark.parametrize(
    "classifier",
    [
        PoolLinear(hidden=7, dropout=0.3),
        PoolLinear(pooling="max"),
        Convolutional(channels=(4,), max_size=1, dropout=0.3),
        Convolutional(channels=(4, 5), max_size=100),
        ConvPoolFC(filters=5, stride=2, dropout=0.3),
        MLP(hidden=5, cells=3, dropout=0.3),
        Separable(filters=5, cells=2),
    ],
)
def test_options_conform(classifier):
    check_classifier(classifier)


def test_pool_linear_is_a_linear_layer_on_channel_means():
    head = PoolLinear().build(POINT, 10)
    (linear,) = (module for module in head.modules() if isinstance(module, nn.Linear))
    features = torch.randn(3, 24, 5, 7)
    expected = features.mean(dim=(2, 3)) @ linear.weight.T + linear.bias
    assert torch.allclose(head(features), expected, atol=1e-5)
    assert count_macs(head, (24, 8, 8)) == 24 * 10
    assert count_macs(PoolLinear(hidden=16).build(POINT, 10), (24, 8, 8)) == 24 * 16 + 16 * 10


def test_pool_linear_reads_channel_maxima_if_asked():
    head = PoolLinear(pooling="max").build(POINT, 10)
    features = torch.randn(3, 24, 5, 7)
    torch.testing.assert_close(head(features), head[-1](features.amax((2, 3))))


def test_the_papers_head_is_three_convolutions_on_pooled_features():
    head = Convolutional().build(POINT, 10)
    convolutions = [m for m in head.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size) for c in convolutions] == [
        (24, 32, (3, 3)),
        (32, 64, (3, 3)),
        (64, 128, (3, 3)),
    ]
    assert not [m for m in head.modules() if isinstance(m, nn.BatchNorm2d)]
    per_pixel = 9 * (24 * 32 + 32 * 64 + 64 * 128)
    for side, pooled in ((8, 2), (7, 2), (3, 2), (2, 2), (1, 1)):
        assert count_macs(head, (24, side, side)) == pooled**2 * per_pixel + 128 * 10


@pytest.mark.parametrize("max_size", [1, 2, 4])
def test_pooling_takes_maxima_until_the_side_is_small_enough(max_size):
    head = Convolutional(max_size=max_size).build(POINT, 10).eval()
    features = torch.randn(1, 24, 8, 8)
    pooled = nn.functional.max_pool2d(features, 8 // max_size)
    assert torch.equal(head(features), head(pooled))
    assert count_macs(head, (24, 8, 8)) == count_macs(head, (24, max_size, max_size))


def test_conv_pool_fc_uses_the_maximum_of_each_filter_at_any_position():
    head = ConvPoolFC(filters=8).build(POINT, 10)
    (conv,) = (m for m in head.modules() if isinstance(m, nn.Conv2d))
    (linear,) = (m for m in head.modules() if isinstance(m, nn.Linear))
    features = torch.randn(3, 24, 5, 7)
    expected = linear(conv(features).relu().amax(dim=(2, 3)))
    assert torch.equal(head(features), expected)
    for stride, pixels in ((1, 64), (2, 16)):
        full = ConvPoolFC(stride=stride).build(POINT, 10)
        assert count_macs(full, (24, 8, 8)) == pixels * 9 * 24 * 128 + 128 * 10


def test_mlp_depends_on_positions_only_with_cells():
    features = torch.randn(2, 24, 8, 8)
    turned = features.flip(3)
    for cells, blind in ((1, True), (2, False)):
        head = MLP(cells=cells).build(POINT, 10)
        assert torch.allclose(head(features), head(turned), atol=1e-5) == blind
        assert count_macs(head, (24, 8, 8)) == 24 * cells**2 * 1024 + 1024 * 10


def test_dropout_acts_in_training_only():
    for classifier in (PoolLinear(dropout=0.5), Convolutional(dropout=0.5), ConvPoolFC(dropout=0.5)):
        head = classifier.build(POINT, 4)
        features = torch.randn(2, 24, 4, 4)
        assert not torch.equal(head.train()(features), head(features))
        assert torch.equal(head.eval()(features), head(features))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoolLinear(hidden=-1), r"classifier\.hidden: found -1"),
        (lambda: PoolLinear(pooling="maxx"), r"classifier\.pooling: found 'maxx'\. Did you mean 'max'"),
        (lambda: PoolLinear(dropout=1.0), r"classifier\.dropout: found 1\.0"),
        (lambda: Convolutional(channels=()), r"classifier\.channels: found \[\]"),
        (lambda: Convolutional(channels=(8, 0)), r"classifier\.channels: found \[8, 0\]"),
        (lambda: Convolutional(max_size=0), r"classifier\.max_size: found 0"),
        (lambda: Convolutional(dropout=-0.1), r"classifier\.dropout: found -0\.1"),
        (lambda: ConvPoolFC(filters=0), r"classifier\.filters: found 0"),
        (lambda: ConvPoolFC(stride=0), r"classifier\.stride: found 0"),
        (lambda: MLP(hidden=0), r"classifier\.hidden: found 0"),
        (lambda: MLP(cells=0), r"classifier\.cells: found 0"),
    ],
)
def test_options_out_of_range_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("side", [1, 5, 8])
def test_separable_halves_features_of_any_side(side):
    head = Separable(filters=6, cells=1).build(POINT, 10)
    features = torch.randn(2, 24, side, side)
    padded = nn.functional.pad(head.pointwise(features), (0, side % 2, 0, side % 2))
    expected = head.linear(head.depthwise(padded).relu().mean((2, 3)))
    assert torch.allclose(head(features), expected, atol=1e-5)


def test_separable_costs_a_twentieth_of_the_network_of_its_source():
    """T-RecX's exit on ResNet-8: 16 to 32 channels on 32x32 pixels, 2x2 cells of stride 2, 512 inputs."""
    head = Separable().build(ExitPoint(0, 16, 32, 32), 10)
    assert count_macs(head, (16, 32, 32)) == 32**2 * 16 * 32 + 16**2 * 4 * 32 + 512 * 10
