import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models import (
    MobileNet_V3_Large_Weights,
    ResNet18_Weights,
    mobilenet_v3_large,
    resnet18,
)

from edanas.core.contracts import StagedBackbone
from edanas.core.costs import Costs, ada_macs, backbone_macs, executed_macs, executed_per_exit
from edanas.core.errors import CostError
from edanas.core.tracing import count_macs, exit_points, measure, trace
from edanas.core.types import ExitPoint, SelectionScheme


class Apply(nn.Module):
    """A function of the input and some modules."""

    def __init__(self, function, *modules):
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(modules)

    def forward(self, x):
        return self.function(x, *self.parts)


class Weighted(nn.Module):
    """A function of the input and a weight."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.ones(4, 4))

    def forward(self, x):
        return self.function(x, self.weight)


@pytest.mark.parametrize(
    ("make", "weights"),
    [
        (mobilenet_v3_large, MobileNet_V3_Large_Weights.IMAGENET1K_V1),
        (resnet18, ResNet18_Weights.IMAGENET1K_V1),
    ],
)
def test_published_figures_of_torchvision(make, weights):
    assert round(count_macs(make(), (3, 224, 224)) / 1e9, 3) == weights.meta["_ops"]


@st.composite
def small_nets(draw):
    """Layers, input channels and side, and their multiply-adds by the textbook formula."""
    groups = draw(st.integers(1, 3))
    channels, side = groups * draw(st.integers(1, 3)), draw(st.integers(7, 11))
    start = (channels, side)
    layers, macs, largest = [], 0, 0
    for _ in range(draw(st.integers(1, 3))):
        out, kernel = groups * draw(st.integers(1, 3)), draw(st.integers(1, 3))
        stride, padding = draw(st.integers(1, 2)), draw(st.integers(0, 2))
        layers += [
            nn.Conv2d(channels, out, kernel, stride, padding, groups=groups),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        ]
        side = (side + 2 * padding - kernel) // stride + 1
        macs += out * side * side * (channels // groups) * kernel * kernel
        largest = max(largest, out * side * side)
        channels = out
        if side < 3:
            break
    classes = draw(st.integers(1, 5))
    layers += [nn.Flatten(), nn.Linear(channels * side * side, classes)]
    return nn.Sequential(*layers), start, macs + channels * side * side * classes, max(largest, classes)


@settings(max_examples=30)
@given(small_nets(), st.integers(1, 3))
def test_equals_the_formula(net, batch):
    module, (channels, side), macs, largest = net
    assert count_macs(module, (channels, side, side)) == macs
    assert count_macs(module, (batch, channels, side, side)) == batch * macs
    cost = measure(module, (channels, side, side))
    assert (cost.macs, cost.activations) == (macs, largest)
    assert cost.params == sum(p.numel() for p in module.parameters())


def test_counting_leaves_the_network_unchanged():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Conv2d(4, 4, 3))
    net[1].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random_state = torch.get_rng_state()
    count_macs(net, (3, 8, 8))
    assert [module.training for module in net.modules()] == [True, True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


ENCODER_LAYER = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)


@pytest.mark.parametrize(
    ("module", "shape", "macs"),
    [
        (nn.AdaptiveAvgPool2d(1), (4, 5, 5), 0),
        (nn.Sequential(nn.BatchNorm2d(4), nn.PReLU(4)), (4, 5, 5), 0),
        (nn.ConvTranspose2d(4, 3, 3), (4, 5, 5), 4 * 3 * 9 * 25),
        (Weighted(lambda x, weight: torch.einsum("bi,ij->bj", x, weight)), (2, 4), 32),
        (Apply(lambda x, table: table(x.long()), nn.Embedding(4, 4)), (2, 4), 0),
        (nn.GRU(4, 3), (5, 4), 5 * 3 * 3 * (4 + 3)),
        (
            Apply(lambda x, layer: layer(x[0]), ENCODER_LAYER),
            (2, 5, 4),
            2 * 5 * (4 * 12 + 2 * 5 * 4 + 4 * 4 + 2 * 4 * 8),
        ),
        (Apply(lambda x, used, _: used(x), nn.Linear(4, 4), nn.Linear(4, 9)), (1, 4), 16),
    ],
    ids=[
        "pooling",
        "normalisation",
        "transposed",
        "einsum",
        "lookup",
        "recurrent",
        "attention",
        "only what runs",
    ],
)
def test_macs_of_layers(module, shape, macs):
    assert count_macs(module, shape) == macs


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (Apply(lambda x, m: m(x, x), nn.Bilinear(4, 4, 3)), (2, 4), "aten::_trilinear"),
        (
            nn.Sequential(nn.Linear(4, 4), Weighted(lambda x, w: (x[:, :, None] * w).sum(1))),
            (2, 4),
            "Weighted at '1'",
        ),
        (Weighted(lambda x, weight: torch.mv(weight, x)), (4,), "aten::mv"),
        (Apply(lambda x, _: x, nn.Linear(4, 4)), (2, 4), "has weights"),
        (nn.Conv2d(3, 4, 3), (1, 8, 8), r"\(1, 1, 8, 8\)"),
    ],
    ids=["bilinear", "own arithmetic", "matrix-vector", "nothing ran", "wrong shape"],
)
def test_a_module_that_cannot_be_counted_is_an_error(module, shape, message):
    with pytest.raises(CostError, match=message):
        count_macs(module, shape)


@pytest.mark.parametrize("norm", [nn.LayerNorm([4, 6, 6]), nn.RMSNorm([4, 6, 6]), nn.BatchNorm2d(4)])
def test_normalisation_is_free(norm):
    assert count_macs(nn.Sequential(nn.Conv2d(3, 4, 3), norm), (3, 8, 8)) == 4 * 3 * 9 * 36


def test_a_recurrent_layer_is_counted_completely_or_refused():
    try:
        macs = count_macs(nn.LSTM(4, 3), (5, 4))
    except CostError as error:
        assert "rnn" in str(error) or "lstm" in str(error).lower()
    else:
        assert macs == 5 * 4 * 3 * (4 + 3)


def test_a_foreign_operator_is_refused():
    with torch.library._scoped_library("edanas_test", "DEF") as library:
        library.define("times(Tensor x) -> Tensor")
        library.impl("times", lambda x: x * 2, "CompositeExplicitAutograd")
        module = Apply(lambda x: torch.ops.edanas_test.times(x))
        with pytest.raises(CostError, match="edanas_test::times"):
            count_macs(module, (2, 4))


def staged():
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))
    return StagedBackbone([nn.Conv2d(2, 4, 3, 2, 1), nn.Conv2d(4, 8, 3, 1, 1), nn.Conv2d(8, 6, 1)], head, 8)


def test_trace_returns_costs_of_each_stage():
    stages, last = trace(staged(), 2)
    assert [stage.macs for stage in stages] == [4 * 16 * 2 * 9, 8 * 16 * 4 * 9, 6 * 16 * 8]
    assert [stage.activations for stage in stages] == [64, 128, 96]
    assert [stage.outputs for stage in stages] == [64, 128, 96]
    two = nn.Sequential(
        nn.Conv2d(2, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.Flatten(), nn.Linear(48, 5)
    )
    assert (measure(two, (2, 8, 8)).activations, measure(two, (2, 8, 8)).outputs) == (64, 64 + 48 + 5)
    assert (last.macs, last.params, last.activations, last.shape) == (30, 35, 5, (5, 1, 1))
    assert exit_points(stages) == (ExitPoint(0, 4, 4, 4), ExitPoint(1, 8, 4, 4))
    costs = Costs.of(stages, {1: last}, last)
    assert costs.heads == (None, 30)
    assert backbone_macs(costs) == count_macs(staged(), (2, 8, 8))


@st.composite
def samples_with_exits(draw):
    """Draw costs, a scheme, and the exit point of each sample."""
    points = draw(st.integers(1, 5))
    macs = st.integers(0, 10**9)
    placed = [draw(st.booleans()) for _ in range(points)]
    heads = tuple(draw(macs) if here or draw(st.booleans()) else None for here in placed)
    costs = Costs(tuple(draw(macs) for _ in range(points + 1)), heads, draw(macs))
    scheme = SelectionScheme(tuple(0.5 if here else None for here in placed))
    exits = draw(st.lists(st.sampled_from([*scheme.placed, points]), min_size=1, max_size=40))
    return costs, scheme, exits


@settings(max_examples=150)
@given(samples_with_exits())
def test_ada_and_executed_macs_equal_a_count_sample_by_sample(case):
    costs, scheme, exits = case
    points = len(costs.heads)
    ada = executed = 0
    for exit_point in exits:
        for stage in range(points + 1):
            ada += costs.stages[stage]
            executed += costs.stages[stage]
            if stage == points:
                ada += costs.last
                executed += costs.last
            elif stage in scheme.placed:
                executed += costs.heads[stage]
            if stage == exit_point:
                ada += costs.heads[stage] if stage < points else 0
                break
    utilization = [exits.count(i) / len(exits) for i in range(points + 1)]
    assert ada_macs(costs, scheme, utilization) == pytest.approx(ada / len(exits), rel=1e-12)
    assert executed_macs(costs, scheme, utilization) == pytest.approx(executed / len(exits), rel=1e-12)
    assert ada_macs(costs, scheme, utilization) <= executed_macs(costs, scheme, utilization) * (1 + 1e-12)


def test_executed_per_exit():
    costs = Costs((100, 200, 400), (10, 20), 5)
    np.testing.assert_array_equal(executed_per_exit(costs, SelectionScheme((0.1, 0.2))), [110, 330, 735])
    np.testing.assert_array_equal(executed_per_exit(costs, SelectionScheme((None, 0.2))), [np.nan, 320, 725])
    np.testing.assert_array_equal(
        executed_per_exit(costs, SelectionScheme((None, None))), [np.nan, np.nan, 705]
    )


def test_costs_that_do_not_match_the_scheme_are_refused():
    costs = Costs((100, 200, 400), (10, None), 5)
    with pytest.raises(CostError, match="exit 2 is placed"):
        ada_macs(costs, SelectionScheme((None, 0.5)), (0, 0.5, 0.5))
    scheme = SelectionScheme((0.5, None))
    for utilization in [(0.5, 0.5), (0.5, 0.1, 0.4), (0.5, 0, 0.4), (1.5, 0, -0.5)]:
        with pytest.raises(ValueError, match="utilization"):
            ada_macs(costs, scheme, utilization)
    with pytest.raises(ValueError, match="thresholds"):
        executed_per_exit(costs, SelectionScheme((0.5,)))
    with pytest.raises(ValueError, match="heads"):
        Costs((1, 2), (), 3)
