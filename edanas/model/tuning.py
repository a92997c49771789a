"""New thresholds for a finished network, without training: `tune`."""

from dataclasses import dataclass, replace
from pathlib import Path

from edanas.core.costs import Costs
from edanas.core.errors import ConfigError, DataError
from edanas.core.types import ExitProfile, ImageSet, SelectionScheme
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.model.labelled_samples import read_labelled_samples
from edanas.model.loading import load
from edanas.model.part_latency import UNIT, latency_costs
from edanas.model.profiling import collect_profile
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.thresholds.budgets import (
    Budget,
    choose_scheme,
    format_quantity,
    nearest_scheme,
    parse_budget,
    unmet_budget_message,
)
from edanas.thresholds.fronts import ThresholdFront
from edanas.thresholds.optimism import MIN_SAMPLES, Expectation, Expected, estimate_expectation
from edanas.thresholds.sampled_front import sampled_threshold_front
from edanas.thresholds.schemes import exit_costs
from edanas.thresholds.stream_budget import HOLD

TUNING_NOTES = "tuning"
"""The key of a description under which tuning notes what it was done on."""

_ADVISED_SAMPLES = 100
"""Samples below which intervals are wide and the choice is mostly luck."""


@dataclass(frozen=True)
class Tuning:
    """New thresholds, and what to expect of them.

    Args:
        network: With the new thresholds.
        budget: What was asked.
        old: The scheme before.
        scheme: The new one.
        samples: How many samples it was set on.
        before: The old scheme on these samples.
        after: The new one; its intervals account for its being chosen on them. Without labels, accuracies
            are NaN.
        quantities: What the costs in `before` and `after` are: `max_macs`, and `max_latency` if measured.
        front: All trade-offs on these samples, by rising cost, in multiply-adds or, where the budget is a
            latency, in seconds; `None` without labels.
        remarks: What should be known before this is trusted.
    """

    network: EENN
    budget: Budget
    old: SelectionScheme
    scheme: SelectionScheme
    samples: int
    before: Expectation
    after: Expectation
    quantities: tuple[str, ...]
    front: ThresholdFront | None
    remarks: tuple[str, ...]

    @property
    def thresholds(self) -> tuple[float | None, ...]:
        """The new ones: one for each exit point, `None` for no exit there."""
        return self.scheme.thresholds

    @property
    def accuracy(self) -> Expected:
        """Top-1 here and on new samples."""
        return self.after.accuracy

    @property
    def macs(self) -> Expected:
        """Executed multiply-adds for a sample, here and on new samples."""
        return self.after.costs[0]

    @property
    def latency(self) -> Expected | None:
        """Seconds for a sample, here and on new samples, if they were measured."""
        return self.after.costs[1] if len(self.after.costs) > 1 else None

    def write(self, stem: str | Path) -> list[Path]:
        """Write the network with its new thresholds to `stem`.json and `stem`.safetensors.

        Raises:
            RunError: They cannot be written.
        """
        return SafetensorsExporter().export(self.network, Path(stem))


def tune(
    model: str | Path | EENN,
    data: str | Path | ImageSet | None = None,
    *,
    part: str | None = None,
    max_macs: str | float | None = None,
    min_accuracy: str | float | None = None,
    max_latency: str | float | None = None,
    batch_size: int = 1,
    device: str = "cpu",
    seed: int = 0,
) -> Tuning:
    """Thresholds for a budget, over all thresholds and all sets of the network's exits.

    Where an exit looks back at earlier ones, those that stand go on to stand.

    The most accurate scheme within `max_macs` or `max_latency`, or the cheapest with `min_accuracy`, on the
    samples given; figures on these are exact. What new samples will give is estimated by making the choice
    again on parts of them; see `edanas.thresholds.optimism`.

    Args:
        model: A network, which gets the new thresholds, or its file as `load` takes it.
        data: Labelled samples: a data set's name, the path of a folder of class folders, or images in memory
            with labels as the network numbers its classes. If left out, the data of the run in whose folder
            the file lies.
        part: Which part of the data: `train`, `calibration`, `validation`, `test` or `all`. By default the
            calibration part of the run's own data, and of other data all but what it names `train`.
        max_macs: Executed multiply-adds for a sample on average: a number, or a text such as `5M`.
        min_accuracy: A fraction, or a text such as `90%`.
        max_latency: For a sample on average: seconds, or a text such as `3ms`. What each part of the network
            takes is measured here and now; see `edanas.model.part_latency`.
        batch_size: Images at once when the latency is measured.
        device: Where to compute, for a `model` that is a file.
        seed: How samples are divided to find out what to expect.

    Raises:
        ConfigError: There is not exactly one budget, it cannot be read, or nothing meets it.
        DataError: The data cannot be read, does not fit the network, or has fewer than 10 samples.
        WeightsError: The model cannot be read.
    """
    budget = parse_budget(max_macs, min_accuracy, max_latency)
    network = loaded_network(model, device)
    remarks: tuple[str, ...] = ()
    if isinstance(data, ImageSet):
        samples = data
    else:
        named = None if data is None else str(data)
        path = None if isinstance(model, EENN) else Path(model)
        found = read_labelled_samples(Registry(load_plugins()), network, path, named, part)
        samples, remarks = found.samples, (f"Tuned on {found.part}.", *found.remarks)
    check_sample_count(len(samples))
    profile = collect_profile(network, samples)
    costs = costs_for(network, budget, batch_size)
    return _tune_on_profile(network, budget, profile, costs, remarks, seed)


