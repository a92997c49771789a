"""Training a supernet with all its exits at once: the sandwich rule with in-place distillation.

Each step trains the largest backbone on the labels, and the smallest and one random one or more on the
largest's last exit of those that the scheme's phase runs (Yu and Huang, Universally Slimmable Networks, 2019;
Yu et al., BigNAS, 2020). Gradients of all add up to one update. A teacher from outside teaches the largest
alone.
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

_KEPT_KERNELS = 8192
"""Random backbones have convolutions of many more shapes than 1,024, in every step others."""


class SupernetWithExits(nn.Module):
    """A supernet and a head for every exit point and every number of channels that may reach it.

    Args:
        supernet: The weight-sharing network.
        provider: Names the exit points' channels.
        classifier: Builds the heads.
        task: Channels and classes.
        criterion: One that learns with the network is a part of it.
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
        """The shared head of exit point `index` for features of so many channels."""
        return self.heads[f"{index}-{channels}"]

    def parts(self, backbone: Backbone) -> list[ExitPart]:
        """What belongs to each exit of `backbone`, on the shared weights, the last exit last."""
        heads = {index: _HeadsAt(self, index) for index in range(len(self.channels))}
        return exit_parts(self.supernet.view(backbone), heads)

    def logits(
        self, backbone: Backbone, images: torch.Tensor, phase: Phase | None = None
    ) -> list[torch.Tensor]:
        """Prepared images (B, C, R, R) -> logits (B, K) of every exit of `backbone`, the last exit last.

        Of a training's phase, only the exits that it runs are computed, and only what it trains is tracked.
        What is frozen runs in the supernet's mode: BatchNorm takes the batch's statistics, since no running
        statistics fit all backbones.
        """
        return exit_logits(self.parts(backbone), images, phase)


class _HeadsAt(nn.Module):
    """The heads of one exit point; the features' channels choose among them."""

    def __init__(self, network: SupernetWithExits, index: int) -> None:
        super().__init__()
        self.options = nn.ModuleDict(
            {str(channels): network.head(index, channels) for channels in network.channels[index]}
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.options[str(features.shape[1])](features)
        return logits


class SandwichTraining(Training):
    """Trains a `SupernetWithExits`; cut anywhere, even in an epoch, it goes on to the same weights.

    Args:
        network: What to train, already on its device.
        space: Where random backbones come from.
        parts: The data; only its train part is read.
        settings: Epochs, rate and the rest.
        scheme: The phases, and what makes one loss of several.
        criterion: The network's, for schemes whose loss depends on confidences, and for what it learns.
        seed: The run's seed.
        checkpoint: The file that holds the state.
        save_every: Seconds between two writings of it; it is written at the end, too.

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
        keep_kernels(_KEPT_KERNELS)
        self.network, self.space, self.scheme, self.criterion = network, space, scheme, criterion
        self.largest, self.smallest = space.largest(), space.smallest()
        self.shrinking = Shrinking(space)
        self.teacher: Teacher | None = None
        """Whom the largest backbone learns from besides the labels, by the share of `distillation`."""
        self.points = tuple(range(len(network.channels) + 1))
        self.phases = PhasePlan(scheme.phases(self.points))
        learned = scheme_module(scheme, self.points, seed, next(network.parameters()).device)
        side, file = int(self.largest["resolution"]), (checkpoint, "supernet")
        super().__init__(network, learned, parts, settings, side, seed, file, save_every)
        self.kernels = CompiledStages(network.parts, (self.largest, self.smallest), backend_for(self.device))

    def make_step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """One update from the largest, the smallest and random backbones; the largest's mean exit loss."""
        rng = np.random.default_rng(derive_seed(self.seed, "backbones", self.step))
        phase, done, steps = self._moment(self.step)
        if self.step and self._moment(self.step - 1).phase is not phase:
            # What is frozen from here on is what the training will give.
            self.average.apply()
        logits = self._logits(self.largest, images, phase)
        loss = self._loss(logits, *self._targets(images, labels), phase)
        loss.backward()  # type: ignore[no-untyped-call]
        teacher = logits[-1].detach().softmax(1)
        for backbone in self._pupils(rng):
            if backbone == self.largest:
                # It was just trained: a network alone has nobody to learn from.
                continue
            student = self._logits(backbone, resized(images, int(backbone["resolution"])), phase)
            self._loss(student, teacher, 0.0, phase).backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(self.settings, done, steps)
        update(self.optimizer, self.trained.parameters(), rate, self.settings.gradient_clip)
        return float(loss.detach()) / len(logits)

    def _targets(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, float]:
        """What the largest backbone is to say, and what of it is still to be spread over all classes."""
        smoothing = self.settings.label_smoothing
        if self.teacher is None:
            return labels, smoothing
        with compute_precision(self.precision, self.device):
            return distillation_targets(
                images, labels, self.teacher, self.settings.distillation, smoothing
            ), 0.0

    def _pupils(self, rng: np.random.Generator) -> list[Backbone]:
        """The smallest and random backbones, of what is open by now."""
        count = self.settings.random_backbones
        if not self.settings.shrinking:
            return [self.smallest, *(self.space.sample_backbone(rng) for _ in range(count))]
        done = self.schedule.done(self.step)
        drawn = (self.shrinking.sample_backbone(rng, done) for _ in range(count))
        return [self.shrinking.smallest(done), *drawn]

    def _moment(self, step: int) -> Moment:
        whole = self.schedule.steps
        return self.phases.at(self.schedule.done(step) * whole, whole)

    def _logits(self, backbone: Backbone, images: torch.Tensor, phase: Phase) -> list[torch.Tensor]:
        with compute_precision(self.precision, self.device):
            logits = self.kernels.logits(backbone, images, phase)
            if logits is None:
                logits = self.network.logits(backbone, images, phase)
            return [each.float() for each in logits]

    def _loss(
        self, logits: list[torch.Tensor], targets: torch.Tensor, smoothing: float, phase: Phase
    ) -> torch.Tensor:
        batch = ExitBatch(logits, targets, phase, self.points, self.criterion, smoothing, self.learned)
        return self.scheme.loss(batch) + batch.criterion_loss()


def resized(images: torch.Tensor, resolution: int) -> torch.Tensor:
    """Prepared images (B, C, R, R) at another resolution, antialiased; themselves where it is theirs."""
    if images.shape[-1] == resolution:
        return images
    small = F.interpolate(
        images, size=(resolution, resolution), mode="bilinear", align_corners=False, antialias=True
    )
    return small.contiguous(memory_format=torch.channels_last)
