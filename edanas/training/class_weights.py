"""Weights of classes in the loss of a training."""

import torch

from edanas.core.settings import TrainingSettings
from edanas.core.types import ImageSet


def class_weights(train: ImageSet, settings: TrainingSettings, device: torch.device) -> torch.Tensor | None:
    """Return the weight (K,) of each of the K classes in the loss; `None` if all classes weigh the same.

    With the setting `balanced`, a class weighs in inverse proportion to its number of training samples, and
    the mean weight of a sample is 1. A class without samples has the weight 0.

    Args:
        train: The train part.
        settings: The settings of the training.
        device: The device of the weights.

    Example:
        >>> labels = torch.tensor([0, 0, 0, 1])
        >>> train = ImageSet(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), labels, ("a", "b"))
        >>> class_weights(train, TrainingSettings(class_weights="balanced"), torch.device("cpu"))
        tensor([0.6667, 2.0000])
    """
    if settings.class_weights == "none":
        return None
    counts = torch.bincount(train.labels, minlength=len(train.classes)).float()
    share = counts.sum() / (counts > 0).sum()
    return torch.where(counts > 0, share / counts.clamp_min(1.0), 0.0).to(device)
