"""Workbench of a run: its inputs, with the methods that build, train and measure networks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from edanas.core.contracts import ConfidenceCriterion, ExitNetwork, InferenceRule, StagedBackbone
from edanas.core.cut_backbones import NO_CHOICES
from edanas.core.progress import Bar
from edanas.core.settings import TrainingSettings
from edanas.core.types import Backbone, ExitPoint, SegmentCost, SelectionScheme
from edanas.evaluation.cost_book import CostBook
from edanas.evaluation.network_builder import NetworkBuilder
from edanas.evaluation.network_trainer import NetworkTrainer, Stops
from edanas.evaluation.run_inputs import RunInputs
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.training.distillation import Teacher
from edanas.training.pace import Pace


@dataclass(frozen=True)
class Workbench(RunInputs):
    """The inputs of a run, with methods that build its networks, train them and compute their costs.

    The arguments are those of `RunInputs`. The methods call the objects `builder`, `costs` and `trainer`.
    A workbench is picklable.
    """

    @cached_property
    def builder(self) -> NetworkBuilder:
        """Builder of the run's networks, heads and criteria."""
        return NetworkBuilder(self)

    @cached_property
    def costs(self) -> CostBook:
        """Costs of the run's backbones and heads, each counted or measured once."""
        return CostBook(self, self.builder)

    @cached_property
    def trainer(self) -> NetworkTrainer:
        """Trainer of the run's networks."""
        return NetworkTrainer(self)

    def network(
        self,
        backbone: StagedBackbone,
        heads: Mapping[int, nn.Module],
        scheme: SelectionScheme,
        criterion: ConfidenceCriterion | None = None,
        inference: InferenceRule | None = None,
    ) -> EENN:
        """Build a network; see `NetworkBuilder.build`."""
        return self.builder.build(backbone, heads, scheme, criterion, inference)

    def fresh_heads(
        self, backbone: StagedBackbone, placed: tuple[int, ...], choices: Backbone = NO_CHOICES
    ) -> dict[int, nn.Module]:
        """Build new heads; see `NetworkBuilder.heads`."""
        return self.builder.heads(backbone, placed, choices)

    def fresh_criterion(self) -> ConfidenceCriterion:
        """Build a new criterion; see `NetworkBuilder.criterion`."""
        return self.builder.criterion()

    def exit_points(self, backbone: StagedBackbone) -> tuple[ExitPoint, ...]:
        """Return the shapes of the features at the backbone's exit points."""
        return self.builder.exit_points(backbone)

    def anatomy(self, network: ExitNetwork) -> Anatomy:
        """Return the costs of a network's stages and heads, by running each once on zeros."""
        return Anatomy.of(network, self.parts.task.in_channels)

    def anatomy_of(self, backbone: Backbone, points: tuple[int, ...]) -> Anatomy:
        """Return the costs of a backbone and of heads at `points`; see `CostBook.anatomy`."""
        return self.costs.anatomy(backbone, points)

    def segments(self, backbone: Backbone) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """Return the costs of a backbone's stages and last exit; see `CostBook.segments`."""
        return self.costs.segments(backbone)

    def finetune(
        self,
        network: ExitNetwork,
        settings: TrainingSettings,
        seed: int,
        bar: Bar,
        teacher: Teacher | None = None,
        pace: Pace | None = None,
        stops: Stops = lambda _step, _network: False,
    ) -> None:
        """Train a network; see `NetworkTrainer.finetune`."""
        self.trainer.finetune(network, settings, seed, bar, teacher, pace, stops)

    def recalibrate(self, network: ExitNetwork) -> None:
        """Recompute a network's BatchNorm statistics; see `NetworkTrainer.recalibrate`."""
        self.trainer.recalibrate(network)

    def fit(self, network: ExitNetwork) -> None:
        """Fit a network's inference rule and criterion; see `NetworkTrainer.fit`."""
        self.trainer.fit(network)

    def train_images(self, resolution: int) -> Iterator[torch.Tensor]:
        """Yield training images for BatchNorm statistics; see `NetworkTrainer.train_images`."""
        return self.trainer.train_images(resolution)

    def judging_passes(self) -> int:
        """Return the number of forward passes after training; see `NetworkTrainer.judging_passes`."""
        return self.trainer.judging_passes()
