"""Supernet provider `cascade`: sequences of whole backbones of another provider, smallest first."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import StagedBackbone, Supernet, SupernetProvider
from edanas.core.cut_backbones import STAGES
from edanas.core.errors import ConfigError, WeightsError
from edanas.core.hookspecs import hookimpl
from edanas.core.space import Genomes, SearchSpace
from edanas.core.types import (
    CONTINUOUS,
    Backbone,
    Candidate,
    SegmentCost,
    SelectionScheme,
    Task,
    Variable,
)
from edanas.supernets.option_checks import checked_number, is_whole

RESOLUTION = "resolution"
"""Name of the variable that all networks of a cascade share."""

_REMEMBERED = 50_000
"""Largest number of networks whose multiply-adds are remembered."""

_Members = Callable[[Backbone], Sequence[Backbone]]
"""Function: a cascade -> the backbones in it, smallest first."""


class CascadeProvider(SupernetProvider):
    """Cascades: several networks from one supernet in sequence.

    A sample exits at the first network whose confidence reaches the threshold. Each stage of a cascade runs
    one network on the image, and returns the image with the network's logits. The exit classifier `carried`
    reads the logits at no cost. A network before the last one does not run, and costs nothing, if no exit
    follows it. The networks of a cascade are sorted by their multiply-adds. The order of their variables in
    the genome does not matter, so cascades of the same networks count as one. The networks of a cascade
    differ: a network that is there twice makes way for the next smaller one.

    Park et al., Big/little deep neural network for ultra low power inference, CODES+ISSS 2015; Wang et al.,
    IDK Cascades, 2018; Stamoulis et al., Designing Adaptive Neural Networks for Energy-Constrained Image
    Classification, ICCAD 2018.

    Args:
        of: The supernet provider of the networks.
        networks: Number of networks in a cascade, from 2 to 8; 2 by default.

    Raises:
        ConfigError: An option is out of range, or the provider has too few networks of one resolution.
    """

    passes = "logits"

    def __init__(self, of: SupernetProvider, *, networks: int = 2) -> None:
        self.of = of
        self.networks: int = checked_number(
            "networks", networks, "a whole number from 2 to 8", is_whole(2, 8)
        )
        self.exit_points = self.networks - 1
        self._space = SearchSpace(
            tuple(v for v in of.variables() if v.name != RESOLUTION), CONTINUOUS, of.exit_points
        )
        self._counted: dict[Backbone, int] = {}
        if (count := self._space.size()) < self.networks:
            raise ConfigError(
                f"supernet.of: found a provider with {count} network{'' if count == 1 else 's'} of each "
                f"resolution; allowed: a provider with {self.networks} or more, e.g. ofa-mbv3"
            )

    def variables(self) -> tuple[Variable, ...]:
        """Return `resolution`, which all networks share, and the other variables of each network.

        The variable `NAME` of network number N, counted from 1, is called `netN.NAME`. The multiply-adds of a
        network decide its stage, so that each variable may shape any stage.
        """
        variables = [replace(variable, stage=None) for variable in self.of.variables()]
        return (
            *(v for v in variables if v.name == RESOLUTION),
            *(
                replace(v, name=_member_name(n, v.name), parent=v.parent and _member_name(n, v.parent))
                for n in range(1, self.networks + 1)
                for v in variables
                if v.name != RESOLUTION
            ),
        )

    def canonical(self, backbone: Backbone) -> Backbone:
        """Return the cascade with its networks sorted, and without equal ones; see `SupernetProvider`.

        A cut cascade does not run its largest networks. They are the largest network of the provider, so that
        cut cascades that run the same networks are equal.
        """
        members = self.members(backbone)
        ends = int(backbone[STAGES]) if STAGES in backbone else self.networks
        side = int(backbone[RESOLUTION])
        if ends < self.networks:
            largest = self._member(self._space.counts - 1, side)
            members[ends:] = [largest] * (self.networks - ends)
        running = self._distinct(members[:ends], side)
        choices = [(RESOLUTION, backbone[RESOLUTION])]
        for number, member in enumerate((*running, *members[ends:]), 1):
            named = ((_member_name(number, name), choice) for name, choice in member.choices)
            choices += [each for each in named if each[0] != RESOLUTION]
        cut = ((STAGES, ends),) if STAGES in backbone else ()
        return Backbone((*cut, *choices))

    def _distinct(self, members: Sequence[Backbone], side: int) -> list[Backbone]:
        """Return networks in order, with another one in place of each that is there twice."""
        chosen = set(members)
        while len(chosen) < len(members):
            twice = next(each for each in reversed(members) if members.count(each) > 1)
            near = (self._member(genome, side) for genome in self._neighbours(twice))
            others = [each for each in near if each not in chosen] or [
                each for row in self._space.genomes() if (each := self._member(row, side)) not in chosen
            ]
            below = [each for each in others if self._macs(each) <= self._macs(twice)]
            nearest = max(below, key=self._place) if below else min(others, key=self._place)
            chosen.add(nearest)
            members = sorted((*chosen, *[twice] * (len(members) - len(chosen))), key=self._place)
        return sorted(chosen, key=self._place)

    def _neighbours(self, member: Backbone) -> Iterable[Genomes]:
        choices = Backbone(tuple(each for each in member.choices if each[0] != RESOLUTION))
        scheme = SelectionScheme((1.0,) * self._space.exit_points)
        return self._space.neighbours(self._space.encode(Candidate(choices, scheme)))

    def _member(self, genome: Genomes, side: int) -> Backbone:
        """Return the network of a genome without the gene of the resolution."""
        return Backbone(((RESOLUTION, side), *self._space.backbone(genome).choices))

    def supernet(self, task: Task) -> Supernet:
        """Return a supernet of cascades, with fresh weights; see `SupernetProvider.supernet`."""
        return CascadeSupernet(self.of.supernet(task), self.members, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """Build all networks of a cascade; see `SupernetProvider.build`."""
        return _sequence([self.of.build(each, task) for each in self.members(backbone)], task)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """Return 1 for each exit point: image and logits are joined into one channel."""
        return ((1,),) * self.exit_points

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """Return the costs of each network of a cascade as one stage; the last exit has no costs."""
        members = self.members(backbone)
        side = int(backbone[RESOLUTION])
        shape = 1, task.in_channels * side + _rows(task.num_classes, side), side
        stages: list[SegmentCost] = []
        for member in members:
            parts, last = self._member_costs(member, task)
            whole_network = (*parts, last)
            outputs = [part.outputs for part in whole_network if part.outputs is not None]
            stages.append(
                SegmentCost(
                    sum(part.macs for part in whole_network),
                    sum(part.params for part in whole_network),
                    max(part.activations for part in whole_network),
                    shape,
                    sum(outputs) if len(outputs) == len(whole_network) else None,
                    reads_image=bool(stages),
                )
            )
        return tuple(stages), SegmentCost(0, 0, 0, (task.num_classes, 1, 1), 0)

    def layers(self, backbone: Backbone, task: Task) -> tuple[tuple[str, ...], ...] | None:
        """Return the names of all layers of each network; see `SupernetProvider.layers`."""
        stages = []
        for member in self.members(backbone):
            parts = self.of.layers(member, task)
            if parts is None:
                return None
            stages.append(tuple(name for part in parts for name in part))
        return (*stages, ())

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load weights with the provider `of`; see `SupernetProvider.load_weights`.

        Raises:
            WeightsError: `supernet` is not of this provider, or the weights cannot be loaded.
        """
        if not isinstance(supernet, CascadeSupernet):
            raise WeightsError(
                f"weights '{weights}': {type(supernet).__name__} is not this provider's supernet"
            )
        return self.of.load_weights(supernet.supernet, weights)

    def members(self, backbone: Backbone) -> list[Backbone]:
        """Return the backbone of each network of a cascade, by rising multiply-adds, then by choices."""
        networks = [Backbone(tuple(self._choices(backbone, n))) for n in range(1, self.networks + 1)]
        return sorted(networks, key=self._place)

    def _place(self, member: Backbone) -> tuple[int, tuple[tuple[str, int | float], ...]]:
        return self._macs(member), member.choices

    def _choices(self, backbone: Backbone, number: int) -> Iterator[tuple[str, int | float]]:
        prefix = _member_name(number, "")
        for name, choice in backbone.choices:
            if name == RESOLUTION or name.startswith(prefix):
                yield name.removeprefix(prefix), choice

    def _macs(self, member: Backbone) -> int:
        if member not in self._counted:
            stages, last = self._member_costs(member, Task(in_channels=3, num_classes=2))
            if len(self._counted) >= _REMEMBERED:
                self._counted.clear()
            self._counted[member] = sum(stage.macs for stage in stages) + last.macs
        return self._counted[member]

    def _member_costs(self, member: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        from edanas.core.tracing import trace

        costs = self.of.costs(member, task)
        if costs is None:
            with torch.random.fork_rng(devices=[]):
                costs = trace(self.of.build(member, task), task.in_channels)
        return costs


class CascadeSupernet(Supernet):
    """A supernet of cascades. The networks of a cascade are backbones of another supernet.

    Args:
        supernet: The supernet of the networks, which holds all weights.
        members: Function that returns the networks of a cascade, smallest first.
        task: Number of channels of the images, and number of classes.
    """

    def __init__(self, supernet: Supernet, members: _Members, task: Task) -> None:
        super().__init__()
        self.supernet = supernet
        self.task = task
        self._members = members

    def view(self, backbone: Backbone) -> StagedBackbone:
        """Return a cascade on the shared weights; see `Supernet.view`."""
        networks = [self.supernet.view(each) for each in self._members(backbone)]
        return _sequence(networks, self.task).train(self.training)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """Return a cascade with a separate copy of the weights for each network; see `Supernet.extract`."""
        networks = [self.supernet.extract(each) for each in self._members(backbone)]
        return _sequence(networks, self.task).train(self.training)


class CascadeStage(nn.Module):
    """One network of a cascade as a stage.

    The input of the first stage that runs is a batch of B images (B, C, R, R). The output, and the input of
    any later stage, is (B, 1, C R + rows, R). It holds the channels of the image, one below the other, then
    zeros, and at the end K logits for K classes. Zeros and logits take ceil(K / R) rows. A stage replaces the
    logits in its input.

    Args:
        network: The network: images (B, C, R, R) -> logits (B, K).
        in_channels: C, the number of channels of the images.
    """

    def __init__(self, network: nn.Module, in_channels: int) -> None:
        super().__init__()
        self.network = network
        self.in_channels = in_channels

    @property
    def image_network(self) -> nn.Module:
        """The network; see `StagedBackbone`."""
        return self.network

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the images in `features` with the logits of the network on these images."""
        height, width = features.shape[2:]
        images = features
        if height > width:
            images = features[:, 0, : self.in_channels * width].reshape(-1, self.in_channels, width, width)
        logits: torch.Tensor = self.network(images)
        classes = logits.shape[1]
        rows = _rows(classes, width)
        tail = F.pad(logits, (rows * width - classes, 0)).reshape(-1, rows, width)
        return torch.cat([images.flatten(1, 2), tail], dim=1).unsqueeze(1)


class _LastLogits(nn.Module):
    """The last exit, which returns the logits in the features, like the exit classifier `carried`."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.flatten(1)[:, -self.num_classes :]


def _sequence(networks: Sequence[StagedBackbone], task: Task) -> StagedBackbone:
    stages = [CascadeStage(net, task.in_channels) for net in networks]
    return StagedBackbone(stages, _LastLogits(task.num_classes), networks[0].resolution)


def _rows(classes: int, width: int) -> int:
    return -(-classes // width)


def _member_name(number: int, name: str) -> str:
    """Return the name in a cascade of the variable `name` of network `number`, counted from 1."""
    return name if name == RESOLUTION else f"net{number}.{name}"


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register the provider `cascade`."""
    return {"cascade": CascadeProvider}
