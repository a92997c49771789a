"""Contracts of supernets, backbones and heads."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from edanas.core.errors import WeightsError
from edanas.core.types import Backbone, ExitPoint, SegmentCost, Task, Variable


class StagedBackbone(nn.Module):
    """A single-exit network cut into M stages, with an exit point after each but the last.

    Args:
        stages: M modules in sequence; the first takes (B, C, resolution, resolution) floats.
        head: The last exit: features of the last stage -> logits (B, K).
        resolution: Side of the input images in pixels.

    Example:
        >>> backbone = StagedBackbone([nn.Flatten()], nn.Linear(12, 10), resolution=2)
        >>> backbone(torch.zeros(5, 3, 2, 2)).shape
        torch.Size([5, 10])
    """

    def __init__(self, stages: Sequence[nn.Module], head: nn.Module, resolution: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.head = head
        self.resolution = resolution

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of the last exit."""
        features = images
        for stage in self.stages:
            features = stage(features)
        logits: torch.Tensor = self.head(features)
        return logits


class Supernet(nn.Module, ABC):
    """A weight-sharing network that holds every backbone of a search space.

    Example:
        >>> from edanas.testing.toy_networks import ToyProvider
        >>> provider, task = ToyProvider(), Task(1, 4)
        >>> backbone = Backbone.of({v.name: v.choices[0] for v in provider.variables() if not v.parent})
        >>> isinstance(provider.supernet(task), Supernet)
        True
    """

    @abstractmethod
    def view(self, backbone: Backbone) -> StagedBackbone:
        """Return `backbone` on the supernet's own weights: training it trains the supernet.

        A view starts in the supernet's training mode. Views can be created and run in any order without
        affecting each other.
        """

    @abstractmethod
    def extract(self, backbone: Backbone) -> StagedBackbone:
        """Return `backbone` with copies of its weights. In eval mode its outputs equal the view's."""


class SupernetProvider(ABC):
    """A family of supernets: its search space, and the construction of its networks.

    An implementation's constructor arguments are its options; each has a type annotation and a default.

    Example:
        >>> from edanas.testing.toy_networks import ToyProvider
        >>> provider = ToyProvider()
        >>> [variable.name for variable in provider.variables()][:2], provider.exit_points
        (['resolution', 'width'], 2)
    """

    exit_points: int
    """N, the number of exit points of each backbone."""

    passes: str = "features"
    """The kind of tensor between stages; only exit classifiers that read this kind can be placed there.

    `features` are to be classified; `logits` already hold the logits of a network; plugins add others.
    """

    @abstractmethod
    def variables(self) -> tuple[Variable, ...]:
        """Return the backbone's dimensions, each with its choices in the order of rising cost.

        One of them is named `resolution` (pixels). The first choices together are the smallest backbone, the
        last ones the largest: the sandwich rule trains both in each step.
        """

    @abstractmethod
    def supernet(self, task: Task) -> Supernet:
        """Return a supernet with fresh weights, drawn from torch's global generator."""

    @abstractmethod
    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """Return one backbone with fresh weights, of the structure that `Supernet.extract` returns."""

    @abstractmethod
    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """Return for each exit point every number of channels that features may have there."""

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost] | None:
        """Return the costs of the M stages and of the last exit, counted without building the backbone.

        They must equal the costs that tracing the built backbone gives. With `None`, the default, backbones
        are built and traced: correct, but too slow for surrogates that need hundreds in an iteration.
        """
        return None

    def layers(self, backbone: Backbone, task: Task) -> tuple[tuple[str, ...], ...] | None:
        """Return the names of the layers in a latency table of the Once-for-All project.

        One tuple for each stage, the last exit's last. `None`, the default, means that such tables do not
        hold these networks.
        """
        return None

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Fill `supernet` from a file or a named download; return a sentence that reports the result.

        Raises:
            WeightsError: Always, unless a provider overrides this.
        """
        raise WeightsError(f"weights '{weights}': supernet {type(supernet).__name__} has no loadable weights")


class ExitClassifier(ABC):
    """The small head placed at an exit point (the paper's EEC).

    Example:
        >>> class Pooled(ExitClassifier):
        ...     def build(self, point, num_classes):
        ...         pool = nn.AdaptiveAvgPool2d(1)
        ...         return nn.Sequential(pool, nn.Flatten(), nn.Linear(point.channels, num_classes))
        >>> head = Pooled().build(ExitPoint(0, 8, 4, 4), num_classes=10)
        >>> head(torch.zeros(2, 8, 4, 4)).shape
        torch.Size([2, 10])
    """

    reads: str = "features"
    """The kind of tensor that the head reads; see `SupernetProvider.passes`."""

    @abstractmethod
    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Return a head: features (B, point.channels, H, W) -> logits (B, K).

        All backbones and resolutions of a supernet share the heads of one exit point with equal channels, so
        a head must accept any H x W.
        """
