"""Thresholds whose loss against the last exit stays within a limit, with a guaranteed probability.

Schemes are tested in a fixed order, from the dearest to the cheapest, and the last scheme before the first
failure is chosen. A wrong scheme is then chosen with a probability of at most delta, for any distribution of
the samples (fixed-sequence testing). The samples that are tested take no part in the order.

Sources: Jazbec, Timans and others, "Fast yet safe: Early-exiting with risk control", NeurIPS 2024;
Angelopoulos and others, "Learn then test", 2021, and "Conformal risk control", ICLR 2024; for the order,
"Performance control in early exiting" (PCEE), arXiv 2412.19325.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from edanas.core.types import ExitProfile, SelectionScheme
from edanas.numerics.mean_bounds import least_samples, mean_bound, mean_is_below
from edanas.thresholds.profiles import exit_columns

Form = Literal["upper-bound", "conformal"]
"""The guarantee: `upper-bound` with a probability, or `conformal` for the mean over calibrations."""

Order = Literal["bins", "shared"]
"""The order of schemes; see `threshold_order`."""

Losses = npt.NDArray[np.float64]

_BINS = 10
"""Number of bins of equal size in which the accuracy of an exit is estimated."""

_LEVELS = 100
"""Number of schemes of the order `shared`."""


@dataclass(frozen=True)
class Risk:
    """A limit of the mean loss against the last exit, and the guarantee with which it is kept.

    Args:
        limit: Largest mean loss, between 0 and 1.
        confidence: Probability of the guarantee, between 0 and 1; not used by the form `conformal`.
        form: Form of the guarantee.
        order: Order in which schemes are tested.
    """

    limit: float
    confidence: float
    form: Form = "upper-bound"
    order: Order = "bins"

    @property
    def least_samples(self) -> int:
        """Smallest number of samples on which a scheme without any loss passes."""
        if self.form == "conformal":
            tested = int(np.ceil(1 / self.limit - 1 - 1e-9))
        else:
            tested = least_samples(self.limit, 1 - self.confidence)
        return tested if self.order == "shared" else 2 * tested


@dataclass(frozen=True)
class SafeScheme:
    """The cheapest scheme that passed the tests.

    Args:
        scheme: The scheme; `None` if no scheme passed.
        bound: Upper bound of the mean loss of `scheme`, or of the first scheme of the order if `scheme` is
            `None`.
        loss: Mean loss of that scheme on the tested samples.
        samples: Number of tested samples.
    """

    scheme: SelectionScheme | None
    bound: float
    loss: float
    samples: int


def accuracy_losses(profile: ExitProfile) -> Losses:
    """Return the loss (S, E) of each exit: 1 where it is wrong and the last exit is right, -1 if reversed."""
    wrong = ~profile.correct
    return wrong.astype(np.float64) - wrong[:, -1:]


def brier_losses(outputs: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Losses:
    """Return the Brier score (S, E) of each exit minus that of the last exit.

    The Brier score of a sample is half the squared distance between class probabilities and label. It lies
    in [0, 1]; the original score (Brier, 1950) lacks the factor.

    Args:
        outputs: (S, E, K) outputs of the inference rule at E exits for K classes.
        labels: (S,) labels.

    Example:
        >>> brier_losses(np.float32([[[0, 0], [9, -9]]]), np.array([0])).round(2).tolist()
        [[0.25, 0.0]]
    """
    from scipy.special import softmax

    distance = softmax(outputs.astype(np.float64), axis=2)
    distance[np.arange(len(labels)), :, labels] -= 1.0
    scores = np.square(distance).sum(axis=2) / 2
    return np.asarray(scores - scores[:, -1:])


def safe_scheme(
    profile: ExitProfile,
    losses: Losses,
    exit_points: int,
    risk: Risk,
    adapt: Callable[[SelectionScheme, ExitProfile], SelectionScheme] | None = None,
) -> SafeScheme:
    """Return the cheapest scheme of an order whose mean loss is within the limit, with the guarantee.

    The samples are shuffled. With the order `shared` all samples are tested. Otherwise the order follows from
    one half of the samples, and the other half is tested.

    Args:
        profile: Exit profile of S samples, 20 or more, with one exit point or more.
        losses: (S, E) loss of each sample at each exit, at most 1, minus its loss at the last exit.
        exit_points: Number N of exit points.
        risk: The limit and the guarantee.
        adapt: Changes each scheme of the order `bins` before the test, by the samples of the first half.

    Example:
        >>> from edanas.testing.setters import toy_calibration
        >>> profile = toy_calibration((0.5, 0.5, None, None), 2000).profile
        >>> safe = safe_scheme(profile, accuracy_losses(profile), 4, Risk(0.05, 0.95))
        >>> safe.bound < 0.05, safe.scheme.placed
        (True, (0, 1))
    """
    rows = np.random.default_rng(0).permutation(len(profile))
    half = 0 if risk.order == "shared" else len(rows) // 2
    first, tested = _part(profile, rows[:half]), _part(profile, rows[half:])
    schemes = threshold_order(first, exit_points, risk.order)
    if adapt is not None and half:
        schemes = [adapt(scheme, first) for scheme in schemes]
    columns = np.stack([exit_columns(tested, scheme) for scheme in schemes], axis=1)
    each = np.take_along_axis(losses[rows[half:]], columns, axis=1)
    if risk.form == "conformal":
        # Conformal risk control needs losses that do not fall along the order.
        each = np.maximum.accumulate(np.maximum(each, 0.0), axis=1)
        bounds = (each.sum(axis=0) + 1.0) / (len(each) + 1)
        passes = bounds <= risk.limit
    else:
        passes = mean_is_below(each, risk.limit, 1 - risk.confidence)
    passed = len(schemes) if passes.all() else int(passes.argmin())
    at = max(passed - 1, 0)
    bound = float(bounds[at]) if risk.form == "conformal" else mean_bound(each[:, at], 1 - risk.confidence)
    return SafeScheme(schemes[at] if passed else None, bound, float(each[:, at].mean()), len(tested))


def threshold_order(profile: ExitProfile, exit_points: int, order: Order) -> list[SelectionScheme]:
    """Return schemes with falling thresholds at all exits of a profile.

    With `bins`, each exit fires where its accuracy reaches a level, which is the same at all exits and falls
    from scheme to scheme. The accuracy is estimated in ten bins of equal size (PCEE). With `shared`, all
    exits have the same threshold, which falls from 0.99 to 0; it needs no samples.

    Args:
        profile: Exit profile of the samples.
        exit_points: Number N of exit points.
        order: Name of the order.

    Example:
        >>> from edanas.testing.setters import toy_calibration
        >>> profile = toy_calibration((0.5, 0.5, None, None), 40).profile
        >>> threshold_order(profile, 4, "shared")[-1].thresholds
        (0.0, 0.0, None, None)
    """
    points = profile.points
    if order == "shared":
        levels = np.arange(_LEVELS)[::-1] / _LEVELS
        return [_scheme([each] * len(points), points, exit_points) for each in levels]
    bins = [_bins(profile.confidence[:, at], profile.correct[:, at]) for at in range(len(points))]
    levels = np.unique(np.concatenate([accuracy for _, accuracy in bins]))[::-1]
    thresholds = [np.append(lower, 1.0)[np.searchsorted(accuracy, levels)] for lower, accuracy in bins]
    return [_scheme(row, points, exit_points) for row in np.stack(thresholds, axis=1).tolist()]


def _bins(
    confidence: npt.NDArray[np.float32], correct: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], Losses]:
    """Return the least confidence of each bin, and the smallest accuracy of the bin and all bins above it."""
    order = np.argsort(confidence, kind="stable")
    bins = np.array_split(order, min(_BINS, len(order)))
    accuracy = np.array([correct[each].mean() for each in bins])
    return confidence[[each[0] for each in bins]], np.minimum.accumulate(accuracy[::-1])[::-1]


def _scheme(thresholds: Sequence[float], points: Sequence[int], exit_points: int) -> SelectionScheme:
    """Return a scheme with thresholds, rounded to float32, at the exit points `points`."""
    chosen = dict(zip(points, np.array(thresholds, dtype=np.float32).tolist(), strict=True))
    return SelectionScheme(tuple(chosen.get(point) for point in range(exit_points)))


def _part(profile: ExitProfile, rows: npt.NDArray[np.int64]) -> ExitProfile:
    return replace(profile, confidence=profile.confidence[rows], correct=profile.correct[rows])
