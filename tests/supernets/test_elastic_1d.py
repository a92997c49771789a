import numpy as np
import pytest
import torch
from series_networks import SMALL_1D

from edanas.core.errors import CandidateError, ConfigError
from edanas.core.space import SearchSpace
from edanas.core.tracing import trace
from edanas.core.types import Backbone, Task
from edanas.supernets.elastic_1d import Elastic1dProvider
from edanas.supernets.series_space import strides_for
from edanas.testing.providers import check_provider
from edanas.training.fast_operators import FastOperators


def smallest(provider: Elastic1dProvider) -> Backbone:
    return SearchSpace(provider.variables(), "continuous", provider.exit_points).smallest()


@pytest.mark.parametrize("length", [8, 30, 206])
def test_counted_costs_equal_traced_costs(length: int) -> None:
    provider = Elastic1dProvider(resolutions=(length,), kernels=(3, 25), masked=length == 30)
    space = SearchSpace(provider.variables(), "continuous", provider.exit_points)
    rng, task = np.random.default_rng(0), Task(3, 4)
    for backbone in (space.smallest(), space.largest(), space.sample_backbone(rng)):
        assert provider.costs(backbone, task) == trace(provider.build(backbone, task), task.in_channels)


def test_a_small_network_for_a_sensor_has_five_thousand_multiply_adds() -> None:
    provider = Elastic1dProvider(resolutions=(52, 103, 206))
    stages, last = provider.costs(smallest(provider), Task(3, 4))
    assert sum(stage.macs for stage in stages) + last.macs < 8_000
    assert stages[0].macs + stages[0].shape[0] * 4 < 5_000  # cut at the first exit


@pytest.mark.parametrize(("channels", "length"), [(1, 8), (9, 8), (1, 16_000), (6, 16_000)])
def test_networks_exist_for_the_shortest_and_the_longest_series(channels: int, length: int) -> None:
    provider = Elastic1dProvider(resolutions=(length,))
    network = provider.build(smallest(provider), Task(channels, 3)).eval()
    assert network(torch.zeros(1, channels, 1, length)).shape == (1, 3)
    assert network.input_size == (1, length)


def test_derived_strides_leave_features_of_four_to_eight_values() -> None:
    for length in range(8, 16_001, 97):
        stem, strides = strides_for([length])
        total = stem * int(np.prod(strides))
        assert 4 <= -(-length // total) <= 8, (length, stem, strides)


def test_padding_changes_neither_features_nor_logits_of_a_masked_network() -> None:
    """The valid values alone decide: whatever stands at padding, logits are the same."""
    provider = Elastic1dProvider(**{**SMALL_1D, "resolutions": (40,), "masked": True})
    space = SearchSpace(provider.variables(), "continuous", provider.exit_points)
    torch.manual_seed(0)
    network = provider.supernet(Task(3, 3)).eval().extract(space.largest())
    series = torch.randn(4, 3, 1, 40)
    series[1, ..., 17:] = torch.nan
    first = network(series)
    # A garbage value under the mask: only NaN in the first channel marks padding.
    series[1, 1:, :, 17:] = 1e6
    assert torch.equal(network(series), first)


def test_masked_means_are_those_of_the_valid_part() -> None:
    provider = Elastic1dProvider(**{**SMALL_1D, "resolutions": (40,), "masked": True})
    stage = provider.build(smallest(provider), Task(3, 3)).eval().stages[0]
    series = torch.randn(2, 3, 1, 40)
    series[1, ..., 16:] = torch.nan
    joined = stage(series)
    valid = int((joined[1, -1, 0] > 0).sum())
    assert valid < joined.shape[3]
    own = joined[1, :-1, 0, :valid] / joined[1, -1, 0, 0]
    assert torch.allclose(joined[1, :-1].mean((1, 2)), own.mean(1), atol=1e-6)
    assert joined[:, -1].mean((1, 2)).tolist() == pytest.approx([1.0, 1.0])


def test_gradients_of_the_fast_operators_equal_those_of_torch() -> None:
    provider = Elastic1dProvider(**SMALL_1D)
    space = SearchSpace(provider.variables(), "continuous", provider.exit_points)
    torch.manual_seed(0)
    supernet = provider.supernet(Task(3, 3)).train()
    series = torch.randn(8, 3, 1, 40)
    gradients = []
    for fast in (False, True):
        supernet.zero_grad()
        loss = supernet.view(space.largest())(series).square().mean()
        if fast:
            with FastOperators():
                loss = supernet.view(space.largest())(series).square().mean()
                loss.backward()
        else:
            loss.backward()
        gradients.append([p.grad.clone() for p in supernet.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-3)


def test_a_network_without_masks_conforms() -> None:
    options = {**SMALL_1D, "resolutions": (12,), "depths": (1,), "channels": (4, 8, 8, 12, 12)}
    check_provider(Elastic1dProvider(**options), backbones=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": (4,)}, "supernet.kernels: found 4; allowed: odd numbers from 3 to 25"),
        ({"kernels": (27,)}, "supernet.kernels: found 27; allowed: odd numbers from 3 to 25"),
        ({"resolutions": (20_000,)}, "supernet.resolutions: found 20000; allowed: whole numbers from 4"),
        ({"channels": (8, 8)}, "supernet.channels: found 2 numbers; allowed: 5, one for each stage"),
        ({"stem_stride": 9}, "supernet.stem_stride: found 9; allowed: a whole number from 0 to 8"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match="^" + message.replace("(", r"\(")):
        Elastic1dProvider(**options)  # type: ignore[arg-type]


def test_a_backbone_outside_the_space_is_an_error() -> None:
    with pytest.raises(CandidateError, match="resolution: found 7"):
        Elastic1dProvider().build(Backbone.of({"resolution": 7}), Task(1, 2))
