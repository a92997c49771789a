"""Contracts of what networks are made of: supernets and heads."""

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
    """A weight-sharing network that holds every backbone of a search space."""

    @abstractmethod
    def view(self, backbone: Backbone) -> StagedBackbone:
        """`backbone` on the supernet's own weights: training it trains the supernet.

        A view starts in the supernet's training mode. Views may be made and run in any order; none disturbs
        another.
        """

    @abstractmethod
    def extract(self, backbone: Backbone) -> StagedBackbone:
        """`backbone` with copies of its weights, free of the supernet. In eval mode it equals the view."""


class SupernetProvider(ABC):
    """A family of supernets: its search space, and how to build what is in it.

    An implementation's constructor arguments are its options; each has a type annotation and a default.
    """

    exit_points: int
    """N: how many exit points each backbone has."""

    passes: str = "features"
    """What stages pass on, in a word; only exit classifiers that read it can stand between them.

    `features` to classify; `logits` among them that a network there has made; others by plugins.
    """

    @abstractmethod
    def variables(self) -> tuple[Variable, ...]:
        """The backbone's dimensions, each with its choices in the order of rising cost.

        One of them is named `resolution` (pixels). The first choices together are the smallest backbone, the
        last ones the largest: the sandwich rule trains both in each step.
        """

    @abstractmethod
    def supernet(self, task: Task) -> Supernet:
        """A supernet with fresh weights, drawn from torch's global generator."""

    @abstractmethod
    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """One backbone with fresh weights, of the same structure that `Supernet.extract` gives."""

    @abstractmethod
    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """For each exit point, every number of channels that features may have there."""

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost] | None:
        """What each of the M stages and the last exit cost, counted from the structure, without building it.

        It must equal what tracing the built backbone gives. `None`, the default, is "build it and look":
        right, but too slow for surrogates that ask for hundreds of backbones in an iteration.
        """
        return None

    def layers(self, backbone: Backbone, task: Task) -> tuple[tuple[str, ...], ...] | None:
        """What a latency table of the Once-for-All project calls each layer, by stage, the last exit's last.

        `None`, the default: such tables do not know these networks.
        """
        return None

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Fill `supernet` from a file or a named download; returns a sentence on what was taken and left.

        Raises:
            WeightsError: Always, unless a provider overrides this.
        """
        raise WeightsError(f"weights '{weights}': supernet {type(supernet).__name__} has no loadable weights")


class ExitClassifier(ABC):
    """The small head placed at an exit point (the paper's EEC)."""

    reads: str = "features"
    """What a stage must pass on for the head to make sense."""

    @abstractmethod
    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """A head: features (B, point.channels, H, W) -> logits (B, K).

        Heads of one exit point with equal channels are shared by all backbones and resolutions of a supernet,
        so a head must accept any H x W.
        """
