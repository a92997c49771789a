"""Training of a supernet with all its exits: the sandwich rule with in-place distillation.

Each step trains the largest backbone on the labels. The smallest backbone and random ones are trained on the
largest backbone's last exit in the scheme's phase. Their gradients are summed for one update. An external
teacher trains only the largest backbone.

Yu and Huang, Universally Slimmable Networks, 2019; Yu et al., BigNAS, 2020.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from edanas.core.contracts import (
    ConfidenceCriterion,
    ExitBatch,
    ExitClassifier,
    ExitPart,
    Phase,
    Supernet,
    SupernetProvider,
    TrainingScheme,
)
from edanas.core.machine import keep_kernels
from edanas.core.passes import exit_logits, exit_parts
from edanas.core.settings import TrainingSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, DataParts, ExitPoint, Task
from edanas.training.compilation import CompiledStages, backend_for
from edanas.training.distillation import Teacher, distillation_targets
from edanas.training.loop import SAVE_EVERY, Training
from edanas.training.phase_plan import Moment, PhasePlan
from edanas.training.precision import compute_precision
from edanas.training.shrinking import Shrinking
from edanas.training.steps import derive_seed, learning_rate, scheme_module, update

_CACHED_KERNELS = 8192
"""Random backbones have convolutions of many more shapes than the default cache of 1,024 kernels holds."""


class SupernetWithExits(nn.Module):
    """A supernet with a head for every exit point and every number of channels there.

    Args:
        supernet: The weight-sharing network.
        provider: The provider, for the channels at each exit point.
        classifier: The exit classifier, which builds the heads.
        task: Channels and classes.
        criterion: The confidence criterion; one with weights is trained with the network.
    """

    def __init__(
        self,
        supernet: Supernet,
        provider: SupernetProvider,
        classifier: ExitClassifier,
        task: Task,
        criterion: ConfidenceCriterion | None = None,
    ) -> None:
        super().__init__()
        self.criterion = criterion
        self.supernet = supernet
        self.channels = provider.exit_channels()
        self.heads = nn.ModuleDict(
            {
                f"{index}-{channels}": classifier.build(ExitPoint(index, channels, 1, 1), task.num_classes)
                for index, options in enumerate(self.channels)
                for channels in options
            }
        )

    def head(self, index: int, channels: int) -> nn.Module:
        """Return the shared head of exit point `index` for a number of channels."""
        return self.heads[f"{index}-{channels}"]

    def parts(self, backbone: Backbone) -> list[ExitPart]:
        """Return stages and head of each exit of `backbone`, on the shared weights, the last exit last."""
        heads = {index: _HeadsAt(self, index) for index in range(len(self.channels))}
        return exit_parts(self.supernet.view(backbone), heads)

    def logits(
        self, backbone: Backbone, images: torch.Tensor, phase: Phase | None = None
    ) -> list[torch.Tensor]:
        """Prepared images (B, C, R, R) -> logits (B, K) of every exit of `backbone`, the last exit last.

        In a phase, only its exits are computed, and only the parts that it trains have gradients. Frozen
        parts use the batch's statistics in BatchNorm, since no running statistics fit all backbones.
        """
        return exit_logits(self.parts(backbone), images, phase)


class _HeadsAt(nn.Module):
    """The heads of one exit point, selected by the channels of the features."""

    def __init__(self, network: SupernetWithExits, index: int) -> None:
        super().__init__()
        self.options = nn.ModuleDict(
            {str(channels): network.head(index, channels) for channels in network.channels[index]}
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.options[str(features.shape[1])](features)
        return logits


class SandwichTraining(Training):
    """Training of a `SupernetWithExits`, which can be interrupted at any step and gives the same weights.

    Args:
        network: The network to train, on its device.
        space: The search space, for random backbones.
        parts: The data, of which only the train part is read.
        settings: Epochs, learning rate and other settings of training.
        scheme: The phases, and the loss.
        criterion: The network's criterion, for its own loss and for schemes that use confidences.
        seed: The seed of the run.
        checkpoint: The file of the state.
        save_every: Seconds between two checkpoints; one is also written at the end.

    Raises:
        ConfigError: The scheme's options do not fit the supernet's exits.
    """

    def __init__(
        self,
        network: SupernetWithExits,
        space: SearchSpace,
        parts: DataParts,
        settings: TrainingSettings,
        scheme: TrainingScheme,
        criterion: ConfidenceCriterion,
        seed: int,
        checkpoint: Path,
        save_every: float = SAVE_EVERY,
    ) -> None:
        keep_kernels(_CACHED_KERNELS)
        self.network, self.space, self.scheme, self.criterion = network, space, scheme, criterion
        self.largest, self.smallest = space.largest(), space.smallest()
        self.shrinking = Shrinking(space)
        self.teacher: Teacher | None = None
        """A teacher of the largest backbone besides the labels, with the share `distillation`."""
        self.points = tuple(range(len(network.channels) + 1))
        self.phases = PhasePlan(scheme.phases(self.points))
        learned = scheme_module(scheme, self.points, seed, next(network.parameters()).device)
        side, file = int(self.largest["resolution"]), (checkpoint, "supernet")
        super().__init__(network, learned, parts, settings, side, seed, file, save_every)
        self.kernels = CompiledStages(network.parts, (self.largest, self.smallest), backend_for(self.device))

    def make_step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Update from the largest, smallest and random backbones; return the largest's mean exit loss."""
        rng = np.random.default_rng(derive_seed(self.seed, "backbones", self.step))
        phase, done, steps = self._moment(self.step)
        if self.step and self._moment(self.step - 1).phase is not phase:
            # Parts that are frozen from here on must have their final weights.
            self.average.apply()
        logits = self._logits(self.largest, images, phase)
        loss = self._loss(logits, *self._targets(images, labels), phase)
        loss.backward()  # type: ignore[no-untyped-call]
        teacher = logits[-1].detach().softmax(1)
        for backbone in self._students(rng):
            if backbone == self.largest:
                # It was just trained; a space of one backbone has no teacher.
                continue
            student_logits = self._logits(backbone, resized(images, int(backbone["resolution"])), phase)
            self._loss(student_logits, teacher, 0.0, phase).backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(self.settings, done, steps)
        update(self.optimizer, self.trained.parameters(), rate, self.settings.gradient_clip)
        return float(loss.detach()) / len(logits)

    def _targets(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Return the targets of the largest backbone, and the label smoothing still to be applied."""
        smoothing = self.settings.label_smoothing
        if self.teacher is None:
            return labels, smoothing
        with compute_precision(self.precision, self.device):
            return distillation_targets(
                images, labels, self.teacher, self.settings.distillation, smoothing
            ), 0.0

    def _students(self, rng: np.random.Generator) -> list[Backbone]:
        """Return the smallest and random backbones, of the part of the space that is elastic now."""
        count = self.settings.random_backbones
        if not self.settings.shrinking:
            return [self.smallest, *(self.space.sample_backbone(rng) for _ in range(count))]
        done = self.schedule.done(self.step)
        drawn = (self.shrinking.sample_backbone(rng, done) for _ in range(count))
        return [self.shrinking.smallest(done), *drawn]

    def _moment(self, step: int) -> Moment:
        steps = self.schedule.steps
        return self.phases.at(self.schedule.done(step) * steps, steps)

    def _logits(self, backbone: Backbone, images: torch.Tensor, phase: Phase) -> list[torch.Tensor]:
        with compute_precision(self.precision, self.device):
            logits = self.kernels.logits(backbone, images, phase)
            if logits is None:
                logits = self.network.logits(backbone, images, phase)
            return [exit_logits.float() for exit_logits in logits]

    def _loss(
        self, logits: list[torch.Tensor], targets: torch.Tensor, smoothing: float, phase: Phase
    ) -> torch.Tensor:
        batch = ExitBatch(logits, targets, phase, self.points, self.criterion, smoothing, self.learned)
        return self.scheme.loss(batch) + batch.criterion_loss()


def resized(images: torch.Tensor, resolution: int) -> torch.Tensor:
    """Resize prepared images (B, C, R, R) to a resolution, antialiased.

    Example:
        >>> resized(torch.zeros(1, 3, 32, 32), resolution=24).shape
        torch.Size([1, 3, 24, 24])
    """
    if images.shape[-1] == resolution:
        return images
    small = F.interpolate(
        images, size=(resolution, resolution), mode="bilinear", align_corners=False, antialias=True
    )
    return small.contiguous(memory_format=torch.channels_last)
