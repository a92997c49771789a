"""Expected accuracy and cost of a scheme on new samples, corrected for optimism.

A scheme that was chosen as the best on some samples is usually less good on new samples. The difference is
the optimism of the choice. Cross-validation estimates it: the choice is repeated on nine tenths of the
samples, and accuracy and cost of the chosen scheme are compared with those on the last tenth. The mean
difference, over all tenths and several divisions of the samples, is subtracted from accuracy and cost on all
samples.

Accuracy and utilization have Wilson's confidence intervals, costs have Student's. If all samples exit
at one exit, Student's interval has no width. The interval of a cost is then Wilson's, scaled to the range
from the least to the largest cost. After cross-validation these intervals are somewhat too narrow, because
the choice differs from division to division. They are made 15% wider; `benchmarks/tuning.py` counts how often
they then contain the true value.

Sources: Efron, "Estimating the error rate of a prediction rule: improvement on cross-validation", JASA 78,
1983; Efron and Gong, "A leisurely look at the bootstrap, the jackknife, and cross-validation", The American
Statistician 37, 1983; Bates, Hastie and Tibshirani, "Cross-validation: what does it estimate and how well
does it do it?", JASA 119, 2024.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edanas.core.costs import Costs, executed_per_exit
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.numerics.intervals import Z, wilson
from edanas.thresholds.profiles import exit_columns

MIN_SAMPLES = 10
"""Least number of samples, one for each fold of the cross-validation."""

_FOLDS, _REPEATS = 10, 5
_MANY = 2000
"""Number of samples from which one division into two halves suffices, because optimism is then small."""

_WIDER = 1.15
"""Factor of the width of intervals after cross-validation."""

Floats = npt.NDArray[np.float64]
Choice = Callable[[ExitProfile], SelectionScheme]


@dataclass(frozen=True)
class Expected:
    """A metric on given samples, and its estimate for new samples of the same kind.

    Args:
        here: Exact value of the metric on the given samples.
        new: Estimated value on new samples.
        low: Lower end of the 95% confidence interval of `new`.
        high: Upper end of the 95% confidence interval of `new`.

    Example:
        >>> accuracy = Expected(here=0.92, new=0.9, low=0.86, high=0.93)
        >>> accuracy.here - accuracy.new  # optimism
        0.020000000000000018
    """

    here: float
    new: float
    low: float
    high: float


@dataclass(frozen=True)
class Expectation:
    """Accuracy, costs and utilization of one scheme, on given samples and on new samples.

    Args:
        accuracy: Top-1 accuracy, a fraction.
        costs: Mean cost per sample for each item of the argument `costs` of `estimate_expectation`, in the
            units of that item.
        shares: Utilization: the fraction of samples that exit at each of the N exit points and at the last
            exit.

    Example:
        >>> import numpy as np
        >>> confidence = np.linspace(0, 1, 20, dtype=np.float32)[:, None].repeat(2, axis=1)
        >>> profile = ExitProfile((0,), confidence, np.ones((20, 2), dtype=bool))
        >>> expectation = estimate_expectation(profile, SelectionScheme((0.5,)), [Costs((10, 10), (1,), 1)])
        >>> [share.here for share in expectation.shares]
        [0.5, 0.5]
    """

    accuracy: Expected
    costs: tuple[Expected, ...]
    shares: tuple[Expected, ...]


def estimate_expectation(
    profile: ExitProfile,
    scheme: SelectionScheme,
    costs: Sequence[Costs],
    choose: Choice | None = None,
    seed: int = 0,
) -> Expectation:
    """Return accuracy, costs and utilization of `scheme` on given samples, with estimates for new samples.

    Args:
        profile: Exit profile of the given samples; `MIN_SAMPLES` samples or more.
        scheme: The scheme that `choose` returns for `profile`, or a scheme that was chosen on other samples.
        costs: One or more costs of the network, in multiply-adds or nanoseconds, for example.
        choose: Function from an exit profile to a scheme, which chose `scheme`. It is called again on parts
            of the samples. `None`, the default, means that `scheme` was chosen on other samples.
        seed: Seed of the random divisions of the samples.

    Raises:
        ValueError: There are fewer than `MIN_SAMPLES` samples, or the scheme does not fit the profile.
    """
    if len(profile) < MIN_SAMPLES:
        raise ValueError(f"{len(profile)} samples; at least {MIN_SAMPLES} are needed")
    exits = _exits(profile, scheme)
    figures = _sample_figures(profile, scheme, costs)
    optimism = np.zeros(len(costs) + 1) if choose is None else _optimism(profile, costs, choose, seed)
    wider = 1.0 if choose is None else _WIDER
    here = figures.mean(axis=0)
    guess = here - optimism
    shares = np.bincount(exits, minlength=len(scheme.thresholds) + 1) / len(profile)
    return Expectation(
        accuracy=_share_interval(here[0], float(np.clip(guess[0], 0.0, 1.0)), len(profile), wider),
        costs=tuple(
            _mean_interval(h, g, figures[:, number], _bounds(each, scheme), wider)
            for number, (h, g, each) in enumerate(zip(here[1:], guess[1:], costs, strict=True), start=1)
        ),
        shares=tuple(
            _share_interval(share, share, len(profile), wider)
            if at == len(shares) - 1 or at in scheme.placed
            else Expected(0.0, 0.0, 0.0, 0.0)
            for at, share in enumerate(shares.tolist())
        ),
    )


def subset_profile(profile: ExitProfile, samples: npt.NDArray[np.generic]) -> ExitProfile:
    """Return the exit profile of some samples.

    Args:
        profile: Exit profile of S samples.
        samples: (S,) bool, true for the samples to keep, or an array with the indices of the samples to keep.
    """
    return replace(profile, confidence=profile.confidence[samples], correct=profile.correct[samples])


def _optimism(profile: ExitProfile, costs: Sequence[Costs], choose: Choice, seed: int) -> Floats:
    """Return how much larger accuracy and costs are on the samples that chose a scheme than on other samples.

    The scheme is chosen on a part of the samples, and scored on that part and on the rest (cross-validation).

    Returns:
        (1 + len(costs),) the difference in accuracy, then the difference in each cost.
    """
    count = len(profile)
    folds, repeats = (2, 1) if count >= _MANY else (_FOLDS, _REPEATS)
    rng = np.random.default_rng(seed)
    total = np.zeros(len(costs) + 1)
    for _ in range(repeats):
        fold = rng.permutation(np.arange(count) % folds)
        for each in range(folds):
            out = fold == each
            figures = _sample_figures(profile, choose(subset_profile(profile, ~out)), costs)
            total += out.mean() * (figures[~out].mean(axis=0) - figures[out].mean(axis=0))
    return total / repeats


def _exits(profile: ExitProfile, scheme: SelectionScheme) -> npt.NDArray[np.int64]:
    """Return the exit point (S,) at which each sample exits under `scheme`; N for the last exit."""
    return np.array([*profile.points, len(scheme.thresholds)])[exit_columns(profile, scheme)]


def _sample_figures(profile: ExitProfile, scheme: SelectionScheme, costs: Sequence[Costs]) -> Floats:
    """Return, for each sample, 1 if it is classified correctly, then its costs: (S, 1 + len(costs))."""
    exits = _exits(profile, scheme)
    right = profile.correct[np.arange(len(profile)), exit_columns(profile, scheme)]
    return np.column_stack([right, *(executed_per_exit(each, scheme)[exits] for each in costs)])


def _bounds(costs: Costs, scheme: SelectionScheme) -> tuple[float, float]:
    """Return the smallest and the largest cost that a sample can have under `scheme`.

    No sample passes an exit with threshold 0.
    """
    thresholds = scheme.thresholds
    reached = thresholds.index(0.0) if 0.0 in thresholds else len(thresholds)
    each = executed_per_exit(costs, scheme)[: reached + 1]
    return float(np.nanmin(each)), float(np.nanmax(each))


def _share_interval(here: float, guess: float, samples: int, wider: float) -> Expected:
    """Return a fraction of `samples` samples with Wilson's confidence interval.

    Args:
        here: The fraction on the given samples.
        guess: Its estimate for new samples.
        samples: Number of samples.
        wider: Factor of the standard normal quantile, above 1 for a wider interval.
    """
    return Expected(float(here), guess, *wilson(guess, samples, wider * Z))


def _mean_interval(
    here: float, guess: float, values: Floats, bounds: tuple[float, float], wider: float
) -> Expected:
    """Return a mean cost with Student's confidence interval or, if all costs are equal, with Wilson's.

    Args:
        here: The mean on the given samples.
        guess: Its estimate for new samples.
        values: (S,) cost of each sample.
        bounds: The least and the largest possible cost, to which estimate and interval are clipped.
        wider: Factor of the width of the interval.
    """
    from scipy.stats import t as student

    count = len(values)
    low, high = bounds
    if values.min() == values.max() and low < high:
        guess = float(np.clip(guess, low, high))
        ends = wilson((guess - low) / (high - low), count, wider * Z)
        return Expected(float(here), guess, *(low + (high - low) * end for end in ends))
    reach = wider * student.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count)
    guess, low, high = (float(each) for each in np.clip([guess, guess - reach, guess + reach], *bounds))
    return Expected(float(here), guess, low, high)
