"""The threshold setter of big/little networks: one threshold for all exits, fixed or adjusted on a stream."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Calibration, ThresholdChoice, ThresholdSetter
from edanas.core.costs import Costs
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.agreement import AGREE, STEP, AgreementHolder
from edanas.thresholds.schemes import exit_costs, restrict_profile

_ROUNDING = 1e-9
"""Largest rounding error of an accuracy."""


class BigLittle(ThresholdSetter):
    """One threshold for all exits: the cheapest that loses little accuracy against the last exit.

    The last exit is the big network, and a sample that exits earlier is answered by a little network. The
    static threshold is chosen on the calibration part among all thresholds. With a `period` it is dynamic:
    `edanas.stream` and `edanas predict` also run the big network on every `period`-th image. They raise the
    threshold where the two answers differ, and lower it slightly otherwise; see
    `edanas.thresholds.agreement`. The target rate is the rate of differences on the calibration part.

    Source: Park et al., "Big/little deep neural network for ultra low power inference", CODES+ISSS 2015,
    which checks the score margin of the little network: use the criterion `score-margin`. The rule by which a
    dynamic threshold moves is ours.

    Args:
        accuracy_drop: Accuracy that may be lost against the last exit on the calibration samples, as a
            fraction.
        period: Number of images from one image on which both networks run to the next; 0, the default, keeps
            the threshold.
        step: Size of a move of the dynamic threshold.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(self, accuracy_drop: float = 0.0, period: int = 0, step: float = STEP) -> None:
        if not 0.0 <= accuracy_drop <= 1.0:
            raise ConfigError(f"final_thresholds.accuracy_drop: found {accuracy_drop:g}; allowed: 0 to 1")
        if period < 0:
            raise ConfigError(f"final_thresholds.period: found {period}; allowed: 0 (static) or more")
        if not 0 < step < float("inf"):
            raise ConfigError(f"final_thresholds.step: found {step:g}; allowed: a number > 0")
        self.accuracy_drop, self.period, self.step = accuracy_drop, period, step

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        placed, count = calibration.scheme.placed, len(calibration.scheme.thresholds)
        profile = restrict_profile(calibration.profile, placed)
        threshold = common_threshold(profile, calibration.costs, self.accuracy_drop)
        scheme = SelectionScheme(tuple(threshold if at in placed else None for at in range(count)))
        if not self.period:
            return ThresholdChoice(scheme)
        target = min(_early_differences(profile, calibration, threshold), 0.999)
        holder = AgreementHolder(scheme, threshold, target, self.period, self.step)
        return ThresholdChoice(scheme, notes={AGREE: holder.to_dict()})


def common_threshold(profile: ExitProfile, costs: Costs, drop: float) -> float:
    """Return the threshold of all exits with the least cost, exact in float32.

    The accuracy on the samples is at least that of the last exit, less `drop`. If no threshold has it, since
    samples with a confidence of 1 always exit, the result is 1.

    Args:
        profile: Exit profile with the placed exits alone.
        costs: Costs of the network.
        drop: Accuracy that may be lost, as a fraction.
    """
    costs_by_exit = exit_costs(costs, profile.points)
    confidence, correct = profile.confidence[:, :-1], profile.correct
    required = correct[:, -1].mean() - drop - _ROUNDING
    best, least = 1.0, np.inf
    for threshold in np.unique(np.append(confidence, np.float32(1.0))):
        exits = _first_exits(confidence, threshold)
        cost = costs_by_exit[exits].mean()
        if cost < least and correct[np.arange(len(exits)), exits].mean() >= required:
            best, least = float(threshold), float(cost)
    return best


def _first_exits(confidence: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.int64]:
    """Return the column (S,) of the exit where each sample exits; P for the last exit."""
    fires = confidence >= np.float32(threshold)
    exits: npt.NDArray[np.int64] = np.where(fires.any(axis=1), fires.argmax(axis=1), fires.shape[1])
    return exits


def _early_differences(profile: ExitProfile, calibration: Calibration, threshold: float) -> float:
    """Return the share of the samples whose early answer differs from the last exit's."""
    answers = calibration.answers().logits.argmax(axis=2)
    heads = calibration.profile.points
    columns = [*(heads.index(point) for point in profile.points), answers.shape[1] - 1]
    exits = _first_exits(profile.confidence[:, :-1], threshold)
    chosen = answers[:, columns][np.arange(len(exits)), exits]
    return float((chosen != answers[:, -1]).mean())


@hookimpl
def edanas_threshold_setters() -> dict[str, Callable[..., ThresholdSetter]]:
    """Register the setter of big/little networks by its name."""
    return {"big-little": BigLittle}
