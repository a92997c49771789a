"""The exit classifier `searched`: number and kinds of the layers of each exit's head are genes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from edanas.core.contracts import ElasticHead, ExitClassifier
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Backbone, ExitPoint, Variable

POINTWISE, SEPARABLE_3, SEPARABLE_5, DENSE_3 = KINDS = (1, 2, 3, 4)
"""Kinds of layers by rising cost: 1x1 convolution, depthwise-separable 3x3 and 5x5, and 3x3 convolution."""

_LARGEST = 8
"""Largest number of layers of a head."""


class Searched(ExitClassifier):
    """Heads whose number of layers and kinds of layers the search chooses, for each exit apart (AEBNAS).

    A head has 0 to `layers` layers, then global average pooling and a linear layer. Each layer halves height
    and width, has `channels` output channels, BatchNorm and ReLU, and is of one of four kinds:

    - 1: a 1x1 convolution;
    - 2: a depthwise-separable 3x3 convolution;
    - 3: a depthwise-separable 5x5 convolution;
    - 4: a 3x3 convolution.

    The variables are `exit1.layers`, `exit1.layer1.kind` and so on; the genes of an exit that is not placed
    have no effect. In a supernet, each kind of layer at each position has its own weights, and each number of
    layers has its own linear layer.

    Source: Robben, Khalilian and Meratnia, "AEBNAS: Strengthening exit branches in early-exit networks
    through hardware-aware neural architecture search", 2025. The kinds of layers are ours.

    Args:
        layers: Largest number of layers of a head, from 1 to 8.
        channels: Number of output channels of each layer.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> [variable.name for variable in Searched(layers=2).variables(exit_points=1)]
        ['exit1.layers', 'exit1.layer1.kind', 'exit1.layer2.kind']
    """

    def __init__(self, layers: int = 2, channels: int = 32) -> None:
        if not 1 <= layers <= _LARGEST:
            raise ConfigError(f"classifier.layers: found {layers}; allowed: 1 to {_LARGEST}")
        if channels < 1:
            raise ConfigError(f"classifier.channels: found {channels}; allowed: 1 or more")
        self.layers, self.channels = layers, channels

    def variables(self, exit_points: int) -> tuple[Variable, ...]:
        """See `ExitClassifier.variables`."""
        result = []
        for exit_ in range(1, exit_points + 1):
            depth = f"exit{exit_}.layers"
            result.append(Variable(depth, tuple(range(self.layers + 1)), stage=exit_, exit=exit_))
            for layer in range(1, self.layers + 1):
                deep_enough = frozenset(range(layer, self.layers + 1))
                name = f"exit{exit_}.layer{layer}.kind"
                result.append(Variable(name, KINDS, depth, deep_enough, stage=exit_, exit=exit_))
        return tuple(result)

    def chosen(self, backbone: Backbone, index: int) -> "SearchedHead":
        """See `ExitClassifier.chosen`."""
        return SearchedHead(kinds_at(backbone, index), self.channels)

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Build the head of the first choices, which has no layers; see `ExitClassifier.build`."""
        return SearchedHead((), self.channels).build(point, num_classes)

    def shared(self, point: ExitPoint, num_classes: int) -> ElasticHead:
        """See `ExitClassifier.shared`."""
        return ElasticLayers(point.index, point.channels, self.layers, self.channels, num_classes)


@dataclass(frozen=True)
class SearchedHead(ExitClassifier):
    """Heads with given kinds of layers.

    Args:
        kinds: Kind of each layer, in order; see `KINDS`.
        channels: Number of output channels of each layer.
    """

    kinds: tuple[int, ...]
    channels: int

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Build a head: features (B, point.channels, any H, any W) -> logits (B, num_classes)."""
        widths = [point.channels, *(self.channels for _ in self.kinds)]
        layers = [_layer(kind, *ends) for kind, ends in zip(self.kinds, pairwise(widths), strict=True)]
        return _head(layers, nn.Linear(widths[-1], num_classes))


class ElasticLayers(ElasticHead):
    """The heads of all numbers and kinds of layers at one exit point.

    Args:
        index: Index of the exit point, from 0.
        in_channels: Number of channels of the features there.
        layers: Largest number of layers.
        channels: Number of output channels of each layer.
        num_classes: Number of classes.
    """

    def __init__(self, index: int, in_channels: int, layers: int, channels: int, num_classes: int) -> None:
        super().__init__()
        self.index = index
        widths = [in_channels, *(channels for _ in range(layers))]
        self.layers = nn.ModuleList(
            nn.ModuleDict({str(kind): _layer(kind, before, after) for kind in KINDS})
            for before, after in pairwise(widths)
        )
        self.linears = nn.ModuleList(nn.Linear(width, num_classes) for width in widths)

    def view(self, backbone: Backbone) -> nn.Module:
        """See `ElasticHead.view`."""
        kinds = kinds_at(backbone, self.index)
        layers = [self.layers[at].get_submodule(str(kind)) for at, kind in enumerate(kinds)]
        return _head(layers, self.linears[len(kinds)]).train(self.training)


def kinds_at(backbone: Backbone, index: int) -> tuple[int, ...]:
    """Return the kind of each layer of the head at an exit point; no layers if the backbone lacks choices.

    Args:
        backbone: The choices of the network.
        index: Index of the exit point, from 0.

    Example:
        >>> kinds_at(Backbone.of({"exit2.layers": 1, "exit2.layer1.kind": 4}), index=1)
        (4,)
    """
    choices = dict(backbone.choices)
    layers = int(choices.get(f"exit{index + 1}.layers", 0))
    return tuple(int(choices[f"exit{index + 1}.layer{layer}.kind"]) for layer in range(1, layers + 1))


def _layer(kind: int, before: int, after: int) -> nn.Module:
    """Return a layer that halves height and width, from `before` to `after` channels."""
    if kind in (POINTWISE, DENSE_3):
        size = 1 if kind == POINTWISE else 3
        convolutions = [nn.Conv2d(before, after, size, stride=2, padding=size // 2, bias=False)]
    else:
        size = 3 if kind == SEPARABLE_3 else 5
        convolutions = [
            nn.Conv2d(before, before, size, stride=2, padding=size // 2, groups=before, bias=False),
            nn.Conv2d(before, after, 1, bias=False),
        ]
    return nn.Sequential(*convolutions, nn.BatchNorm2d(after), nn.ReLU())


def _head(layers: Sequence[nn.Module], linear: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)


@hookimpl
def edanas_exit_classifiers() -> dict[str, Callable[..., ExitClassifier]]:
    """Register the searched heads by their name."""
    return {"searched": Searched}
