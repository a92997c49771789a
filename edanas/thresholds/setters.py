"""Built-in threshold setters."""

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
from edanas.thresholds.stream_budget import HOLD, HORIZON, MIN_HORIZON, BudgetHolder, calibrated_path
from edanas.thresholds.temperature import fit_temperature

_SETTING = "final_thresholds"


class Grid(ThresholdSetter):
    """Keeps the searched thresholds: in the paper 0.1, 0.2 or no exit (Section V).

    Example:
        >>> Grid.resets
        False
    """

    resets = False

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        return ThresholdChoice(calibration.scheme)


class Static(ThresholdSetter):
    """The least executed MACs that keep the accuracy of the last exit, with a safety margin.

    Thresholds are any numbers in [0, 1]; see `edanas.thresholds.continuous.set_thresholds`.

    Args:
        accuracy_drop: The fraction of accuracy, against the last exit on calibration samples, that may be
            given up. If the trade-off of the search gave up more, that much.
        caution: The accuracy must also hold if every threshold were this many samples lower.

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
    """Temperature scaling, then thresholds as `static` sets them (Guo and others, ICML 2017, section 4.2).

    The logits of each exit are divided by the temperature with which the calibration labels are most likely.
    The confidence of an exit then estimates how often it is right, and a threshold means the same at every
    exit. Labels do not change. The network keeps the temperatures, also when it is exported.
    """

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        temperatures = fit_temperatures(calibration)
        tempered = Calibration(**{**vars(calibration), "profile": calibration.tempered(temperatures)})
        return ThresholdChoice(super().choose(tempered).scheme, temperatures)


def fit_temperatures(calibration: Calibration) -> tuple[float, ...]:
    """Return the temperature of each exit with a head, then of the last exit."""
    answers = calibration.answers()
    exits = range(answers.logits.shape[1])
    return tuple(fit_temperature(answers.logits[:, each], answers.labels) for each in exits)


class Budgeted(ThresholdSetter):
    """The most accurate thresholds within a budget of executed MACs, or the cheapest above an accuracy.

    Both are points of the front of all thresholds, which is exact with up to about 270 samples and four exits
    (see `edanas.thresholds.fronts.threshold_front`). EENet (Ilhan and others, WACV 2024) learns scores and
    the utilization of exits together. With fixed confidences, the thresholds that such a utilization implies
    are among those of the front.

    Args:
        max_macs: Executed multiply-adds per sample on average: a number, or a text such as `5M`.
        min_accuracy: Top-1 on the calibration part: a fraction, or a text such as `90%`.

    Raises:
        ConfigError: Not exactly one is given, or it cannot be read.
    """

    def __init__(self, max_macs: str | float | None = None, min_accuracy: str | float | None = None) -> None:
        options = {"max_macs": max_macs, "min_accuracy": min_accuracy}
        names = [name for name, value in options.items() if value is not None]
        if len(names) != 1:
            raise ConfigError(
                f"{_SETTING}: 'budget' with {' and '.join(names) or 'no option'}; allowed: one of max_macs, "
                "min_accuracy"
            )
        self.budget = parse_setting_budget(max_macs, min_accuracy)

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        return ThresholdChoice(best_within_budget(self.budget, calibration))


class Dynamic(ThresholdSetter):
    """A budget of executed MACs for streams; thresholds move, without labels, as images arrive.

    The first thresholds are the most accurate ones within the budget, as `budget` sets them. `edanas.stream`
    and `edanas predict` then move them after each batch (adaptive conformal inference with costs: Gibbs and
    Candès, NeurIPS 2021; see `edanas.thresholds.stream_budget`). A single call of the network, and its other
    exported forms, keep the first thresholds.

    Args:
        max_macs: Executed multiply-adds per image on average: a number, or a text such as `5M`.
        horizon: Number of images over which an excess is compensated; fewer follow a drift sooner, and move
            more.

    Raises:
        ConfigError: The budget is missing or cannot be read, or the horizon is too short.
    """

    def __init__(self, max_macs: str | float | None = None, horizon: int = HORIZON) -> None:
        if max_macs is None:
            raise ConfigError(f"{_SETTING}: 'dynamic' without max_macs; 'dynamic' needs a budget to hold")
        if horizon < MIN_HORIZON:
            raise ConfigError(f"{_SETTING}.horizon: found {horizon}; allowed: {MIN_HORIZON} images or more")
        self.budget = parse_setting_budget(max_macs)
        self.horizon = horizon

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        placed = calibration.scheme.placed
        costs_by_exit = exit_costs(calibration.costs, placed)
        if message := unreachable_budget_message(self.budget, costs_by_exit, placed):
            raise CandidateError(message)
        scheme = best_within_budget(self.budget, calibration)
        placed_profile = restrict_profile(calibration.profile, placed)
        shares = outcome(placed_profile, scheme).utilization
        path = calibrated_path(placed_profile.confidence[:, :-1], scheme, costs_by_exit, shares)
        holder = BudgetHolder(scheme, path, costs_by_exit.tolist(), self.budget.limit, self.horizon)
        return ThresholdChoice(scheme, notes={HOLD: holder.to_dict()})


def parse_setting_budget(
    max_macs: str | float | None = None, min_accuracy: str | float | None = None
) -> Budget:
    """Return the budget of a setter's options.

    Raises:
        ConfigError: It cannot be read, or is out of range; the message has the whole name of the setting.
    """
    try:
        return parse_budget(max_macs, min_accuracy)
    except ConfigError as error:
        raise ConfigError(f"{_SETTING}.{error}") from error


def best_within_budget(budget: Budget, calibration: Calibration) -> SelectionScheme:
    """Return the best thresholds within `budget` for the placed exits.

    Raises:
        CandidateError: No thresholds meet it.
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
    """The built-in threshold setters."""
    return {"grid": Grid, "static": Static, "budget": Budgeted, "calibrated": Calibrated, "dynamic": Dynamic}
