"""Distillation from a teacher, whose probabilities are mixed into the labels."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

Teacher = Callable[[torch.Tensor], torch.Tensor]
"""Prepared images (B, C, R, R) -> probabilities (B, K)."""


def distillation_targets(
    images: torch.Tensor, targets: torch.Tensor, teacher: Teacher, share: float, smoothing: float
) -> torch.Tensor:
    """Mix labels and a teacher's probabilities into one target (Hinton et al., 2015).

    Cross-entropy is linear in the target, so the loss of the mixture is the mixture of both losses.

    Args:
        images: (B, C, R, R), prepared and augmented, the same as for the student.
        targets: Labels (B,) int64, or probabilities (B, K).
        teacher: The teacher.
        share: The teacher's share, from 0 to 1.
        smoothing: Share of the labels spread over all classes.

    Returns:
        Probabilities (B, K).

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
