"""Training of a supernet with all its exits: one backbone a step, or the sandwich rule.

A step trains one backbone on the labels, as in Guo et al., Single Path One-Shot Neural Architecture Search,
ECCV 2020; every fourth step trains the largest backbone. Or it follows the sandwich rule with in-place
distillation: the targets of the largest backbone are the labels. If the run has a teacher, its probabilities
are mixed into these targets. The targets of the smallest backbone and of random backbones are the
probabilities of the largest backbone, at the last exit that runs in the current phase. The gradients of all
backbones are summed for one update.

Yu and Huang, Universally Slimmable Networks, 2019; Yu et al., BigNAS, 2020.
"""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from edanas.core.contracts import (
    ConfidenceCriterion,
    ElasticHead,
    ExitBatch,
    ExitClassifier,
    ExitPart,
    InferenceRule,
    Phase,
    Supernet,
    SupernetProvider,
    TrainingScheme,
)
from edanas.core.cut_backbones import NO_CHOICES, completed, restricted, stages_of
from edanas.core.machine import keep_kernels
from edanas.core.passes import exit_logits, exit_parts
from edanas.core.preprocess import resampled, size_for
from edanas.core.settings import LARGEST_EVERY, TrainingSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, DataParts, ExitPoint, Task
from edanas.training.class_weights import class_weights
from edanas.training.compilation import CompiledStages, backend_for
from edanas.training.distillation import Teacher, distillation_targets
from edanas.training.loop import SAVE_EVERY, Training
from edanas.training.phase_plan import Moment, PhasePlan
from edanas.training.precision import compute_precision
from edanas.training.ranks import present
from edanas.training.resizing import Resizing, resizing_for
from edanas.training.steps import derive_seed, learning_rate, scheme_module, update
from edanas.training.synchronised_norm import SynchronisedNorm, synchronises

_CACHED_KERNELS = 8192
"""Size of the cache of CPU kernels.

Convolutions of random backbones have more shapes than the default of 1,024 kernels can serve.
"""


class SupernetWithExits(nn.Module):
    """A supernet with a head for every exit point and every number of channels there.

    Args:
        supernet: The weight-sharing network.
        provider: The supernet provider, which defines the numbers of channels at each exit point.
        classifier: The exit classifier, which builds the heads.
        task: Number of channels of the images, and number of classes.
        criterion: The confidence criterion; its weights, if any, are trained with the network.
            With `None`, the default, the network has no criterion.
        inference: An inference rule that corrects logits; its weights, if any, are trained with the network.
            `None`, the default, means that the run's rule corrects none.
    """

    def __init__(
        self,
        supernet: Supernet,
        provider: SupernetProvider,
        classifier: ExitClassifier,
        task: Task,
        criterion: ConfidenceCriterion | None = None,
        inference: InferenceRule | None = None,
    ) -> None:
        super().__init__()
        self.criterion, self.inference = criterion, inference
        self.supernet = supernet
        self.channels, self.variables = provider.exit_channels(), provider.variables()
        self.heads = nn.ModuleDict(
            {
                f"{index}-{channels}": classifier.shared(ExitPoint(index, channels, 1, 1), task.num_classes)
                for index, options in enumerate(self.channels)
                for channels in options
            }
        )

    def head(self, index: int, channels: int, backbone: Backbone = NO_CHOICES) -> nn.Module:
        """Return the shared head of exit point `index` for features with a given number of channels.

        The choices of `backbone` select the layers of an elastic head; by default, they are the first ones.
        """
        head = self.heads[f"{index}-{channels}"]
        return head.view(backbone) if isinstance(head, ElasticHead) else head

    def parts(self, backbone: Backbone) -> list[ExitPart]:
        """Return the modules of each exit of `backbone`, with shared weights, from first to last exit.

        The last exit of a cut backbone is the head at the exit point where it ends.
        """
        whole = completed(backbone, self.variables)
        view = self.supernet.view(restricted(whole, self.variables))
        stages = stages_of(backbone, len(view.stages))
        if stages < len(view.stages):
            view = view.cut(stages, _HeadsAt(self, stages - 1, backbone))
        return exit_parts(view, {index: _HeadsAt(self, index, backbone) for index in range(stages - 1)})

    def logits(
        self, backbone: Backbone, images: torch.Tensor, phase: Phase | None = None
    ) -> list[torch.Tensor]:
        """Return the logits of the exits of a backbone, from first to last.

        Frozen modules normalise with the statistics of the batch, since no running statistics fit all
        backbones.

        Args:
            backbone: The backbone to run.
            images: Batch of B normalised images (B, C, R, R).
            phase: Only the exits of this phase run, and only modules that it trains get gradients. With
                `None`, the default, all exits run and all modules get gradients.

        Returns:
            Logits (B, K) of each exit, for K classes.
        """
        return exit_logits(self.parts(backbone), images, phase)


