"""What a network learns from another one: its probabilities, mixed into the labels."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

Teacher = Callable[[torch.Tensor], torch.Tensor]
"""Prepared images (B, C, R, R) -> probabilities (B, K)."""


def distillation_targets(
    images: torch.Tensor, targets: torch.Tensor, teacher: Teacher, share: float, smoothing: float
) -> torch.Tensor:
    """Labels and a teacher's answers as one target (Hinton et al., Distilling the Knowledge, 2015).

    Cross-entropy is linear in its target, so that one loss of the mixture is the mixture of both losses.

    Args:
        images: (B, C, R, R), prepared and augmented: the teacher sees what the pupil sees.
        targets: Labels (B,) int64, or probabilities (B, K).
        teacher: Whom to ask.
        share: The teacher's share, from 0 to 1.
        smoothing: Share of the labels spread over all classes.

    Returns:
        Probabilities (B, K).
    """
    with torch.no_grad():
        answers = teacher(images).float()
    classes = answers.shape[1]
    labels = F.one_hot(targets, classes).float() if targets.ndim == 1 else targets
    labels = labels * (1 - smoothing) + smoothing / classes
    return labels * (1 - share) + answers * share
