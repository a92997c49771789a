"""Frozen networks predict as the networks that they were frozen from."""

import copy

import pytest
import torch
from early_exit_nets import make_eenn
from small_networks import SMALL
from torch import nn

from edanas.core.contracts import StagedBackbone
from edanas.core.errors import ConfigError, EdanasError
from edanas.core.tracing import exit_points, trace
from edanas.core.types import Backbone, Task
from edanas.exits.criteria import ScoreMargin
from edanas.model.eenn import EENN
from edanas.model.fusion import Pooled
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry

CLOSE = 1e-4
"""Tolerance for confidences; near a threshold, it can change the exit."""

REGISTRY = Registry(load_plugins())
MOBILE = "ofa-mbv3"
OPTIONS = {
    **SMALL,
    MOBILE: {"resolutions": [32], "widths": [0.5], "dropout": 0.2},
    "alexnet": {"resolutions": [16], "width": 0.25},
}


def as_trained(network: EENN) -> EENN:
    """Set BatchNorm statistics and weights as after training, with spread confidences."""
    generator = torch.Generator().manual_seed(7)

    def draw(like: torch.Tensor, low: float, high: float) -> torch.Tensor:
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
            module.weight.data = draw(module.weight, 0.5, 1.5)
            module.bias.data = draw(module.bias, -0.3, 0.3)
    prepared = torch.randn(16, len(network.mean), *network.input_size, generator=generator)
    with torch.no_grad():
        network.train().prepared_logits(prepared)
        heads = (*network.heads.values(), network.backbone.head)
        for head, logits in zip(heads, network.eval().prepared_logits(prepared), strict=True):
            for linear in [each for each in head.modules() if isinstance(each, nn.Linear)][-1:]:
                for parameter in linear.parameters():
                    parameter.mul_(float(1.5 / logits.std()))
    return network.to(memory_format=torch.channels_last)


def check_same_predictions(network: EENN, frozen: EENN, images: torch.Tensor) -> None:
    """Check that labels, exits and confidences agree, except near thresholds."""
    all_before, all_after = network.all_exits(images), frozen.all_exits(images)
    assert (all_before[1] - all_after[1]).abs().max() < CLOSE
    levels = all_before[1].quantile(0.5, dim=0).tolist()
    scheme = [levels.pop(0) if at in network.points else None for at in range(network.exit_points)]
    network.scheme = frozen.scheme = scheme
    one, other = network(images), frozen.predict(images)
    thresholds = torch.tensor([level for level in scheme if level is not None])
    doubtful = ((all_before[1][:, :-1] - thresholds).abs() < CLOSE).any(dim=1)
    certain = ~doubtful
    assert int(certain.sum()) >= len(images) // 4
    assert len(set(one.exit[certain].tolist())) > 1
    assert one.exit[certain].tolist() == other.exit[certain].tolist()
    assert one.label[certain].tolist() == other.label[certain].tolist()
    assert torch.allclose(one.confidence[certain], other.confidence[certain], atol=CLOSE)


def pairs() -> list[tuple[str, str]]:
    """Return every supernet with a compatible head, and one supernet with every compatible head."""
    passes = {
        name: REGISTRY.create("supernet provider", name, OPTIONS.get(name, {})).passes
        for name in REGISTRY.names("supernet provider")
    }
    reads = {
        name: REGISTRY.create("exit classifier", name).reads for name in REGISTRY.names("exit classifier")
    }
    preferred = sorted(reads, key=lambda name: name != "pool-linear")
    first_pairs = [(net, next(name for name in preferred if reads[name] == passes[net])) for net in passes]
    more = [(MOBILE, name) for name in preferred if reads[name] == passes[MOBILE]]
    return sorted({*first_pairs, *more})


