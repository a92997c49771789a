"""An edanas plugin: a network that runs one group of channels after another until an exit fires."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from edanas import hookimpl
from edanas.core.contracts import Bundle, ExitClassifier, StagedBackbone, Supernet, SupernetProvider
from edanas.core.errors import ConfigError
from edanas.core.types import Backbone, ExitPoint, Task, Variable
from torch import nn
from torch.func import functional_call

EDANAS_SPEC_VERSION = 1

_Known = tuple[torch.Tensor, ...]
"""A tuple of one tensor with the channels of earlier groups; an empty tuple for the first group."""


@dataclass(frozen=True)
class Plan:
    """The sizes of a backbone.

    Args:
        side: Height and width of the images, in pixels.
        in_channels: Number of channels of the images.
        widths: For each group, the number of the group's channels in each layer.
    """

    side: int
    in_channels: int
    widths: tuple[tuple[int, ...], ...]

    def size(self, layer: int) -> int:
        """Return height and width of a layer's features; `layer` counts from 0.

        All layers but the first halve height and width.
        """
        return math.ceil(self.side / (1 << layer))

    def inputs(self, group: int, layer: int) -> int:
        """Return the number of channels that a layer of a group reads; `group` and `layer` count from 0.

        The first layer reads the image. Any other layer reads the channels of the previous layer in this
        group and all earlier groups.
        """
        if layer == 0:
            return self.in_channels
        return sum(widths[layer - 1] for widths in self.widths[: group + 1])

    def pooled(self, groups: int) -> int:
        """Return the number of channels of the last layer in the first `groups` groups together."""
        return sum(widths[-1] for widths in self.widths[:groups])


class Group(nn.Module):
    """A stage: a group of channels of every layer, which reads the channels of this and earlier groups.

    A stage returns a tensor (B, P, R + 1, 1) for B samples; P is the number of channels of the last layer in
    this and earlier groups. The last column holds these channels, averaged over the image, for the exit. The
    R other columns hold the image and the channels of all other layers in this and earlier groups, and are
    filled up with zeros.

    Args:
        plan: The sizes of the backbone.
        group: The number of the group, from 0.
    """

    def __init__(self, plan: Plan, group: int) -> None:
        super().__init__()
        self.plan = plan
        self.group = group
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(plan.inputs(group, layer), width, 3, 2 if layer else 1, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            )
            for layer, width in enumerate(plan.widths[group])
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Images, or the output of the previous group -> output (B, P, R + 1, 1) for the next group."""
        image, earlier, pooled = self._unpacked(features)
        before = image
        maps = []
        *layers, last = self.layers
        for layer, known in zip(layers, earlier, strict=True):
            before = torch.cat([*known, layer(before)], dim=1)
            maps.append(before)
        column = torch.cat([*pooled, last(before).mean((2, 3))], dim=1)
        return packed([image, *maps], column)

    def _unpacked(self, features: torch.Tensor) -> tuple[torch.Tensor, list[_Known], _Known]:
        """Split the output of the previous group into its parts.

        Returns:
            The image, the channels of earlier groups for each layer but the last, and the channels of earlier
            groups for the last layer, averaged over the image.
        """
        plan, known = self.plan, self.plan.widths[: self.group]
        layers = range(len(self.layers) - 1)
        if self.group == 0:
            return features, [() for _ in layers], ()
        shapes = [(plan.in_channels, plan.side)]
        shapes += [(sum(widths[layer] for widths in known), plan.size(layer)) for layer in layers]
        sizes = [channels * side * side for channels, side in shapes]
        flat = features[:, :, :-1].flatten(1)[:, : sum(sizes)]
        parts = torch.split(flat, sizes, dim=1)
        maps = [part.reshape(-1, c, side, side) for part, (c, side) in zip(parts, shapes, strict=True)]
        return maps[0], [(each,) for each in maps[1:]], (features[:, :, -1].flatten(1),)


def packed(maps: Sequence[torch.Tensor], column: torch.Tensor) -> torch.Tensor:
    """Return maps and the last column (B, P) as one tensor (B, P, R + 1, 1); see `Group`."""
    flat = torch.cat([each.flatten(1) for each in maps], dim=1)
    height = column.shape[1]
    columns = math.ceil(flat.shape[1] / height)
    filled = nn.functional.pad(flat, (0, columns * height - flat.shape[1]))
    return torch.cat([filled.reshape(-1, height, columns), column.unsqueeze(2)], dim=2).unsqueeze(3)


