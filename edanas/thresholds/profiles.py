"""Accuracy and utilization of one selection scheme, from an exit profile; no network runs."""

import numpy as np
import numpy.typing as npt

from edanas.core.types import ExitProfile, Outcome, SelectionScheme


def exit_columns(profile: ExitProfile, scheme: SelectionScheme) -> npt.NDArray[np.int64]:
    """Return the column (S,) of the profile at which each sample exits.

    Confidences are compared with thresholds in float32, as the network compares them.

    Args:
        profile: Exit profile of S samples.
        scheme: Selection scheme that places only exit points of the profile.

    Raises:
        ValueError: The scheme places an exit point that the profile does not have, or has fewer exit points
            than the profile.
    """
    columns = _columns(profile, scheme)
    last = len(profile.points)
    if not len(columns):
        return np.full(len(profile), last, dtype=np.int64)
    thresholds = np.array([scheme.thresholds[i] for i in scheme.placed], dtype=np.float32)
    fires = profile.confidence[:, columns] >= thresholds
    return np.where(fires.any(axis=1), columns[fires.argmax(axis=1)], last)


def outcome(
    profile: ExitProfile, scheme: SelectionScheme, labels: npt.NDArray[np.int64] | None = None
) -> Outcome:
    """Return accuracy and utilization of a network with the thresholds of `scheme`.

    Args:
        profile: Exit profile of one sample or more.
        scheme: Selection scheme that places only exit points of the profile.
        labels: Label (S,) of each of the S samples, for the balanced accuracy; `None` = unknown.

    Raises:
        ValueError: The profile has no samples, or `scheme` does not fit the profile; see `exit_columns`.

    Example:
        >>> correct = np.array([[True, True], [False, True]])
        >>> profile = ExitProfile((0,), np.array([[0.9, 1], [0.2, 1]], dtype=np.float32), correct)
        >>> outcome(profile, SelectionScheme((0.5,))).utilization
        (0.5, 0.5)
    """
    if not len(profile):
        raise ValueError("an exit profile without samples has no accuracy")
    column = exit_columns(profile, scheme)
    correct = profile.correct[np.arange(len(profile)), column]
    # The last exit has the number after all exit points.
    exits = np.array([*profile.points, len(scheme.thresholds)])[column]
    size = len(scheme.thresholds) + 1
    counts = np.bincount(exits, minlength=size)
    correct_counts = np.bincount(exits, weights=correct, minlength=size)
    return Outcome(
        accuracy=float(correct.mean()),
        utilization=tuple(float(n) / len(profile) for n in counts),
        exit_accuracy=tuple(float(r / n) if n else None for r, n in zip(correct_counts, counts, strict=True)),
        backbone_accuracy=float(profile.correct[:, -1].mean()),
        balanced_accuracy=None if labels is None else balanced_accuracy(correct, labels),
    )


def balanced_accuracy(correct: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64]) -> float:
    """Return the mean over classes of the accuracy on the samples of a class.

    Classes without samples do not count.

    Args:
        correct: Correctness (S,) of each of the S samples.
        labels: Label (S,) of each sample.

    Example:
        >>> balanced_accuracy(np.array([True, True, True, False]), np.array([0, 0, 0, 1]))
        0.5
    """
    counts = np.bincount(labels)
    right = np.bincount(labels, weights=correct)
    return float((right[counts > 0] / counts[counts > 0]).mean())


def _columns(profile: ExitProfile, scheme: SelectionScheme) -> npt.NDArray[np.int64]:
    """Return the columns of the profile for the exits that `scheme` places; errors as `exit_columns`."""
    for point in scheme.placed:
        if point not in profile.points:
            raise ValueError(
                f"the scheme places an exit at exit point {point}; the profile has the exit points "
                f"{profile.points}"
            )
    if profile.points and profile.points[-1] >= len(scheme.thresholds):
        raise ValueError(
            f"the scheme has {len(scheme.thresholds)} thresholds, one for each exit point; "
            f"the profile has the exit points {profile.points}"
        )
    return np.array([profile.points.index(point) for point in scheme.placed], dtype=np.int64)
