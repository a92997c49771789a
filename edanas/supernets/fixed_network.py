"""Base class of providers of a single network; only resolution, exits and thresholds are searched."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from edanas.core.contracts import StagedBackbone, Supernet, SupernetProvider
from edanas.core.errors import CandidateError, WeightsError
from edanas.core.machine import user_path
from edanas.core.types import Backbone, SegmentCost, Task, Variable
from edanas.supernets.memory_format import grey_in_channels_last
from edanas.supernets.option_checks import checked_lengths, checked_sides
from edanas.supernets.weights import TensorNames, fill, read_tensors

Parts = tuple[Sequence[nn.Module], nn.Module]
"""The stages of a network, and its last exit."""

Costs = tuple[tuple[SegmentCost, ...], SegmentCost]
"""The costs of each stage, and of the last exit."""

_ANY_TASK = Task(in_channels=3, num_classes=2)
"""An arbitrary task, for networks that are built only to inspect their structure."""


class FixedProvider(SupernetProvider):
    """Base class of providers whose backbones are one network at different resolutions.

    The only variable of a backbone is its resolution, and all backbones share all weights. A subclass builds
    the network in `parts`, and sets `exit_points`.

    Args:
        resolutions: Choices of the side of the input images in pixels, or of the length of series.
        series: True for series, false, the default, for images.

    Raises:
        ConfigError: The sides are not distinct whole numbers from 4 to 1024, or the lengths from 2 to 16,000.
    """

    def __init__(self, resolutions: tuple[int, ...], *, series: bool = False) -> None:
        self.series = series
        self.resolutions = checked_lengths(resolutions) if series else checked_sides(resolutions)
        self._costs: dict[tuple[int, Task], Costs] = {}

    @abstractmethod
    def parts(self, task: Task) -> Parts:
        """Build the stages and the last exit with fresh weights, drawn from torch's global generator.

        The modules must accept images of all resolutions.

        Args:
            task: Number of channels of the images, and number of classes.
        """

    def skeleton(self, task: Task) -> Parts:
        """Build stages and last exit without weights, on torch's device `meta`, to inspect the structure."""
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return self.parts(task)

    def variables(self) -> tuple[Variable, ...]:
        """Return `resolution`, the only variable."""
        return (Variable("resolution", self.resolutions),)

    def supernet(self, task: Task) -> Supernet:
        """Build the network as a supernet; see `SupernetProvider.supernet`."""
        return FixedSupernet(self._build_parts(task), self.side, task, series=self.series)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """Build the network; see `SupernetProvider.build`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        side = self.side(backbone)
        stages, head = self._build_parts(task)
        return StagedBackbone(stages, head, side, series=self.series)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """Return the channels at each exit point; see `SupernetProvider.exit_channels`."""
        stages, _ = self._traced_costs(self.resolutions[0], _ANY_TASK)
        return tuple((stage.shape[0],) for stage in stages[:-1])

    def costs(self, backbone: Backbone, task: Task) -> Costs:
        """Return the costs, which are traced once for each resolution; see `SupernetProvider.costs`.

        Raises:
            CandidateError: The backbone is not in this space.
            CostError: The network does not run, or has operators that cannot be counted.
        """
        return self._traced_costs(self.side(backbone), task)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load the weights of a supernet of this provider from a file.

        Args:
            supernet: The supernet that gets the weights.
            weights: Path of a file of `torch.save` or safetensors with the tensors of the supernet, by name.

        Returns:
            A sentence that reports the number of copied tensors.

        Raises:
            WeightsError: The file does not exist, has no weights, or has the weights of another network.
        """
        return self.fill(supernet, read_tensors(user_path(weights)), weights, TensorNames())

    @staticmethod
    def fill(supernet: Supernet, tensors: Mapping[str, torch.Tensor], source: str, names: TensorNames) -> str:
        """Copy tensors into `supernet`; `edanas.supernets.weights.fill` describes arguments and result.

        Raises:
            WeightsError: A tensor does not fit the network, or `supernet` is of another provider.
        """
        if not isinstance(supernet, FixedSupernet):
            raise WeightsError(f"{source}: {type(supernet).__name__} is not this provider's supernet")
        return fill(supernet, supernet.task, tensors, source, names)

    def side(self, backbone: Backbone) -> int:
        """Return the resolution of a backbone.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        choices = dict(backbone.choices)
        if choices.keys() != {"resolution"} or choices["resolution"] not in self.resolutions:
            raise CandidateError(f"backbone: found {choices}; allowed: resolution, one of {self.resolutions}")
        return int(choices["resolution"])

    def _build_parts(self, task: Task) -> Parts:
        stages, head = self.parts(task)
        grey_in_channels_last(stages[0])
        return stages, head

    def _traced_costs(self, side: int, task: Task) -> Costs:
        from edanas.core.tracing import trace

        if (side, task) not in self._costs:
            stages, head = self.skeleton(task)
            net = StagedBackbone(stages, head, side, series=self.series)
            self._costs[side, task] = trace(net, task.in_channels)
        return self._costs[side, task]


class FixedSupernet(Supernet):
    """The supernet of a `FixedProvider`, which holds one network.

    Args:
        parts: The stages and the last exit.
        side: Function that returns the resolution of a backbone, in pixels.
        task: Number of channels of the images, and number of classes.
        series: True for series, false, the default, for images.
    """

    def __init__(
        self, parts: Parts, side: Callable[[Backbone], int], task: Task, *, series: bool = False
    ) -> None:
        super().__init__()
        self.task, self.series = task, series
        stages, head = parts
        self.stages = nn.ModuleList(stages)
        self.head = head
        self._side = side

    def view(self, backbone: Backbone) -> StagedBackbone:
        """Return a view with its own training mode; see `Supernet.view`."""
        stages = [ModeWrapper(stage) for stage in self.stages]
        return self._staged(stages, ModeWrapper(self.head), backbone)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """Return a copy; see `Supernet.extract`."""
        stages = [copy.deepcopy(stage) for stage in self.stages]
        return self._staged(stages, copy.deepcopy(self.head), backbone)

    def _staged(self, stages: Sequence[nn.Module], head: nn.Module, backbone: Backbone) -> StagedBackbone:
        net = StagedBackbone(stages, head, self._side(backbone), series=self.series)
        return net.train(self.training)


class ModeWrapper(nn.Module):
    """Runs a shared module in the mode (training or eval) of this wrapper."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Set the module's mode to the mode of the wrapper, and return the module's output."""
        if self.module.training != self.training:
            self.module.train(self.training)
        out: torch.Tensor = self.module(features)
        return out
