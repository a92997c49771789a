"""Supernet provider `cascade`: several backbones of another provider one after another, smallest first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import StagedBackbone, Supernet, SupernetProvider
from edanas.core.errors import WeightsError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Backbone, SegmentCost, Task, Variable
from edanas.supernets.option_checks import checked_number, is_whole

_Split = Callable[[Backbone], Sequence[Backbone]]


class CascadeProvider(SupernetProvider):
    """Whole networks in sequence, all from one supernet: a sample goes on to a larger one until it is sure.

    Network-wise adaptive inference: Park et al., Big/little deep neural network for ultra low power inference
    (CODES+ISSS 2015); Wang et al., IDK Cascades (2018); Stamoulis et al., Designing Adaptive Neural Networks
    for Energy-Constrained Image Classification (ICCAD 2018). Each stage is a network, run on the image; it
    passes on the image and its logits, which the exit classifier `carried` reads at no cost. Networks stand
    in the order of their multiply-adds, whatever the order of their variables.

    Args:
        of: The provider whose backbones are put in sequence.
        networks: How many there are.

    Raises:
        ConfigError: An option is out of range.
    """

    passes = "logits"

    def __init__(self, of: SupernetProvider, *, networks: int = 2) -> None:
        self.of = of
        self.networks: int = checked_number(
            "networks", networks, "a whole number from 2 to 8", is_whole(2, 8)
        )
        self.exit_points = self.networks - 1

    def variables(self) -> tuple[Variable, ...]:
        """`resolution`, and for the N-th network each other variable of the provider as `netN.NAME`."""
        variables = self.of.variables()
        return (
            *(v for v in variables if v.name == "resolution"),
            *(
                replace(v, name=_own(n, v.name), parent=v.parent and _own(n, v.parent))
                for n in range(1, self.networks + 1)
                for v in variables
                if v.name != "resolution"
            ),
        )

    def supernet(self, task: Task) -> Supernet:
        """See `SupernetProvider.supernet`."""
        return CascadeSupernet(self.of.supernet(task), self.members, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """See `SupernetProvider.build`."""
        return _sequence([self.of.build(each, task) for each in self.members(backbone)], task)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """See `SupernetProvider.exit_channels`: image and logits lie in one channel."""
        return ((1,),) * self.exit_points

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """See `SupernetProvider.costs`: a stage's are a whole network's, the last exit has none."""
        members = self.members(backbone)
        side = int(backbone["resolution"])
        shape = 1, task.in_channels * side + _rows(task.num_classes, side), side
        stages = []
        for member in members:
            parts, last = self._counted(member, task)
            whole_network = (*parts, last)
            outputs = [part.outputs for part in whole_network if part.outputs is not None]
            stages.append(
                SegmentCost(
                    sum(part.macs for part in whole_network),
                    sum(part.params for part in whole_network),
                    max(part.activations for part in whole_network),
                    shape,
                    sum(outputs) if len(outputs) == len(whole_network) else None,
                )
            )
        return tuple(stages), SegmentCost(0, 0, 0, (task.num_classes, 1, 1), 0)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """As of the provider whose backbones these are.

        Raises:
            WeightsError: As there.
        """
        if not isinstance(supernet, CascadeSupernet):
            raise WeightsError(
                f"weights '{weights}': {type(supernet).__name__} is not this provider's supernet"
            )
        return self.of.load_weights(supernet.supernet, weights)

    def members(self, backbone: Backbone) -> list[Backbone]:
        """The networks of a cascade, by rising multiply-adds."""
        found = [Backbone(tuple(self._choices(backbone, n))) for n in range(1, self.networks + 1)]
        return sorted(found, key=self._macs)

    def _choices(self, backbone: Backbone, number: int) -> Iterator[tuple[str, int | float]]:
        prefix = _own(number, "")
        for name, choice in backbone.choices:
            if name == "resolution" or name.startswith(prefix):
                yield name.removeprefix(prefix), choice

    def _macs(self, member: Backbone) -> int:
        stages, last = self._counted(member, Task(in_channels=3, num_classes=2))
        return sum(stage.macs for stage in stages) + last.macs

    def _counted(self, member: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        from edanas.core.tracing import trace

        counted = self.of.costs(member, task)
        if counted is None:
            with torch.random.fork_rng(devices=[]):
                counted = trace(self.of.build(member, task), task.in_channels)
        return counted


class CascadeSupernet(Supernet):
    """A supernet whose backbones are cascades of another one's, on its weights.

    Args:
        supernet: The other one.
        members: The networks of a cascade.
        task: Channels and classes.
    """

    def __init__(self, supernet: Supernet, members: _Split, task: Task) -> None:
        super().__init__()
        self.supernet = supernet
        self.task = task
        self._members = members

    def view(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.view`."""
        networks = [self.supernet.view(each) for each in self._members(backbone)]
        return _sequence(networks, self.task).train(self.training)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.extract`. Each network has weights of its own."""
        networks = [self.supernet.extract(each) for each in self._members(backbone)]
        return _sequence(networks, self.task).train(self.training)


class CascadeStage(nn.Module):
    """One network of a cascade: the image, with or without earlier logits -> the image with its own logits.

    What is passed on has one channel: the image's channels below one another, then rows with the logits at
    their end, (B, 1, C x H + ceil(K / W), W).

    Args:
        network: Images (B, C, H, H) -> logits (B, K).
        in_channels: C.
        first: Whether it is given images alone.
    """

    def __init__(self, network: nn.Module, in_channels: int, *, first: bool) -> None:
        super().__init__()
        self.network = network
        self.in_channels = in_channels
        self.first = first

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """See the class."""
        width = features.shape[3]
        images = features
        if not self.first:
            images = features[:, 0, : self.in_channels * width].reshape(-1, self.in_channels, width, width)
        logits: torch.Tensor = self.network(images)
        classes = logits.shape[1]
        rows = _rows(classes, width)
        tail = F.pad(logits, (rows * width - classes, 0)).reshape(-1, rows, width)
        return torch.cat([images.flatten(1, 2), tail], dim=1).unsqueeze(1)


class _LastLogits(nn.Module):
    """The last exit: what the last network said. The exit classifier `carried` does the same elsewhere."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.flatten(1)[:, -self.num_classes :]


def _sequence(networks: Sequence[StagedBackbone], task: Task) -> StagedBackbone:
    turns = [CascadeStage(net, task.in_channels, first=index == 0) for index, net in enumerate(networks)]
    return StagedBackbone(turns, _LastLogits(task.num_classes), networks[0].resolution)


def _rows(classes: int, width: int) -> int:
    return -(-classes // width)


def _own(number: int, name: str) -> str:
    """The name of a variable of the N-th network."""
    return name if name == "resolution" else f"net{number}.{name}"


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Cascades of another provider's networks."""
    return {"cascade": CascadeProvider}
