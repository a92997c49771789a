"""Recall of each class, balanced accuracy and confusion matrix of a finished network."""

from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]


def class_figures(labels: Labels, predictions: Labels, classes: int) -> dict[str, Any]:
    """Return the fields of a `ResultRow` that tell classes apart.

    Args:
        labels: Label (S,) of each of the S samples.
        predictions: Predicted class (S,) of each sample.
        classes: Number of classes.

    Example:
        >>> figures = class_figures(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), classes=3)
        >>> figures["confusion"]
        ((0, 0, 2), (0, 1, 1), (1, 1, 1))
        >>> figures["class_recall"][1:]
        (1.0, None)
    """
    counts = np.bincount(labels, minlength=classes)
    right = np.bincount(labels, weights=labels == predictions, minlength=classes)
    recall = tuple(float(hits / n) if n else None for hits, n in zip(right, counts, strict=True))
    pairs, numbers = np.unique(np.stack([labels, predictions], axis=1), axis=0, return_counts=True)
    return {
        "balanced_accuracy": float(np.mean([each for each in recall if each is not None])),
        "class_recall": recall,
        "confusion": tuple((*map(int, pair), int(n)) for pair, n in zip(pairs, numbers, strict=True)),
    }
