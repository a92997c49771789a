"""The suite finds what is wrong with a supernet provider."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from edanas.core.contracts import StagedBackbone, Supernet
from edanas.core.types import Backbone, SegmentCost, Task, Variable
from edanas.testing import ConformanceError, check_provider
from edanas.testing.toy_networks import ToyProvider, ToySupernet


class Backwards(ToyProvider):
    """The costliest choice first."""

    def variables(self) -> tuple[Variable, ...]:
        return tuple(Variable(v.name, v.choices[::-1], v.parent, v.when) for v in super().variables())


class KernelsBackwards(ToyProvider):
    def variables(self) -> tuple[Variable, ...]:
        def turned(variable: Variable) -> Variable:
            return Variable(variable.name, variable.choices[::-1], variable.parent, variable.when)

        return tuple(turned(v) if v.name == "layer4.kernel" else v for v in super().variables())


class LateDepth(ToyProvider):
    """Claims that the depth of the second stage shapes the third stage alone."""

    def variables(self) -> tuple[Variable, ...]:
        return tuple(replace(v, stage=3) if v.name == "depth" else v for v in super().variables())


class NoSuchStage(ToyProvider):
    def variables(self) -> tuple[Variable, ...]:
        return tuple(replace(v, stage=4) if v.name == "depth" else v for v in super().variables())


class Twins(ToyProvider):
    """A variable that changes nothing, so that each network has two genomes."""

    def variables(self) -> tuple[Variable, ...]:
        return (*super().variables(), Variable("colour", (1, 2)))


class Reconciled(Twins):
    """The same variable, with one canonical form."""

    def canonical(self, backbone: Backbone) -> Backbone:
        return Backbone.of({**dict(backbone.choices), "colour": 1})


class Restless(Twins):
    """A canonical form that is never the same twice."""

    def canonical(self, backbone: Backbone) -> Backbone:
        return Backbone.of({**dict(backbone.choices), "colour": 3 - int(backbone["colour"])})


class WithoutResolution(ToyProvider):
    def variables(self) -> tuple[Variable, ...]:
        return super().variables()[1:]


class Orphaned(ToyProvider):
    """A variable that stands before its parent."""

    def variables(self) -> tuple[Variable, ...]:
        return super().variables()[::-1]


class OtherChannels(ToyProvider):
    """Knows of the wider features alone."""

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        return ((8,), (8,))


class TooManyExits(ToyProvider):
    exit_points = 3

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        return ((4, 8),) * 3


class FixedResolution(ToyProvider):
    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        net = super().build(backbone, task)
        net.resolution = 12
        return net


class OtherStructure(ToyProvider):
    """Builds plain networks with a bias that extracted ones do not have."""

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        net = super().build(backbone, task)
        net.stages[0].register_parameter("bias", nn.Parameter(torch.zeros(1)))
        return net


class OtherArithmetic(ToyProvider):
    """Builds what has the same weights and does something else with them."""

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        net = super().build(backbone, task)
        net.stages[-1].append(nn.Hardswish())
        return net


class Miscounted(ToyProvider):
    """Forgets what depth adds."""

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        shallow = Backbone.of({**dict(backbone.choices), "depth": 1})
        return super().costs(shallow, task)


class Uncounted(ToyProvider):
    """A provider without `costs`."""

    def costs(self, backbone: Backbone, task: Task) -> None:
        return None


class Colourful(ToyProvider):
    """Ignores the task's channels."""

    def supernet(self, task: Task) -> Supernet:
        return ToySupernet(Task(1, task.num_classes))


class Seeded(ToyProvider):
    def supernet(self, task: Task) -> Supernet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            return ToySupernet(task)


class LoadsAnything(ToyProvider):
    def load_weights(self, supernet: Supernet, weights: str) -> str:
        return "all is well"


class LoadsByHalf(ToyProvider):
    def load_weights(self, supernet: Supernet, weights: str) -> str:
        next(supernet.parameters()).data.zero_()
        return super().load_weights(supernet, weights)


def made_of(supernet: type[ToySupernet]) -> ToyProvider:
    """A provider of that supernet."""
    methods: dict[str, Any] = {"supernet": lambda self, task: supernet(task)}
    provider: ToyProvider = type(supernet.__name__, (ToyProvider,), methods)()
    return provider


class Sharing(ToySupernet):
    """Extracts a head that is still the supernet's."""

    def extract(self, backbone: Backbone) -> StagedBackbone:
        net: Any = super().extract(backbone)
        net.head.linear.bias = self.head.linear.bias
        return net