def loaded_network(model: str | Path | EENN, device: str) -> EENN:
    """A network, or the one of a file."""
    return model if isinstance(model, EENN) else load(model, device)


def check_sample_count(samples: int) -> None:
    """Refuse samples that are too few.

    Raises:
        DataError: They are.
    """
    if samples < MIN_SAMPLES:
        raise DataError(
            f"samples: found {samples}; at least {MIN_SAMPLES} are needed to tell what to expect of new ones"
        )


def costs_for(network: EENN, budget: Budget, batch_size: int) -> tuple[Costs, ...]:
    """Multiply-adds, and nanoseconds where the budget is a latency."""
    if batch_size < 1:
        raise ConfigError(f"batch_size: found {batch_size}; allowed: 1 or more")
    macs = Anatomy.of(network, len(network.mean)).costs
    if budget.quantity != "max_latency":
        return (macs,)
    return macs, latency_costs(network if network.frozen else network.freeze(), batch_size)


def _tune_on_profile(
    network: EENN,
    budget: Budget,
    profile: ExitProfile,
    costs: tuple[Costs, ...],
    remarks: tuple[str, ...],
    seed: int,
) -> Tuning:
    count, unit = network.exit_points, UNIT if len(costs) > 1 else 1.0
    removable = not network.memory

    def chosen(some: ExitProfile) -> SelectionScheme:
        front = sampled_threshold_front(some, costs[-1], count, removable=removable)
        return front.schemes[nearest_scheme(front, budget, unit)]

    front = sampled_threshold_front(profile, costs[-1], count, removable=removable)
    number = choose_scheme(front, budget, unit)
    dearest = unit * float(exit_costs(costs[-1], profile.points)[-1])
    if number is None or (budget.quantity != "min_accuracy" and budget.limit > dearest * (1 + 1e-9)):
        raise ConfigError(unmet_budget_message(budget, front, unit, dearest))
    old, scheme = network.scheme, front.schemes[number]
    before = estimate_expectation(profile, old, costs)
    after = estimate_expectation(profile, scheme, costs, chosen, seed)
    network.scheme = scheme
    network.description.pop(HOLD, None)
    network.description[TUNING_NOTES] = {
        "samples": len(profile),
        "accuracy": after.accuracy.here,
        "executed_macs": after.costs[0].here,
        "shares": [share.here for share in after.shares],
        "budget": str(budget),
    }
    kept = replace(front, cost=unit * front.cost)
    said = (*remarks, *_result_remarks(budget, after, front, len(profile)))
    quantities = ("max_macs", "max_latency")[: len(costs)]
    return Tuning(
        network,
        budget,
        old,
        scheme,
        len(profile),
        latency_in_seconds(before),
        latency_in_seconds(after),
        quantities,
        kept,
        said,
    )


def _result_remarks(
    budget: Budget, after: Expectation, front: ThresholdFront, samples: int
) -> tuple[str, ...]:
    said = list(small_sample_remarks(samples))
    found = after.accuracy
    if budget.quantity == "min_accuracy" and found.new < budget.limit:
        expected = format_quantity("min_accuracy", found.new)
        said.append(
            f"The accuracy asked for holds on these samples; expect {expected} on new ones. Ask for more to "
            "have room."
        )
    if not front.exact:
        said.append(
            "Figures on these samples are exact, but not all thresholds could be tried: slightly better ones "
            "may exist."
        )
    return tuple(said)


def small_sample_remarks(samples: int) -> tuple[str, ...]:
    """What to say where samples are few."""
    if samples >= _ADVISED_SAMPLES:
        return ()
    return (
        f"{samples} samples are few: intervals are wide, and what they say is itself uncertain. "
        f"At least {_ADVISED_SAMPLES}, better 1,000, are advised.",
    )


def latency_in_seconds(found: Expectation) -> Expectation:
    """With the second of two costs in seconds."""
    rest = (Expected(*(UNIT * value for value in vars(each).values())) for each in found.costs[1:])
    return replace(found, costs=(found.costs[0], *rest))
