"""What a scheme will do on new samples, where it was chosen on the very samples it is measured on.

A scheme that is best on some samples owes part of that to chance. How much is found by cross-validation of
the choice itself: it is made anew on nine tenths of the samples and judged on the last tenth, for all tenths
and several divisions; what it loses there, the optimism, is taken from what the chosen scheme has on all
samples (Efron, "Estimating the error rate of a prediction rule: improvement on cross-validation", JASA 78,
1983; Efron and Gong, The American Statistician 37, 1983).

Intervals around that are Wilson's for shares and Student's for costs. Where all samples leave at one exit,
which does not mean that all others will, a cost's is Wilson's between the least and the largest. As they
stand, they are somewhat too narrow after cross-validation (Bates, Hastie and Tibshirani, "Cross-validation:
what does it estimate and how well does it do it?", JASA 119, 2024), since the choice differs from division to
division. They are taken 15% wider; `benchmarks/tuning.py` measures in how many of 100 cases they then hold
what is true.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from edanas.core.costs import Costs, executed_per_exit
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.numerics.intervals import Z, wilson
from edanas.thresholds.profiles import exit_columns

MIN_SAMPLES = 10
"""Samples: with fewer, there is nothing to divide."""

_FOLDS, _REPEATS = 10, 5
_MANY = 2000
"""Samples from which on two halves are enough, and one division: there is next to no optimism left."""

_WIDER = 1.15

Floats = npt.NDArray[np.float64]
Choice = Callable[[ExitProfile], SelectionScheme]


@dataclass(frozen=True)
class Expected:
    """A figure on the given samples, and what to expect of it on new ones of the same kind.

    Args:
        here: On the given samples; exact.
        new: The best guess for new samples.
        low: The lower end of its 95% confidence interval.
        high: The upper end.
    """

    here: float
    new: float
    low: float
    high: float


@dataclass(frozen=True)
class Expectation:
    """Of one scheme.

    Args:
        accuracy: Top-1, a fraction.
        costs: For a sample on average, for each of the costs asked for, in their units.
        shares: Who leaves at each of the N exit points and at the last exit, fractions.
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
    """What `scheme` does on these samples, and will do on new ones.

    Args:
        profile: S samples.
        scheme: What `choose` made of them, or anything that they had no part in.
        costs: In any units.
        choose: How the scheme was chosen, to be repeated on parts of the samples; `None` where it was not
            chosen on them.
        seed: The divisions follow from it.

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
    """The profile of some of its samples, by a mask or their numbers."""
    return ExitProfile(profile.points, profile.confidence[samples], profile.correct[samples])


def _optimism(profile: ExitProfile, costs: Sequence[Costs], choose: Choice, seed: int) -> Floats:
    """How much better accuracy and costs are on samples that were chosen on than on others, (1 + costs,)."""
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
    """The exit point where each sample leaves, N for the last exit."""
    return np.array([*profile.points, len(scheme.thresholds)])[exit_columns(profile, scheme)]


def _sample_figures(profile: ExitProfile, scheme: SelectionScheme, costs: Sequence[Costs]) -> Floats:
    """Right or wrong, and each cost, by sample: (S, 1 + costs)."""
    exits = _exits(profile, scheme)
    right = profile.correct[np.arange(len(profile)), exit_columns(profile, scheme)]
    return np.column_stack([right, *(executed_per_exit(each, scheme)[exits] for each in costs)])


def _bounds(costs: Costs, scheme: SelectionScheme) -> tuple[float, float]:
    each = executed_per_exit(costs, scheme)
    return float(np.nanmin(each)), float(np.nanmax(each))


def _share_interval(here: float, guess: float, samples: int, wider: float) -> Expected:
    """Wilson's interval, `wider` times as wide as at so many samples."""
    return Expected(float(here), guess, *wilson(guess, samples, wider * Z))


def _mean_interval(
    here: float, guess: float, values: Floats, bounds: tuple[float, float], wider: float
) -> Expected:
    """Student's interval of a mean that cannot leave `bounds`; Wilson's where no value differs."""
    count = len(values)
    low, high = bounds
    if values.min() == values.max() and low < high:
        guess = float(np.clip(guess, low, high))
        ends = wilson((guess - low) / (high - low), count, wider * Z)
        return Expected(float(here), guess, *(low + (high - low) * end for end in ends))
    reach = wider * student.ppf(0.975, count - 1) * values.std(ddof=1) / np.sqrt(count)
    guess, low, high = (float(each) for each in np.clip([guess, guess - reach, guess + reach], *bounds))
    return Expected(float(here), guess, low, high)
