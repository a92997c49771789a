"""Distillation: training targets that mix labels with the class probabilities of a teacher network."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from edanas.core.preprocess import prepare
from edanas.core.settings import TrainingSettings
from edanas.core.types import DataParts
from edanas.training.precision import FP32, compute_precision

_BATCH = 256

Teacher = Callable[[torch.Tensor], torch.Tensor]
"""Function: B normalised images (B, C, R, R) -> probabilities of K classes (B, K)."""


def distillation_targets(
    images: torch.Tensor, targets: torch.Tensor, teacher: Teacher, share: float, smoothing: float
) -> torch.Tensor:
    """Return the weighted mean of the labels and a teacher's class probabilities.

    Hinton et al., Distilling the Knowledge in a Neural Network, 2015. Cross-entropy is linear in the target.
    The loss on the mean is therefore the weighted mean of the losses on labels and on probabilities.

    Args:
        images: Batch of B normalised and augmented images (B, C, R, R), which the student is trained on.
        targets: Labels (B,), int64, or probabilities of K classes (B, K).
        teacher: Function that returns the teacher's class probabilities.
        share: Weight of the teacher's probabilities, from 0 to 1; the labels have the rest.
        smoothing: Label smoothing: the share of the labels' probability that is spread over all classes.

    Returns:
        Target probabilities (B, K).

    Example:
        >>> uniform = lambda images: torch.full((len(images), 2), 0.5)
        >>> images, labels = torch.zeros(1, 1, 8, 8), torch.tensor([1])
        >>> distillation_targets(images, labels, uniform, share=0.5, smoothing=0.0)
        tensor([[0.2500, 0.7500]])
    """
    with torch.no_grad():
        return mixed_targets(targets, teacher(images).float(), share, smoothing)


class StoredTeacher:
    """A teacher whose probabilities for the images of the train part are computed once, not in every step.

    The teacher gets the images without augmentation: an augmentation that leaves the label of an image leaves
    its probabilities. If images are mirrored, the probabilities are the mean over image and mirrored image.
    The teacher gets them at its own resolution, whatever the resolution of the student: a teacher is far less
    accurate on enlarged small images.

    It serves fine-tuning, whose teacher belongs to the run: probabilities are in memory and end with the
    process. `edanas.evaluation.kept_logits` serves the training of a supernet,
    whose teacher is a file: logits are in a file that later runs read.

    Args:
        teacher: Function that returns the teacher's class probabilities.
        parts: The data; only the train part is used.
        device: Device of the teacher.
        resolution: Side in pixels of the images that the teacher gets.
    """

    def __init__(self, teacher: Teacher, parts: DataParts, device: torch.device, resolution: int) -> None:
        self.teacher, self.parts, self.device, self.resolution = teacher, parts, device, resolution
        self._stored: dict[bool, torch.Tensor] = {}

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the teacher's probabilities (B, K) of K classes for B normalised images (B, C, R, R)."""
        return self.teacher(images)

    def probabilities(self, *, mirrored: bool) -> torch.Tensor:
        """Return the probabilities (S, K) for the S images of the train part.

        Args:
            mirrored: True for the mean over each image and its mirrored image.
        """
        if mirrored not in self._stored:
            with torch.no_grad(), compute_precision(FP32, self.device):
                batches = torch.split(self.parts.train.images, _BATCH)
                self._stored[mirrored] = torch.cat([self._mean(batch, mirrored) for batch in batches])
        return self._stored[mirrored]

    def _mean(self, images: torch.Tensor, mirrored: bool) -> torch.Tensor:  # noqa: FBT001
        prepared = prepare(images.to(self.device), self.resolution, self.parts.mean, self.parts.std)
        views = [prepared, prepared.flip(3)] if mirrored else [prepared]
        return torch.stack([self.teacher(view).float() for view in views]).mean(0)


def stored_probabilities(
    teacher: Teacher, parts: DataParts, settings: TrainingSettings, resolution: int, device: torch.device
) -> torch.Tensor:
    """Return a teacher's probabilities (S, K) for the S images of the train part.

    Args:
        teacher: Function that returns the teacher's class probabilities. A `StoredTeacher` computes the
            probabilities once for several trainings.
        parts: The data; only the train part is used.
        settings: Settings of training; only `augment` and `epochs` are used.
        resolution: Side in pixels of the images of the training. A `StoredTeacher` has its own.
        device: Device of the teacher.
    """
    stored = (
        teacher if isinstance(teacher, StoredTeacher) else StoredTeacher(teacher, parts, device, resolution)
    )
    return stored.probabilities(mirrored=settings.mirrors and settings.epochs > 1)


def mixed_targets(
    targets: torch.Tensor, probabilities: torch.Tensor, share: float, smoothing: float
) -> torch.Tensor:
    """Return the weighted mean (B, K) of labels and a teacher's probabilities; see `distillation_targets`.

    Args:
        targets: Labels (B,), int64, or probabilities of K classes (B, K).
        probabilities: The teacher's probabilities (B, K).
        share: Weight of the teacher's probabilities.
        smoothing: Label smoothing.
    """
    classes = probabilities.shape[1]
    labels = F.one_hot(targets, classes).float() if targets.ndim == 1 else targets
    labels = labels * (1 - smoothing) + smoothing / classes
    return labels * (1 - share) + probabilities * share