class ColumnHead(nn.Module):
    """A linear layer on the last column of a stage's output.

    Args:
        channels: Number of channels of the features.
        num_classes: Number of classes.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (B, P, H, W) of P channels -> logits (B, K) of K classes; column H - 1 is the last column."""
        logits: torch.Tensor = self.linear(features[:, :, -1].mean(2))
        return logits


class LastColumn(ExitClassifier):
    """An exit classifier for `channelwise`: a linear layer on the last column of a stage's output."""

    reads = "columns"

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """See `ExitClassifier.build`."""
        return ColumnHead(point.channels, num_classes)


class ChannelwiseProvider(SupernetProvider):
    """A provider of networks of 3x3 convolutions, whose stages are groups of channels of all layers.

    S2DNAS (Yuan and others, S2DNAS: Transforming Static CNN Model for Dynamic Inference via Neural
    Architecture Search, ECCV 2020, arXiv:1911.07033) splits the channels of each layer into groups. A group
    reads its own channels and the channels of earlier groups. So the first group is a thin network, and each
    further group makes the network wider, until an exit fires. The width of each group is searched; narrow
    groups use the first channels of wide groups. The networks require the exit classifier `last-column`.

    Args:
        channels: Number of channels of a full group in each layer, by default 8, 16 and 32. All layers but
            the first halve height and width.
        groups: Number of groups, 2 or more; by default 3.
        widths: The widths to choose from, as shares of a full group's channels; by default 0.5 and 1.
        resolutions: The choices of height and width of images in pixels, 8 or more; by default 32.

    Raises:
        ConfigError: A value of an option is not allowed.
    """

    passes = "columns"

    def __init__(
        self,
        channels: tuple[int, ...] = (8, 16, 32),
        groups: int = 3,
        widths: tuple[float, ...] = (0.5, 1.0),
        resolutions: tuple[int, ...] = (32,),
    ) -> None:
        _check("channels", channels, "whole numbers from 1", bool(channels) and min(channels) >= 1)
        _check("groups", groups, "a whole number from 2", groups >= 2)
        _check(
            "widths",
            widths,
            "shares above 0, at most 1",
            bool(widths) and 0 < min(widths) <= max(widths) <= 1,
        )
        _check("resolutions", resolutions, "pixels from 8", bool(resolutions) and min(resolutions) >= 8)
        self.channels = channels
        self.groups = groups
        self.widths = tuple(sorted(set(widths)))
        self.resolutions = tuple(sorted(set(resolutions)))
        self.exit_points = groups - 1

    def variables(self) -> tuple[Variable, ...]:
        """Return the variables: `resolution`, and `group<n>.width` for each group, n from 1."""
        groups = range(1, self.groups + 1)
        return (
            Variable("resolution", self.resolutions),
            *(Variable(_width(group), self.widths) for group in groups),
        )

    def plan(self, backbone: Backbone, task: Task) -> Plan:
        """Return the sizes of a backbone."""
        shares = [float(backbone[_width(group)]) for group in range(1, self.groups + 1)]
        widths = tuple(tuple(max(1, round(share * c)) for c in self.channels) for share in shares)
        return Plan(int(backbone["resolution"]), task.in_channels, widths)

    def supernet(self, task: Task) -> Supernet:
        """See `SupernetProvider.supernet`."""
        return ChannelwiseSupernet(self, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """See `SupernetProvider.build`."""
        return _staged(self.plan(backbone, task), task)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """See `SupernetProvider.exit_channels`; the numbers are sums of the last layer's channels over groups."""
        one = {max(1, round(share * self.channels[-1])) for share in self.widths}
        sums, channels = {0}, []
        for _ in range(self.exit_points):
            sums = {before + more for before in sums for more in one}
            channels.append(tuple(sorted(sums)))
        return tuple(channels)


class ChannelwiseSupernet(Supernet):
    """A supernet with all backbones of a `ChannelwiseProvider`, which share the weights of the widest backbone.

    Args:
        provider: The provider of the backbones.
        task: The numbers of channels and classes.
    """

    def __init__(self, provider: ChannelwiseProvider, task: Task) -> None:
        super().__init__()
        self.provider = provider
        self.task = task
        whole = Plan(provider.resolutions[-1], task.in_channels, (provider.channels,) * provider.groups)
        self.widest = _staged(whole, task)

    def view(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.view`."""
        plan = self.provider.plan(backbone, self.task)
        plain = _skeleton(plan, self.task)
        stages = [
            _View(whole, stage, plan) for whole, stage in zip(self.widest.stages, plain.stages, strict=True)
        ]
        head = _View(self.widest.head, plain.head, plan)
        return StagedBackbone(stages, head, plan.side).train(self.training)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.extract`."""
        plan = self.provider.plan(backbone, self.task)
        plain = _skeleton(plan, self.task)
        pairs = zip((*self.widest.stages, self.widest.head), (*plain.stages, plain.head), strict=True)
        for whole, part in pairs:
            copies = {name: tensor.detach().clone() for name, tensor in _slices(whole, plan).items()}
            part.load_state_dict(copies, assign=True)
        return plain.train(self.training)


class _View(nn.Module):
    """A narrow module that computes with slices of a wide module's tensors."""

    def __init__(self, whole: nn.Module, plain: nn.Module, plan: Plan) -> None:
        super().__init__()
        self.whole = whole
        self._plan = plan
        # In a tuple, torch does not register the module, whose own tensors have no values.
        self._plain = (plain,)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        (plain,) = self._plain
        plain.train(self.training)
        out: torch.Tensor = functional_call(plain, _slices(self.whole, self._plan), (features,))
        return out


def _slices(whole: nn.Module, plan: Plan) -> dict[str, torch.Tensor]:
    """Return the slices of a full group's or the last exit's tensors that a backbone uses, by name.

    Slices of running statistics are views, so that training a backbone updates the supernet.
    """
    tensors = {**dict(whole.named_parameters()), **dict(whole.named_buffers())}
    if isinstance(whole, Group):
        return {name: _slice(whole, name, tensor, plan) for name, tensor in tensors.items()}
    weight, groups = tensors["linear.weight"], len(plan.widths)
    read = _channel_indices(plan, weight.shape[1] // groups, -1, groups)
    return {**tensors, "linear.weight": weight[:, read]}


def _slice(whole: Group, name: str, tensor: torch.Tensor, plan: Plan) -> torch.Tensor:
    layer = int(name.split(".")[1])
    if tensor.ndim == 0:  # the number of batches that BatchNorm has processed
        return tensor
    narrow = tensor[: plan.widths[whole.group][layer]]
    if tensor.ndim == 1 or layer == 0:
        return narrow
    return narrow[:, _channel_indices(plan, whole.plan.widths[0][layer - 1], layer - 1, whole.group + 1)]


def _channel_indices(plan: Plan, whole: int, layer: int, groups: int) -> list[int]:
    """Return the indices of a backbone's channels in a layer among the channels of full groups.

    Args:
        plan: The sizes of the backbone.
        whole: Number of channels of a full group in the layer.
        layer: The index of the layer.
        groups: Number of groups to include.
    """
    return [g * whole + i for g, widths in enumerate(plan.widths[:groups]) for i in range(widths[layer])]


def _staged(plan: Plan, task: Task) -> StagedBackbone:
    groups = len(plan.widths)
    stages = [Group(plan, group) for group in range(groups)]
    return StagedBackbone(stages, ColumnHead(plan.pooled(groups), task.num_classes), plan.side)


def _skeleton(plan: Plan, task: Task) -> StagedBackbone:
    with torch.device("meta"):
        return _staged(plan, task)


def _width(group: int) -> str:
    return f"group{group}.width"


def _check(option: str, value: object, allowed: str, holds: bool) -> None:
    if not holds:
        raise ConfigError(f"supernet.{option}: found {value}; allowed: {allowed}")


@hookimpl
def edanas_supernet_providers() -> dict[str, Callable[..., SupernetProvider]]:
    """Register the supernet providers `channelwise`, and `cut-cnn` for a given CNN, e.g. `cut-cnn:resnet18`."""
    from edanas_channelwise.cut_cnn import CutCnnProvider

    return {"channelwise": ChannelwiseProvider, "cut-cnn": CutCnnProvider}


@hookimpl
def edanas_exit_classifiers() -> dict[str, Callable[..., ExitClassifier]]:
    """Register the exit classifier for the setting `--set classifier=last-column`."""
    return {"last-column": LastColumn}


@hookimpl
def edanas_bundles() -> dict[str, Bundle]:
    """Register the bundle for `--plugin channelwise`: the supernet with the exit classifier."""
    doc = "Networks that run one group of channels after another, with an exit after each group (S2DNAS)."
    return {"channelwise": Bundle(doc, {"supernet": "channelwise", "classifier": "last-column"}, {})}
