"""Base class of providers of one network, of which only exits, thresholds and resolution are searched."""

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from edanas.core.contracts import StagedBackbone, Supernet, SupernetProvider
from edanas.core.errors import CandidateError, WeightsError
from edanas.core.types import Backbone, SegmentCost, Task, Variable
from edanas.supernets.memory_format import grey_in_channels_last
from edanas.supernets.option_checks import checked_sides
from edanas.supernets.weights import TensorNames, fill, read_tensors

Parts = tuple[Sequence[nn.Module], nn.Module]
"""A network's M stages, and its last exit."""

Costs = tuple[tuple[SegmentCost, ...], SegmentCost]
"""Costs of the M stages, and of the last exit."""

_ANY_TASK = Task(in_channels=3, num_classes=2)
"""A task for building a network whose structure is inspected."""


class FixedProvider(SupernetProvider):
    """A family whose only variable is the resolution, and whose members share all weights.

    A subclass builds the network in `parts`, and sets `exit_points`.

    Args:
        resolutions: Sides of the input images in pixels.

    Raises:
        ConfigError: The sides are not distinct whole numbers from 8 to 1024.
    """

    def __init__(self, resolutions: tuple[int, ...]) -> None:
        self.resolutions = checked_sides(resolutions)
        self._costs: dict[tuple[int, Task], Costs] = {}

    @abstractmethod
    def parts(self, task: Task) -> Parts:
        """Build the stages and the last exit, for all resolutions.

        Fresh weights are drawn from torch's global generator.
        """

    def skeleton(self, task: Task) -> Parts:
        """Build the parts without weights (on the device `meta`), to inspect their structure."""
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return self.parts(task)

    def variables(self) -> tuple[Variable, ...]:
        """Return `resolution`, the only variable."""
        return (Variable("resolution", self.resolutions),)

    def supernet(self, task: Task) -> Supernet:
        """Build the network as a supernet; see `SupernetProvider.supernet`."""
        return FixedSupernet(self._build_parts(task), self.side, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """Build the network; see `SupernetProvider.build`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        side = self.side(backbone)
        stages, head = self._build_parts(task)
        return StagedBackbone(stages, head, side)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """Return the channels at each exit point; see `SupernetProvider.exit_channels`."""
        stages, _ = self._traced_costs(self.resolutions[0], _ANY_TASK)
        return tuple((stage.shape[0],) for stage in stages[:-1])

    def costs(self, backbone: Backbone, task: Task) -> Costs:
        """Return the costs, traced once for each resolution; see `SupernetProvider.costs`.

        Raises:
            CandidateError: The backbone is not in this space.
            CostError: The network does not run, or has operators that cannot be counted.
        """
        return self._traced_costs(self.side(backbone), task)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load the tensors of such a supernet from a file into `supernet`.

        Raises:
            WeightsError: The file does not exist, holds no weights, or those of another network.
        """
        return self.fill(supernet, read_tensors(Path(weights).expanduser()), weights, TensorNames())

    @staticmethod
    def fill(supernet: Supernet, tensors: Mapping[str, torch.Tensor], source: str, names: TensorNames) -> str:
        """Copy weights into `supernet`; see `edanas.supernets.weights.fill`.

        Raises:
            WeightsError: A tensor does not fit, or `supernet` is of another provider.
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
            raise CandidateError(f"backbone with {choices}; allowed: resolution, one of {self.resolutions}")
        return int(choices["resolution"])

    def _build_parts(self, task: Task) -> Parts:
        stages, head = self.parts(task)
        grey_in_channels_last(stages[0])
        return stages, head

    def _traced_costs(self, side: int, task: Task) -> Costs:
        from edanas.core.tracing import trace

        if (side, task) not in self._costs:
            stages, head = self.skeleton(task)
            self._costs[side, task] = trace(StagedBackbone(stages, head, side), task.in_channels)
        return self._costs[side, task]


class FixedSupernet(Supernet):
    """A supernet that holds one network.

    Args:
        parts: The stages and the last exit.
        side: Returns the resolution of a backbone.
        task: Channels and classes.
    """

    def __init__(self, parts: Parts, side: Callable[[Backbone], int], task: Task) -> None:
        super().__init__()
        self.task = task
        stages, head = parts
        self.stages = nn.ModuleList(stages)
        self.head = head
        self._side = side

    def view(self, backbone: Backbone) -> StagedBackbone:
        """Return a view with its own training mode; see `Supernet.view`."""
        stages = [ModeWrapper(stage) for stage in self.stages]
        return StagedBackbone(stages, ModeWrapper(self.head), self._side(backbone)).train(self.training)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """Return a copy; see `Supernet.extract`."""
        stages = [copy.deepcopy(stage) for stage in self.stages]
        return StagedBackbone(stages, copy.deepcopy(self.head), self._side(backbone)).train(self.training)


class ModeWrapper(nn.Module):
    """Runs a shared module in the training mode of this wrapper."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Set the mode, and run the module."""
        if self.module.training != self.training:
            self.module.train(self.training)
        out: torch.Tensor = self.module(features)
        return out