@pytest.mark.parametrize(("supernet", "classifier"), pairs())
def test_every_registered_network_predicts_as_before(supernet, classifier):
    provider = REGISTRY.create("supernet provider", supernet, OPTIONS.get(supernet, {}))
    choices = {variable.name: variable.choices[0] for variable in provider.variables()}
    torch.manual_seed(0)
    backbone = provider.build(Backbone.of(choices), Task(3, 4))
    points = exit_points(trace(backbone, 3)[0])
    dropout = {"dropout": 0.3} if "dropout" in REGISTRY.parameters("exit classifier", classifier) else {}
    build = REGISTRY.create("exit classifier", classifier, dropout).build
    heads = {at: build(points[at], 4) for at in range(0, len(points), 2)}
    none = (None,) * len(points)
    names = ["a", "b", "c", "d"]
    network = as_trained(EENN(backbone, heads, none, ScoreMargin(), [0.5] * 3, [0.3] * 3, names))
    weights = copy.deepcopy(network.state_dict())
    frozen = network.freeze()
    side = min(network.resolution, 64)
    images = torch.randint(0, 256, (12, 3, side, side), dtype=torch.uint8)
    if network.series:
        images = network.noise(12)
    check_same_predictions(network, frozen, images)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    remaining = [module for module in frozen.modules() if isinstance(module, nn.BatchNorm2d | nn.Dropout)]
    if supernet == MOBILE:
        assert remaining == []


class Odd(nn.Module):
    """A module for which names or the order of modules would mislead the fusion."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)  # before its convolution, in order of registration
        self.read_twice = nn.Conv2d(3, 3, 3, padding=1)
        self.shared = nn.Conv2d(3, 3, 1, bias=True)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.alone = nn.Conv2d(3, 3, 3, padding=1, bias=True)
        self.folds = nn.BatchNorm2d(3)
        self.listed = nn.Sequential(nn.Identity(), nn.Conv2d(3, 4, 1))
        self.squeeze = nn.Conv2d(4, 4, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        out = self.read_twice(features)
        out = self.norm(out) + out
        out = self.first(self.shared(out)) + self.second(self.shared(out))
        out = self.folds(self.alone(out))
        out = self.listed[1](out)
        return out * self.squeeze(out.mean((2, 3), keepdim=True)).sigmoid()


def odd() -> EENN:
    torch.manual_seed(3)
    last = nn.Sequential(
        nn.Dropout(0.5),
        nn.Conv2d(4, 4, 1, bias=False),
        nn.BatchNorm2d(4),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
        nn.BatchNorm1d(5),
    )
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    backbone = StagedBackbone([Odd(), nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())], last, 8)
    return as_trained(EENN(backbone, {0: head}, (None,), ScoreMargin(), [0.5] * 3, [0.3] * 3, list("abcde")))


def test_a_layer_with_another_reader_is_not_folded():
    network = odd()
    frozen = network.freeze()
    check_same_predictions(network, frozen, torch.rand(20, 3, 8, 8))
    stage = frozen.backbone.stages[0]
    norms = [name for name, module in stage.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms == ["norm", "first", "second"]
    assert len(stage.listed) == 2  # its second module is called by its position
    assert isinstance(stage.squeeze, Pooled)
    assert [type(module).__name__ for module in frozen.backbone.head] == [
        "Conv2d",
        "AdaptiveAvgPool2d",
        "Flatten",
        "Linear",
    ]


def test_the_activation_of_a_normalisation_is_kept():
    from timm.layers import BatchNormAct2d

    network = make_eenn((None,), channels=3).float()
    conv, _, _ = network.backbone.stages[0]
    network.backbone.stages[0] = nn.Sequential(conv, BatchNormAct2d(3, act_layer=nn.ReLU))
    network = as_trained(network)
    frozen = network.freeze()
    check_same_predictions(network, frozen, torch.rand(20, 3, 8, 8))
    assert not [module for module in frozen.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [module for module in frozen.backbone.stages[0].modules() if isinstance(module, nn.ReLU)]


def test_freezing_changes_neither_random_state_nor_the_original():
    network = odd()
    state = torch.get_rng_state()
    frozen = network.freeze()
    assert torch.equal(torch.get_rng_state(), state)
    assert not network.frozen
    network.train()
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    with pytest.raises(EdanasError, match="a frozen network cannot be trained"):
        frozen.train()
    assert frozen.eval().freeze().frozen


def test_compiled_networks_predict_as_before():
    network = odd()
    # This backend runs the graphs of a compiler unchanged.
    frozen = network.freeze(compile="eager")
    check_same_predictions(network, frozen, torch.rand(20, 3, 8, 8))
    with pytest.raises(ConfigError, match=r"compile: torch\.compile does not work here: .*nvcc9"):
        network.freeze(compile="nvcc9")
