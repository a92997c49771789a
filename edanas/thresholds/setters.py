"""Threshold setters that are built in: the search's own, for an accuracy, for a budget, calibrated, held."""

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
    """Thresholds as they were searched: in the paper 0.1, 0.2 or no exit (Section V); nothing is set."""

    resets = False

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        return ThresholdChoice(calibration.scheme)


class Static(ThresholdSetter):
    """The least executed MACs at which the last exit's accuracy is kept, with room for luck.

    Thresholds are any numbers in [0, 1]; see `edanas.thresholds.continuous.set_thresholds`.

    Args:
        accuracy_drop: How much of the last exit's calibration accuracy may be given up, a fraction; where
            the search's trade-off gave up more, so much.
        caution: The accuracy must hold also if every threshold were so many samples lower.

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
    """Temperatures first, then thresholds as `static` sets them (Guo and others, ICML 2017, section 4.2).

    Each exit's logits are divided by the number with which the calibration labels are most likely: its
    confidence then says how often it is right, and a threshold means the same at every exit. Labels do not
    change. The network keeps the temperatures, also when it is exported.
    """

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        temperatures = fit_temperatures(calibration)
        even = Calibration(**{**vars(calibration), "profile": calibration.tempered(temperatures)})
        return ThresholdChoice(super().choose(even).scheme, temperatures)


def fit_temperatures(calibration: Calibration) -> tuple[float, ...]:
    """For each exit with a head, then the last exit: the number to divide its logits by."""
    known = calibration.answers()
    exits = range(known.logits.shape[1])
    return tuple(fit_temperature(known.logits[:, each], known.labels) for each in exits)


class Budgeted(ThresholdSetter):
    """The most accurate thresholds within a budget of executed MACs, or the cheapest above an accuracy.

    Both are read off the front of all thresholds, which is exact with up to about 270 samples and four exits
    (see `edanas.thresholds.fronts.threshold_front`). EENet (Ilhan and others, WACV 2024) learns scores
    and the shares of samples that exits are to have together; with given confidences, thresholds that such
    shares lead to are among those of the front.

    Args:
        max_macs: Executed multiply-adds for a sample on average: a number, or a text such as `5M`.
        min_accuracy: Top-1 on the calibration part: a fraction, or a text such as `90%`.

    Raises:
        ConfigError: Not exactly one is given, or it cannot be read.
    """

    def __init__(self, max_macs: str | float | None = None, min_accuracy: str | float | None = None) -> None:
        given = {"max_macs": max_macs, "min_accuracy": min_accuracy}
        found = [name for name, value in given.items() if value is not None]
        if len(found) != 1:
            raise ConfigError(
                f"{_SETTING}: 'budget' with {' and '.join(found) or 'no option'}; allowed: one of max_macs, "
                "min_accuracy"
            )
        self.budget = parse_setting_budget(max_macs, min_accuracy)

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        return ThresholdChoice(best_within_budget(self.budget, calibration))


class Dynamic(ThresholdSetter):
    """A budget of executed MACs that a stream is held to: thresholds move, without labels, as images come.

    At first they are the most accurate ones within the budget, as `budget` sets them. `edanas.stream` and
    `edanas predict` then move them after each batch (adaptive conformal inference with costs: Gibbs and
    Candès, NeurIPS 2021; see `edanas.thresholds.stream_budget`). A single call of the network, and other
    forms that it is exported to, keep the first ones.

    Args:
        max_macs: Executed multiply-adds for an image on average: a number, or a text such as `5M`.
        horizon: Images over which an excess is made up for; fewer follow a drift sooner, and move more.

    Raises:
        ConfigError: The budget is missing or cannot be read, or the horizon is too short.
    """

    def __init__(self, max_macs: str | float | None = None, horizon: int = HORIZON) -> None:
        if max_macs is None:
            raise ConfigError(f"{_SETTING}: 'dynamic' without max_macs, the budget that it holds")
        if horizon < MIN_HORIZON:
            raise ConfigError(f"{_SETTING}.horizon: found {horizon}; allowed: {MIN_HORIZON} images or more")
        self.budget = parse_setting_budget(max_macs)
        self.horizon = horizon

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        placed = calibration.scheme.placed
        leaving = exit_costs(calibration.costs, placed)
        if wrong := unreachable_budget_message(self.budget, leaving, placed):
            raise CandidateError(wrong)
        scheme = best_within_budget(self.budget, calibration)
        kept = restrict_profile(calibration.profile, placed)
        shares = outcome(kept, scheme).utilization
        path = calibrated_path(kept.confidence[:, :-1], scheme, leaving, shares)
        holder = BudgetHolder(scheme, path, leaving.tolist(), self.budget.limit, self.horizon)
        return ThresholdChoice(scheme, notes={HOLD: holder.to_dict()})


def parse_setting_budget(
    max_macs: str | float | None = None, min_accuracy: str | float | None = None
) -> Budget:
    """The budget of a setter's options.

    Raises:
        ConfigError: It cannot be read, or is out of range; the text has the setting's whole name.
    """
    try:
        return parse_budget(max_macs, min_accuracy)
    except ConfigError as error:
        raise ConfigError(f"{_SETTING}.{error}") from error


def best_within_budget(budget: Budget, calibration: Calibration) -> SelectionScheme:
    """The best thresholds within `budget` for the exits that stand.

    Raises:
        CandidateError: There are none.
    """
    placed = calibration.scheme.placed
    kept = restrict_profile(calibration.profile, placed)
    front = sampled_threshold_front(
        kept, calibration.costs, len(calibration.scheme.thresholds), removable=False
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
