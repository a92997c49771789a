"""Providers of one network: nothing of it is searched but its resolution, and where its exits stand."""

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

_ANY = Task(in_channels=3, num_classes=2)
"""A task to look at a network's structure with, where the task does not matter."""


class FixedProvider(SupernetProvider):
    """A family whose only variable is the resolution; all its members share all weights.

    A subclass says what the network is made of, and sets `exit_points` if it needs no look at a network to
    know them.

    Args:
        resolutions: Sides of the input images in pixels.

    Raises:
        ConfigError: They are no distinct whole numbers in range.
    """

    def __init__(self, resolutions: tuple[int, ...]) -> None:
        self.resolutions = checked_sides(resolutions)
        self._known: dict[tuple[int, Task], Costs] = {}

    @abstractmethod
    def parts(self, task: Task) -> Parts:
        """The network's stages and last exit, for every resolution, with fresh weights.

        Weights are drawn from torch's global generator.
        """

    def skeleton(self, task: Task) -> Parts:
        """The parts to look at, not to use: without weights where they can be made so."""
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return self.parts(task)

    def variables(self) -> tuple[Variable, ...]:
        """See `SupernetProvider.variables`: `resolution` alone."""
        return (Variable("resolution", self.resolutions),)

    def supernet(self, task: Task) -> Supernet:
        """See `SupernetProvider.supernet`."""
        return FixedSupernet(self._made(task), self.side, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """See `SupernetProvider.build`.

        Raises:
            CandidateError: The backbone is not of this space.
        """
        side = self.side(backbone)
        stages, head = self._made(task)
        return StagedBackbone(stages, head, side)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """See `SupernetProvider.exit_channels`."""
        stages, _ = self._counted(self.resolutions[0], _ANY)
        return tuple((stage.shape[0],) for stage in stages[:-1])

    def costs(self, backbone: Backbone, task: Task) -> Costs:
        """See `SupernetProvider.costs`: traced once for each resolution.

        Raises:
            CandidateError: The backbone is not of this space.
            CostError: The network does not run, or has operators that cannot be counted.
        """
        return self._counted(self.side(backbone), task)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Fill `supernet` from a file that holds such a supernet's own tensors.

        Raises:
            WeightsError: There is no such file, or it holds no weights, or those of another network.
        """
        return self.fill(supernet, read_tensors(Path(weights).expanduser()), weights, TensorNames())

    @staticmethod
    def fill(supernet: Supernet, tensors: Mapping[str, torch.Tensor], source: str, names: TensorNames) -> str:
        """See `edanas.supernets.weights.fill`.

        Raises:
            WeightsError: A tensor does not fit, or `supernet` is not of such a provider.
        """
        if not isinstance(supernet, FixedSupernet):
            raise WeightsError(f"{source}: {type(supernet).__name__} is not this provider's supernet")
        return fill(supernet, supernet.task, tensors, source, names)

    def side(self, backbone: Backbone) -> int:
        """The resolution of a backbone of this family.

        Raises:
            CandidateError: The backbone is not of this space.
        """
        found = dict(backbone.choices)
        if found.keys() != {"resolution"} or found["resolution"] not in self.resolutions:
            raise CandidateError(f"backbone with {found}; allowed: resolution, one of {self.resolutions}")
        return int(found["resolution"])

    def _made(self, task: Task) -> Parts:
        stages, head = self.parts(task)
        grey_in_channels_last(stages[0])
        return stages, head

    def _counted(self, side: int, task: Task) -> Costs:
        from edanas.core.tracing import trace

        if (side, task) not in self._known:
            stages, head = self.skeleton(task)
            self._known[side, task] = trace(StagedBackbone(stages, head, side), task.in_channels)
        return self._known[side, task]


class FixedSupernet(Supernet):
    """One network that is its own supernet.

    Args:
        parts: Its stages and last exit.
        side: The resolution that a backbone asks for.
        task: What it was built for.
    """

    def __init__(self, parts: Parts, side: Callable[[Backbone], int], task: Task) -> None:
        super().__init__()
        self.task = task
        stages, head = parts
        self.stages = nn.ModuleList(stages)
        self.head = head
        self._side = side

    def view(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.view`. The view has its own training mode."""
        stages = [ModeWrapper(stage) for stage in self.stages]
        return StagedBackbone(stages, ModeWrapper(self.head), self._side(backbone)).train(self.training)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.extract`."""
        stages = [copy.deepcopy(stage) for stage in self.stages]
        return StagedBackbone(stages, copy.deepcopy(self.head), self._side(backbone)).train(self.training)


class ModeWrapper(nn.Module):
    """Runs a module that others run too, in this one's training mode."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """As the module."""
        if self.module.training != self.training:
            self.module.train(self.training)
        out: torch.Tensor = self.module(features)
        return out