class _HeadsAt(nn.Module):
    """The heads at one exit point; the number of channels of the features selects the head that runs."""

    def __init__(self, network: SupernetWithExits, index: int, backbone: Backbone) -> None:
        super().__init__()
        self.options = nn.ModuleDict(
            {str(channels): network.head(index, channels, backbone) for channels in network.channels[index]}
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.options[str(features.shape[1])](features)
        return logits


class SandwichTraining(Training):
    """Training of a `SupernetWithExits`; a resumed training gives the same weights as without a stop.

    Args:
        network: The network to train, on the device of the training.
        space: The search space, from which random backbones are drawn.
        parts: The data; only the train part is used.
        settings: Epochs, learning rate and other settings of training.
        scheme: The training scheme, which defines the phases and the loss.
        criterion: The confidence criterion of the network. It adds its own loss, and computes confidences for
            schemes that use them.
        seed: Seed of all random numbers.
        checkpoint: Path of the checkpoint.
        save_every: Seconds between two checkpoints, 60 by default. The last step also writes a checkpoint.

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
        # Whole backbones train the heads at all exit points, and so all networks that end there.
        space = space.whole()
        self.network, self.space, self.scheme, self.criterion = network, space, scheme, criterion
        self.largest, self.smallest = space.largest(), space.smallest()
        self.teacher: Teacher | None = None
        """Function that returns a teacher's class probabilities; `None`, the default, means no teacher.

        The probabilities have the weight `settings.distillation` in the targets of the largest backbone.
        """
        self.points = tuple(range(len(network.channels) + 1))
        self.phases = PhasePlan(scheme.phases(self.points))
        learned = scheme_module(scheme, self.points, seed, next(network.parameters()).device)
        side, file = int(self.largest["resolution"]), (checkpoint, "supernet")
        super().__init__(network, learned, parts, settings, side, seed, file, save_every)
        self.class_weights = class_weights(parts.train, settings, self.device)
        self.costs: tuple[float, ...] = ()
        """See `ExitBatch.costs`; those of the largest backbone, for all backbones."""
        self.resizing: Resizing | None = None
        """Progressive resizing; `None` if all steps have images of the full side."""
        if settings.initial_side < 1:
            largest_first = (self.largest, self.smallest)
            images = torch.zeros(2, parts.task.in_channels, side, side, device=self.device)
            self.resizing = resizing_for(settings.initial_side, network.eval().parts, largest_first, images)
        self.ranks = present()
        self.batches.divide(self.ranks)
        self._synchronises = synchronises(settings, self.ranks.count, self.device)
        # A compiled stage would normalise with the statistics of its process.
        backend = None if self._synchronises else backend_for(self.device)
        self.kernels = CompiledStages(network.parts, (self.largest, self.smallest), backend)

    def make_step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Make a step with one or with several backbones; see `Training.make_step`.

        Returns the loss of the largest or only backbone, as a mean over exits.
        """
        rng = np.random.default_rng(derive_seed(self.seed, "backbones", self.step))
        phase, done, steps = self._moment(self.step)
        if self.step and self._moment(self.step - 1).phase is not phase:
            # Modules that the new phase freezes must have their final, averaged weights.
            self.average.apply()
        backbones = self._backbones(rng)
        value = sum(
            self._add_gradients(*part, backbones, phase, self.batches.share * len(part[0]) / len(images))
            for part in self._micro_batches(images, labels)
        )
        value = self.ranks.sum_gradients(self.weights, value)
        rate = learning_rate(self.settings, done, steps)
        norm = update(self.optimizer, self.weights, rate, self.settings.gradient_clip, value)
        self.finite.check(value, norm, rate, self.step)
        return value / len(phase.exits)

    def _micro_batches(
        self, images: torch.Tensor, labels: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Divide a batch into parts of at most `micro_batch_size` samples, and at least two."""
        limit, samples = self.settings.micro_batch_size, round(len(images) / self.batches.share)
        # The processes' shares of a batch may differ by one sample, but not in their number of parts.
        fewest, most = samples // self.ranks.count, math.ceil(samples / self.ranks.count)
        count = min(math.ceil(most / limit), fewest // 2) if limit else 1
        if count <= 1:
            return [(images, labels)]
        return list(zip(images.tensor_split(count), labels.tensor_split(count), strict=True))

    def _backbones(self, rng: np.random.Generator) -> list[Backbone]:
        """Return the backbones of a step: the one that learns from the labels, then those that it teaches."""
        if self.settings.backbones == "single":
            return [self.space.sample_backbone(rng) if self.step % LARGEST_EVERY else self.largest]
        # The largest backbone cannot teach itself.
        return [self.largest, *(each for each in self._students(rng) if each != self.largest)]

    def _add_gradients(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        backbones: Sequence[Backbone],
        phase: Phase,
        share: float,
    ) -> float:
        """Add the gradients of the backbones; return the loss of the first one, times `share`.

        Args:
            images: Normalised images (B, C, R, R).
            labels: Labels (B,), or class probabilities (B, K).
            backbones: The backbone that learns from the labels, then those that learn from its last exit.
            phase: The current phase.
            share: Weight of the images, their share in the batch of all processes.
        """
        first, *students = backbones
        targets, inputs = self._targets(images, labels), self._inputs(images, first)
        logits = self._logits(first, inputs, phase)
        loss = share * self._loss(logits, *targets, phase, first, inputs)
        loss.backward()  # type: ignore[no-untyped-call]
        teacher = logits[-1].detach().softmax(1)
        for backbone in students:
            small = self._inputs(images, backbone)
            student_logits = self._logits(backbone, small, phase)
            student_loss = share * self._loss(student_logits, teacher, 0.0, phase, backbone, small)
            student_loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _inputs(self, images: torch.Tensor, backbone: Backbone) -> torch.Tensor:
        """Return the images of a step at the present side of a backbone."""
        side = int(backbone["resolution"])
        if self.resizing is not None:
            side = self.resizing.side(side, self.schedule.done(self.step))
        return resized(images, side)

    def _trial_moments(self) -> list[tuple[float, float]]:
        """See `Training._trial_moments`: with progressive resizing, a moment for each remaining side."""
        return [] if self.resizing is None else self.resizing.moments(self.schedule.done(self.step))

    def _targets(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Return the targets of the largest backbone, and the label smoothing that the loss must apply."""
        smoothing = self.settings.label_smoothing
        if self.teacher is None:
            return labels, smoothing
        with compute_precision(self.precision, self.device):
            return distillation_targets(
                images, labels, self.teacher, self.settings.distillation, smoothing
            ), 0.0

    def _students(self, rng: np.random.Generator) -> list[Backbone]:
        """Return the smallest backbone and random backbones."""
        count = self.settings.random_backbones
        return [self.smallest, *(self.space.sample_backbone(rng) for _ in range(count))]

    def _moment(self, step: int) -> Moment:
        steps = self.schedule.steps
        return self.phases.at(self.schedule.done(step) * steps, steps)

    def _logits(self, backbone: Backbone, images: torch.Tensor, phase: Phase) -> list[torch.Tensor]:
        with ExitStack() as stack:
            if self._synchronises:
                stack.enter_context(SynchronisedNorm(self.ranks))
            stack.enter_context(compute_precision(self.precision, self.device))
            logits = self.kernels.logits(backbone, images, phase)
            if logits is None:
                logits = self.network.logits(backbone, images, phase)
            raw = [exit_logits.float() for exit_logits in logits]
            rule = self.network.inference
            return raw if rule is None else rule.corrected_for_training(raw, phase.exits)

    def _loss(
        self,
        logits: list[torch.Tensor],
        targets: torch.Tensor,
        smoothing: float,
        phase: Phase,
        backbone: Backbone,
        images: torch.Tensor,
    ) -> torch.Tensor:
        _, done, steps = self._moment(self.step)
        batch = ExitBatch(
            logits,
            targets,
            phase,
            self.points,
            self.criterion,
            smoothing,
            self.learned,
            self.class_weights,
            partial(self._logits, backbone, images, phase),
            self.network_weights,
            self.costs,
            done / steps,
        )
        return self.scheme.loss(batch) + batch.criterion_loss()


def resized(images: torch.Tensor, resolution: int) -> torch.Tensor:
    """Return images resized to a resolution, with antialiasing; series are resampled.

    Args:
        images: Batch of B square images (B, C, R, R) or series (B, C, 1, R), float.
        resolution: Side of the returned images in pixels, or length of the returned series.

    Example:
        >>> resized(torch.zeros(1, 3, 32, 32), resolution=24).shape
        torch.Size([1, 3, 24, 24])
    """
    if images.shape[-1] == resolution:
        return images
    size = size_for(images, resolution)
    if size[0] == 1:
        return resampled(images, resolution)
    small = F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=True)
    return small.contiguous(memory_format=torch.channels_last)
