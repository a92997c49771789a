"""Distillation: training targets that mix labels with the class probabilities of a teacher network."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

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
        probabilities = teacher(images).float()
    classes = probabilities.shape[1]
    labels = F.one_hot(targets, classes).float() if targets.ndim == 1 else targets
    labels = labels * (1 - smoothing) + smoothing / classes
    return labels * (1 - share) + probabilities * share
