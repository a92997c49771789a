"""Built-in threshold setters."""

import math
from collections.abc import Callable

from edanas.core.contracts import Calibration, ThresholdChoice, ThresholdSetter
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import SelectionScheme
from edanas.thresholds.budgets import (
    Budget,
    choose_scheme,
    parse_budget,
    unmet_budget_message,
    unreachable_budget_message,
)
from edanas.thresholds.continuous import set_thresholds
from edanas.thresholds.profiles import outcome
from edanas.thresholds.sampled_front import sampled_threshold_front
from edanas.thresholds.schemes import exit_costs, restrict_profile
from edanas.thresholds.stream_budget import HOLD, HORIZON, MIN_HORIZON, BudgetHolder
from edanas.thresholds.temperature import fit_temperature
from edanas.thresholds.threshold_paths import calibrated_path

_SETTING = "final_thresholds"


class Grid(ThresholdSetter):
    """The thresholds that the search found, unchanged (Section V of the paper).

    In the paper a threshold is 0.1 or 0.2, or there is no exit.

    Example:
        >>> Grid.resets
        False
    """

    resets = False

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        return ThresholdChoice(calibration.scheme)


class Static(ThresholdSetter):
    """The thresholds with the least executed MACs that keep the accuracy of the last exit.

    Thresholds are any numbers in [0, 1]. A safety margin guards against chance in the calibration samples;
    see `edanas.thresholds.continuous.set_thresholds`.

    Args:
        accuracy_drop: Accuracy that may be lost against the last exit on the calibration samples, as a
            fraction. If the candidate lost more accuracy in the search, that loss is allowed instead.
        caution: Safety margin: the accuracy must also hold with thresholds that this number of additional
            samples reaches at each exit.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(self, accuracy_drop: float = 0.0, caution: int = 12) -> None:
        if not 0.0 <= accuracy_drop <= 1.0:
            raise ConfigError(f"{_SETTING}.accuracy_drop: found {accuracy_drop:g}; allowed: 0 to 1")
        if caution < 0:
            raise ConfigError(f"{_SETTING}.caution: found {caution}; allowed: 0 samples or more")
        self.accuracy_drop = accuracy_drop
        self.caution = caution

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        scheme = set_thresholds(
            calibration.profile,
            calibration.costs,
            calibration.scheme.placed,
            len(calibration.scheme.thresholds),
            max(self.accuracy_drop, calibration.given_up),
            self.caution,
        )
        return ThresholdChoice(scheme)


class Calibrated(Static):
    """Temperature scaling of every exit, then the thresholds of `Static`.

    The logits of an exit are divided by its temperature: the number with which the labels of the calibration
    samples are most likely. The confidence of an exit then estimates the probability that its prediction is
    correct, so equal thresholds at two exits require equal probabilities. Predictions do not change. The
    network keeps the temperatures, also when it is exported.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, section
    4.2. Arguments and errors are those of `Static`.
    """

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        temperatures = fit_temperatures(calibration)
        tempered = Calibration(**{**vars(calibration), "profile": calibration.tempered(temperatures)})
        return ThresholdChoice(super().choose(tempered).scheme, temperatures)


def fit_temperatures(calibration: Calibration) -> tuple[float, ...]:
    """Return one temperature for each exit with a head, ascending, then one for the last exit."""
    answers = calibration.answers()
    exits = range(answers.logits.shape[1])
    return tuple(fit_temperature(answers.logits[:, each], answers.labels) for each in exits)


class Budgeted(ThresholdSetter):
    """The most accurate thresholds within a budget of executed MACs, or the cheapest with an accuracy.

    The thresholds are taken from the Pareto front of all thresholds, which is exact with up to about 270
    samples and four exits; see `edanas.thresholds.fronts.threshold_front`. EENet (Ilhan and others, WACV
    2024) learns confidences together with a utilization of the exits. For fixed confidences, no utilization
    implies better thresholds than those of the front.

    Args:
        max_macs: Most executed multiply-adds per sample on average: a number, or a text such as `5M`.
        min_accuracy: Least top-1 accuracy on the calibration part: a fraction, or a text such as `90%`.

    Raises:
        ConfigError: Neither `max_macs` nor `min_accuracy` is set, or both are, or the value cannot be read or
            is out of range.
    """

    def __init__(self, max_macs: str | float | None = None, min_accuracy: str | float | None = None) -> None:
        options = {"max_macs": max_macs, "min_accuracy": min_accuracy}
        names = [name for name, value in options.items() if value is not None]
        if len(names) != 1:
            raise ConfigError(
                f"{_SETTING}: found 'budget' with {' and '.join(names) or 'no option'}; allowed: one of "
                "max_macs, min_accuracy"
            )
        self.budget = parse_setting_budget(max_macs, min_accuracy)
        self.max_macs = math.inf if max_macs is None else self.budget.limit

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        return ThresholdChoice(best_within_budget(self.budget, calibration))


class Dynamic(ThresholdSetter):
    """Thresholds that hold a budget of executed MACs on a stream of images without labels.

    The first thresholds are those of `Budgeted`, the most accurate thresholds within the budget.
    `edanas.stream` and `edanas predict` then move the thresholds after each batch of images; see
    `edanas.thresholds.stream_budget`. A single call of the network keeps the first thresholds, and so do
    exported files in other formats. If no image can cost more than the budget, the thresholds never move.

    Source: adaptive conformal inference (Gibbs and Candès, NeurIPS 2021), with costs in place of errors.

    Args:
        max_macs: Executed multiply-adds per image on average: a number, or a text such as `5M`.
        horizon: Number of images over which a cost above or below the budget is compensated. With a shorter
            horizon thresholds follow a drift sooner, and vary more.

    Raises:
        ConfigError: `max_macs` is missing, cannot be read or is out of range, or `horizon` is too short.
    """

    def __init__(self, max_macs: str | float | None = None, horizon: int = HORIZON) -> None:
        if max_macs is None:
            raise ConfigError(
                f"{_SETTING}: found 'dynamic' without max_macs; allowed: 'dynamic' with a budget, such as "
                "max_macs = '5M'"
            )
        if horizon < MIN_HORIZON:
            raise ConfigError(f"{_SETTING}.horizon: found {horizon}; allowed: {MIN_HORIZON} samples or more")
        self.budget = parse_setting_budget(max_macs)
        self.max_macs = self.budget.limit
        self.horizon = horizon

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        placed = calibration.scheme.placed
        costs_by_exit = exit_costs(calibration.costs, placed)
        if message := unreachable_budget_message(self.budget, costs_by_exit, placed):
            raise CandidateError(message)
        scheme = best_within_budget(self.budget, calibration)
        if self.budget.limit >= costs_by_exit[-1]:
            return ThresholdChoice(scheme)
        placed_profile = restrict_profile(calibration.profile, placed)
        shares = outcome(placed_profile, scheme).utilization
        path = calibrated_path(placed_profile.confidence[:, :-1], scheme, costs_by_exit, shares)
        holder = BudgetHolder(scheme, path, costs_by_exit.tolist(), self.budget.limit, self.horizon)
        return ThresholdChoice(scheme, notes={HOLD: holder.to_dict()})


def parse_setting_budget(
    max_macs: str | float | None = None, min_accuracy: str | float | None = None
) -> Budget:
    """Return the budget that the options of a threshold setter describe.

    Args:
        max_macs: See `Budgeted`.
        min_accuracy: See `Budgeted`.

    Raises:
        ConfigError: The budget cannot be read or is out of range. The message begins with the name of the
            setting, `final_thresholds.max_macs` for example.
    """
    try:
        return parse_budget(max_macs, min_accuracy)
    except ConfigError as error:
        raise ConfigError(f"{_SETTING}.{error}") from error


def best_within_budget(budget: Budget, calibration: Calibration) -> SelectionScheme:
    """Return the scheme for the placed exits that meets `budget` best; see `choose_scheme`.

    Raises:
        CandidateError: No thresholds of the placed exits meet the budget.
    """
    placed = calibration.scheme.placed
    placed_profile = restrict_profile(calibration.profile, placed)
    front = sampled_threshold_front(
        placed_profile, calibration.costs, len(calibration.scheme.thresholds), removable=False
    )
    number = choose_scheme(front, budget)
    if number is None:
        dearest = float(exit_costs(calibration.costs, placed)[-1])
        raise CandidateError(unmet_budget_message(budget, front, 1.0, dearest))
    return front.schemes[number]


@hookimpl
def edanas_threshold_setters() -> dict[str, Callable[..., ThresholdSetter]]:
    """Register the built-in threshold setters by name."""
    return {"grid": Grid, "static": Static, "budget": Budgeted, "calibrated": Calibrated, "dynamic": Dynamic}
