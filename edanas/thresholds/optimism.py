"""Expected accuracy and cost of a scheme on new samples, corrected for optimism.

A scheme that is best on some samples owes part of that to chance. Cross-validation of the choice itself
estimates how much. The choice is repeated on nine tenths of the samples and judged on the last tenth, for all
tenths and several divisions. The loss there, the optimism, is subtracted from the figures of the chosen
scheme on all samples (Efron, "Estimating the error rate of a prediction rule: improvement on
cross-validation", JASA 78, 1983; Efron and Gong, The American Statistician 37, 1983).

Intervals are Wilson's for shares and Student's for costs. If all samples exit at one exit, Student's interval
would be empty; that of a cost is then Wilson's between the least and the largest cost. After cross-validation
these intervals are somewhat too narrow, because the choice differs from division to division (Bates, Hastie
and Tibshirani, "Cross-validation: what does it estimate and how well does it do it?", JASA 119, 2024). They
are made 15% wider; `benchmarks/tuning.py` measures in how many of 100 cases they then contain the true value.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.costs import Costs, executed_per_exit
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.numerics.intervals import Z, wilson
from edanas.thresholds.profiles import exit_columns

MIN_SAMPLES = 10
"""Least number of samples: fewer cannot be divided into folds."""

_FOLDS, _REPEATS = 10, 5
_MANY = 2000
"""Number of samples from which two halves and one division suffice, because hardly any optimism is left."""

_WIDER = 1.15

Floats = npt.NDArray[np.float64]
Choice = Callable[[ExitProfile], SelectionScheme]


@dataclass(frozen=True)
class Expected:
    """A figure on the given samples, and its estimate for new samples of the same kind.

    Args:
        here: The figure on the given samples; exact.
        new: The estimate for new samples.
        low: The lower end of its 95% confidence interval.
        high: The upper end.

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
    """The expected figures of one scheme.

    Args:
        accuracy: Top-1, a fraction.
        costs: Per sample on average, for each of the given costs, in their units.
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
    """Return the figures of `scheme` on these samples, and their estimates for new ones.

    Args:
        profile: S samples.
        scheme: The result of `choose` on them, or any scheme that was chosen without them.
        costs: Costs in any units.
        choose: The function that chose the scheme, to be repeated on parts of the samples; `None` if the
            scheme was not chosen on them.
        seed: Seed of the divisions.

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
    """Return the profile of some of its samples, selected by a mask or their numbers."""
    return ExitProfile(profile.points, profile.confidence[samples], profile.correct[samples])


def _optimism(profile: ExitProfile, costs: Sequence[Costs], choose: Choice, seed: int) -> Floats:
    """Return how much better accuracy and costs are on samples of the choice than on others, (1 + costs,)."""
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
    """Return the exit point of each sample under `scheme`, N for the last exit."""
    return np.array([*profile.points, len(scheme.thresholds)])[exit_columns(profile, scheme)]


def _sample_figures(profile: ExitProfile, scheme: SelectionScheme, costs: Sequence[Costs]) -> Floats:
    """Return correctness and each cost by sample: (S, 1 + costs)."""
    exits = _exits(profile, scheme)
    right = profile.correct[np.arange(len(profile)), exit_columns(profile, scheme)]
    return np.column_stack([right, *(executed_per_exit(each, scheme)[exits] for each in costs)])


def _bounds(costs: Costs, scheme: SelectionScheme) -> tuple[float, float]:
    """Return the least and the largest cost of a sample under `scheme`."""
    each = executed_per_exit(costs, scheme)
    return float(np.nanmin(each)), float(np.nanmax(each))


def _share_interval(here: float, guess: float, samples: int, wider: float) -> Expected:
    """Return Wilson's interval of a share, `wider` times as wide as for that many samples."""
    return Expected(float(here), guess, *wilson(guess, samples, wider * Z))


def _mean_interval(
    here: float, guess: float, values: Floats, bounds: tuple[float, float], wider: float
) -> Expected:
    """Return Student's interval of a mean, clipped to `bounds`; Wilson's if all values are equal."""
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