class WrongSlice(ToySupernet):
    """Extracts the last channels of the head where the view uses the first."""

    def extract(self, backbone: Backbone) -> StagedBackbone:
        net: Any = super().extract(backbone)
        weight = net.head.linear.weight
        weight.data = self.head.linear.weight.detach()[:, -weight.shape[1] :].clone()
        return net


class StaleStatistics(ToySupernet):
    """Extracts weights, and leaves BatchNorm's statistics behind."""

    def extract(self, backbone: Backbone) -> StagedBackbone:
        net = super().extract(backbone)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
        return net


class Detached(ToySupernet):
    """Views whose first stage never learns."""

    def view(self, backbone: Backbone) -> StagedBackbone:
        net = super().view(backbone)
        net.stages[1] = nn.Sequential(_Cut(), net.stages[1]).train(self.training)
        return net


class _Cut(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.detach()


class Copied(ToySupernet):
    """Views with weights of their own."""

    def view(self, backbone: Backbone) -> StagedBackbone:
        return self.extract(backbone)


class Stateful(ToySupernet):
    """One backbone at a time: the last one asked for decides what all views run."""

    def view(self, backbone: Backbone) -> StagedBackbone:
        net = super().view(backbone)
        self.head.width = int(backbone["width"])
        net.head = _Active(self.head)
        return net

    def extract(self, backbone: Backbone) -> StagedBackbone:
        self.head.width = int(backbone["width"])
        return super().extract(backbone)


class _Active(nn.Module):
    def __init__(self, head: Any) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        pooled = features[:, : self.head.width].mean((2, 3))
        return nn.functional.linear(
            pooled, self.head.linear.weight[:, : pooled.shape[1]], self.head.linear.bias
        )


class AlwaysEval(ToySupernet):
    def view(self, backbone: Backbone) -> StagedBackbone:
        return super().view(backbone).eval()


class Unpicklable(ToySupernet):
    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.rule = lambda features: features


def test_a_sound_provider_passes_and_the_random_state_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check_provider(ToyProvider())
    check_provider(Uncounted(), backbones=0)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Backwards, "Backwards: the last choices give .* MACs, the first "),
        (KernelsBackwards, r"layer4.kernel: 3 costs .* and the next choice 1 costs .*; expected rising cost"),
        (LateDepth, "depth: its first stage is 3, and 1 changes the costs of earlier stages from"),
        (Twins, "'colour': 1}.* are one network; expected one canonical form"),
        (Restless, "the canonical form of .*'colour': [12].* is .*'colour': [12]"),
        (NoSuchStage, "variables with stages that do not exist: .*'depth'.*; found 3 stages"),
        (WithoutResolution, "no variable is named 'resolution'; found width, depth"),
        (Orphaned, "the search space of `variables.*` raises PluginError: .*no variable 'depth' before it"),
        (
            OtherChannels,
            r"exit_channels\(\) has \(8,\) at exit point 0; the .* gives features \(3, 4, 8, 8\)",
        ),
        (TooManyExits, "view has 3 stages; expected 4"),
        (FixedResolution, "build has the resolution 12; expected 8"),
        (OtherStructure, "build and extract differ in state_dict: .*'stages.0.bias'"),
        (OtherArithmetic, "build with extract's weights gives other logits"),
        (
            Miscounted,
            r"costs\(\) gives .* for stage 2; the built network has .*, in the largest backbone for Task",
        ),
        (Colourful, r"running the view of .* on \(3, 3, 8, 8\) raises RuntimeError"),
        (Seeded, "fresh weights do not depend on torch's global generator"),
        (LoadsAnything, "load_weights of .* gives 'all is well'; expected a WeightsError"),
        (LoadsByHalf, "load_weights changes the supernet, though it fails"),
        (lambda: made_of(Sharing), "extract shares 'head.linear.bias' with the supernet"),
        (lambda: made_of(WrongSlice), "extract's logits differ from the view's by up to"),
        (lambda: made_of(StaleStatistics), "extract's logits differ from the view's by up to"),
        (lambda: made_of(Detached), "does not reach the supernet's weights in stage 1"),
        (lambda: made_of(Copied), "does not reach the supernet's weights in stage 1"),
        (lambda: made_of(Stateful), "gives other logits when other views run between its stages"),
        (lambda: made_of(AlwaysEval), "a view of a training supernet is in eval mode"),
        (lambda: made_of(Unpicklable), "a trip of the supernet through pickle raises"),
    ],
)
def test_a_fault_is_found(make: Callable[[], ToyProvider], text: str) -> None:
    with pytest.raises(ConformanceError, match=text):
        check_provider(make(), backbones=0)


def test_a_canonical_form_makes_one_network_of_two_genomes() -> None:
    check_provider(Reconciled(resolutions=(8,)), backbones=0)
