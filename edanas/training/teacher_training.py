"""Training of a dense teacher by a recipe for few epochs: large batches, alternating flips, lookahead.

Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single A100, 2024. The numbers are those of the paper's code.
"""

import copy
import math
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from edanas.core.contracts import StagedBackbone
from edanas.core.settings import ALTERNATING, TrainingSettings
from edanas.core.types import DataParts
from edanas.training.loop import SAVE_EVERY, Training
from edanas.training.precision import compute_precision
from edanas.training.steps import Batches

RATE = 11.5 * 1024 / 7850
"""Peak learning rate for batches of 1,024 images."""

DECAY, MOMENTUM, SMOOTHING = 0.0153 / 11.5, 0.85, 0.2
"""Weight decay, Nesterov momentum and label smoothing."""

BIAS_SCALE = 64
"""Factor of the learning rate of biases."""

PEAK, FIRST, LAST = 0.23, 0.2, 0.07
"""Progress at the largest learning rate; learning rate at the start and at the end, as shares of it."""

LOOKAHEAD_EVERY, LOOKAHEAD_DECAY = 5, 0.95**5
"""Steps between two updates of the averaged weights, and the largest decay of the average."""

SHIFT = 1 / 16
"""Largest shift as a share of the side: 2 pixels at 32 pixels."""


def default_epochs(images: int) -> int:
    """Return the number of passes over some training images: about 500,000 images, from 10 to 100 passes.

    Example:
        >>> default_epochs(50_000), default_epochs(10_000), default_epochs(1000)
        (10, 50, 100)
    """
    return min(max(round(500_000 / images), 10), 100)


def teacher_settings(epochs: int, images: int, precision: str) -> TrainingSettings:
    """Return the settings of the training of a teacher.

    Args:
        epochs: Number of passes over the train part.
        images: Number of training images. For few images, batches are smaller than the recipe's 1,024, and
            the learning rate is proportional to the square root of the batch size.
        precision: Number format, as in the setting `training.precision`.

    Example:
        >>> teacher_settings(10, 50_000, "fp32").batch_size, teacher_settings(10, 1000, "fp32").batch_size
        (1024, 32)
    """
    exponent = min(max(round(math.log2(images / 40)), 4), 10)
    return TrainingSettings(
        epochs=epochs,
        batch_size=2**exponent,
        optimizer="sgd",
        learning_rate=RATE * (2**exponent / 1024) ** 0.5,
        weight_decay=DECAY,
        label_smoothing=SMOOTHING,
        gradient_clip=0.0,
        precision=precision,
        augment=(),
    )


class ReflectedBatches(Batches):
    """Batches of images that are shifted, continued by their reflection, and mirrored where chosen."""

    def augmented(
        self, images: torch.Tensor, mirrored: torch.Tensor | None, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the shifted and mirrored images; see `Batches.augmented`."""
        return shift_and_mirror(images, mirrored, generator)


def shift_and_mirror(
    images: torch.Tensor, mirrored: torch.Tensor | None, generator: torch.Generator
) -> torch.Tensor:
    """Return images shifted by random whole pixels, continued by reflection, and mirrored where chosen.

    Args:
        images: Batch of B images (B, C, R, R), float.
        mirrored: True for each image to mirror, (B,); `None` mirrors none.
        generator: A CPU generator, from which the shifts are drawn.

    Example:
        >>> image = torch.arange(3.0).expand(1, 1, 3, 3)
        >>> shift_and_mirror(image, torch.tensor([True]), torch.Generator())[0, 0, 0].shape
        torch.Size([3])
    """
    count, _, side, _ = images.shape
    most = min(max(1, round(side * SHIFT)), side - 1)
    drawn = torch.randint(-most, most + 1, (2, count, 1), generator=generator)
    rows, columns = ((side - 1 - (side - 1 - (torch.arange(side) + each).abs()).abs()) for each in drawn)
    if mirrored is not None:
        columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    rows, columns = rows.to(images.device), columns.to(images.device)
    samples = torch.arange(count, device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


class TeacherTraining(Training):
    """Training of a `WhitenedCNN` whose stem is whitened; a resumed training gives the same weights.

    Args:
        network: The network to train, on the device of the training. BatchNorm scales become fixed.
        parts: The data; only the train part is used.
        settings: The result of `teacher_settings`.
        seed: Seed of all random numbers.
        checkpoint: Path of the checkpoint, and the noun for the network in messages.
        mirrors: Mirror the images in each second epoch.
        save_every: Seconds between two checkpoints, 60 by default. The last step also writes a checkpoint.
    """

    def __init__(
        self,
        network: StagedBackbone,
        parts: DataParts,
        settings: TrainingSettings,
        seed: int,
        checkpoint: tuple[Path, str],
        *,
        mirrors: bool,
        save_every: float = SAVE_EVERY,
    ) -> None:
        self.network = network
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.requires_grad = False
        averaged = copy.deepcopy(network).requires_grad_(requires_grad=False)
        side = network.resolution
        super().__init__(network, averaged, parts, settings, side, seed, checkpoint, save_every)
        settings = replace(settings, augment=(ALTERNATING,) if mirrors else ())
        self.batches = ReflectedBatches(parts, settings, side, self.device, seed)
        self.optimizer = _optimizer(network)

    def make_step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Make one training step, and return the mean cross-entropy; see `Training.make_step`."""
        with compute_precision(self.precision, self.device):
            logits = self.network(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.settings.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        rate = self.settings.learning_rate * _share_of_rate(self.schedule.done(self.step))
        gradients = [each.grad for each in self.weights if each.grad is not None]
        value, norm = float(loss.detach()), float(nn.utils.get_total_norm(gradients))
        if math.isfinite(value) and math.isfinite(norm):
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["scale"]
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.finite.check(value, norm, rate, self.step)
        self._look_ahead()
        return value

    @torch.no_grad()
    def _look_ahead(self) -> None:
        """Move the averaged weights towards the weights, and set the weights to the average, now and then."""
        done, is_last = self.step + 1, self.step + 1 >= self.schedule.steps
        if done % LOOKAHEAD_EVERY and not is_last:
            return
        decay = 1.0 if is_last else LOOKAHEAD_DECAY * self.schedule.done(done) ** 3
        if done < LOOKAHEAD_EVERY:
            decay = 0.0
        own, averaged = self.network.state_dict(), self.learned.state_dict()
        for name, tensor in own.items():
            if tensor.is_floating_point():
                averaged[name].lerp_(tensor, 1 - decay)
                tensor.copy_(averaged[name])


def _share_of_rate(done: float) -> float:
    """Return the learning rate as a share of its peak, for the progress `done` of the training."""
    if done < PEAK:
        return FIRST + (1 - FIRST) * done / PEAK
    return 1 + (LAST - 1) * (done - PEAK) / (1 - PEAK)


def _optimizer(network: nn.Module) -> torch.optim.Optimizer:
    trained = [each for each in network.parameters() if each.requires_grad]
    biases = [each for each in trained if each.ndim <= 1]
    weights = [each for each in trained if each.ndim > 1]
    groups = [
        {"params": weights, "scale": 1, "weight_decay": DECAY},
        {"params": biases, "scale": BIAS_SCALE, "weight_decay": DECAY / BIAS_SCALE},
    ]
    return torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM, nesterov=True)
