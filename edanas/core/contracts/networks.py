"""Contracts of supernets and heads."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import nn

from edanas.core.contracts.capabilities import derive
from edanas.core.contracts.staged_backbone import StagedBackbone
from edanas.core.errors import WeightsError
from edanas.core.types import Backbone, ExitPoint, SegmentCost, Task, Variable


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
        """Return a backbone that uses the supernet's own weights: training the view trains the supernet.

        A view starts in the mode of the supernet, training or eval. Views can be created and run in any order
        without affecting each other.
        """

    @abstractmethod
    def extract(self, backbone: Backbone) -> StagedBackbone:
        """Return a backbone with copies of the supernet's weights.

        In eval mode, its outputs equal the outputs of the view of the same backbone.
        """

    def initialise(self, images: torch.Tensor) -> None:
        """Set the weights that follow from the training images, before the training; by default none.

        Args:
            images: Normalised images (B, C, R, R) at the largest resolution, or series (B, C, 1, R).
        """

    def sort_channels(self, trained: int = 1) -> None:
        """Sort channels by importance, since smaller backbones use the first channels.

        The outputs of the largest backbone do not change. By default, nothing is sorted.

        Args:
            trained: Number of the largest expansions that are trained already. Backbones with these
                expansions have the same channels as before, in another order.
        """


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
    """Number N of exit points of each backbone."""

    passes: str = "features"
    """The kind of tensor between stages; `ExitClassifier.reads` must be the same kind.

    `features` still need a classifier; `logits` are the logits of a network. Plugins may add further kinds.
    """

    series: bool = False
    """True if the networks classify series (B, C, 1, L) of length L, false if they classify images."""

    scales_heads: bool = False
    """True if the option `width` also scales the hidden layers of exit classifiers that a preset sets."""

    masked: bool = False
    """True if the networks take shorter series with NaN at their end, which is padding."""

    reforms: bool = False
    """True if `canonical` is implemented; a subclass that overrides `canonical` gets this automatically."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "reforms", "canonical")

    @abstractmethod
    def variables(self) -> tuple[Variable, ...]:
        """Return the backbone's variables, each with its choices in the order of rising cost.

        One variable is named `resolution`: the side of images in pixels, or the length of series. The first
        choices together give the smallest backbone, and the last choices the largest backbone. The sandwich
        rule trains both in each step. A variable that leaves the stages before some stage unchanged has
        `Variable.stage`, so that networks which end earlier lack it. The name `stages` is reserved.
        """

    @abstractmethod
    def supernet(self, task: Task) -> Supernet:
        """Return a supernet with fresh weights, drawn from torch's global generator."""

    @abstractmethod
    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """Return one backbone with fresh weights and the same modules as `Supernet.extract` returns."""

    @abstractmethod
    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """Return, for each of the N exit points, all numbers of channels that features may have there."""

    def canonical(self, backbone: Backbone) -> Backbone:
        """Return the backbone that stands in a search for all backbones with the same network.

        A provider whose choices can describe a network in several ways, e.g. in two orders, returns one and
        the same backbone for all of them. Choices that describe no useful network become the nearest choices
        that do. The canonical form of a canonical backbone is itself. By default, it is the backbone.

        Args:
            backbone: The expressed choices. A cut backbone begins with the choice `stages`, which stays.
        """
        return backbone

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost] | None:
        """Return the costs of the M stages and of the last exit, counted without building the backbone.

        They must equal the costs that `edanas.core.tracing.trace` counts. If the method returns `None`, as by
        default, backbones are built and traced. That is too slow for surrogates that need the costs of
        hundreds of backbones in an iteration.
        """
        return None

    def layers(self, backbone: Backbone, task: Task) -> tuple[tuple[str, ...], ...] | None:
        """Return the names of the layers in a latency table of the Once-for-All project.

        The result has a tuple of names for each of the M stages, then for the last exit. `None`, the default,
        means that the tables of that project do not contain the networks of this provider.
        """
        return None

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load weights into `supernet`; return a sentence for the user about the loaded weights.

        Args:
            supernet: The supernet, which changes in place.
            weights: Path of a file, or name of a download.

        Raises:
            WeightsError: Always, unless a provider overrides this.
        """
        raise WeightsError(f"weights '{weights}': supernet {type(supernet).__name__} has no loadable weights")


class ElasticHead(nn.Module, ABC):
    """A weight-sharing head that holds the heads of all choices at one exit point.

    Example:
        >>> from edanas.exits.searched import Searched
        >>> isinstance(Searched().shared(ExitPoint(0, 8, 4, 4), num_classes=10), ElasticHead)
        True
    """

    @abstractmethod
    def view(self, backbone: Backbone) -> nn.Module:
        """Return the head of a network that uses this head's own weights.

        Its modules have the structure and names of the head that the chosen classifier builds.

        Args:
            backbone: The choices of the network; see `ExitClassifier.chosen`.
        """


class ExitClassifier(ABC):
    """The small head at an exit point; the paper calls it early exit classifier (EEC).

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

    def variables(self, exit_points: int) -> tuple[Variable, ...]:
        """Return the variables of the heads that the search chooses; none by default.

        Each variable has its exit point as `Variable.exit` and as `Variable.stage`, and its choices are in
        the order of rising cost. Parents precede their children.

        Args:
            exit_points: Number N of exit points.
        """
        return ()

    def chosen(self, backbone: Backbone, index: int) -> "ExitClassifier":
        """Return the classifier that builds the head at one exit point; by default this object.

        The results for equal choices are equal and have equal hashes, since costs are counted once for each.

        Args:
            backbone: The choices of the network. Choices that it lacks are the first choices.
            index: Index of the exit point, from 0.
        """
        return self

    def shared(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Return the head of a supernet: by default the result of `build`.

        A classifier with variables returns an `ElasticHead`, which holds the heads of all choices.

        Args:
            point: The exit point, with the number of channels of the features there.
            num_classes: Number of classes.
        """
        return self.build(point, num_classes)

    @abstractmethod
    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """Return a head, which turns features (B, point.channels, H, W) into logits (B, num_classes).

        All backbones of a supernet whose features at an exit point have the same number of channels share one
        head there. A head must therefore accept features of any height and width.

        Args:
            point: The exit point, with the shape of the features there.
            num_classes: Number of classes.
        """
