"""Families of timm: cuts and multiply-adds of small models, and reasons for refusals.

`benchmarks/timm_models.py` examines one model of each family.
"""

import pytest
import torch
from torch import nn

from edanas.core.errors import ConfigError, CostError
from edanas.core.tracing import count_macs
from edanas.core.types import Backbone, Task
from edanas.supernets.timm_models import TimmProvider

RGB = Task(in_channels=3, num_classes=5)
SMALL = (
    *("test_byobnet", "test_convnext", "test_convnext2", "test_convnext3", "test_efficientnet"),
    *("test_mambaout", "test_efficientnet_ln", "test_nfnet", "test_resnet", "mobilenetv3_small_050"),
    *("lcnet_035", "mnasnet_small", "starnet_s050", "convnext_atto", "regnetx_002", "ghostnet_050"),
)


@pytest.mark.parametrize("name", SMALL)
def test_the_stages_of_a_small_model_cost_what_the_model_costs(name: str) -> None:
    provider = TimmProvider(name, resolutions=(32,))
    stages, last = provider.costs(Backbone.of({"resolution": 32}), RGB)
    whole = count_macs(provider.whole(RGB), (3, 32, 32))
    assert sum(stage.macs for stage in stages) + last.macs == whole
    assert provider.exit_points >= 3


@pytest.mark.parametrize(
    ("name", "error", "reason"),
    [
        ("xception41", ConfigError, "has a single stage and so no exit point"),
        ("test_vit", ConfigError, "the forward pass of the model cannot be traced"),
        ("hrnet_w18_small", ConfigError, "no module's output is the only input of all later code"),
    ],
)
def test_a_refusal_names_its_reason(name: str, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        TimmProvider(name, resolutions=(32,))


class Scaled(nn.Module):
    """A linear layer, and a parameter of a given shape that scales the channels of its output."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4)
        self.scale = Scale(shape)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.scale(self.linear(features))


class Scale(nn.Module):
    """A parameter that multiplies its input."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(shape))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features * self.gamma


@pytest.mark.parametrize("shape", [(4,), (1, 1, 4), (1, 1, 1, 4), (3, 1, 1), (1, 3, 1, 1)])
def test_a_scale_of_channels_has_no_multiply_adds(shape: tuple[int, ...]) -> None:
    # Three rows of six features, through a linear layer of four outputs.
    assert count_macs(Scaled(shape), (1, 3, 6)) == 3 * 6 * 4


@pytest.mark.parametrize("shape", [(3, 4), (1, 3, 4)])
def test_a_matrix_that_is_not_counted_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(CostError, match=r"Scale at 'scale' cannot be counted"):
        count_macs(Scaled(shape), (1, 3, 6))


class WithToken(nn.Module):
    """Passes an expanded parameter to a module with weights, as CaiT passes its class token."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 6))
        self.linear = nn.Linear(6, 4)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.linear(self.token.expand(len(features), -1, -1)) + features.mean()


def test_an_expanded_parameter_as_an_input_is_counted() -> None:
    module = WithToken()
    assert count_macs(module, (1, 3, 6)) == 6 * 4
    assert all(parameter.requires_grad for parameter in module.parameters())
