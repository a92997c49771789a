"""New thresholds for a finished network, without training: `tune`."""

from dataclasses import dataclass, replace
from pathlib import Path

from edanas.core.costs import Costs
from edanas.core.errors import ConfigError, DataError
from edanas.core.types import ExitProfile, ImageSet, SelectionScheme
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.model.labelled_samples import labelled
from edanas.model.loading import load
from edanas.model.part_latency import UNIT, latency_costs
from edanas.model.profiling import collect_profile
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.thresholds.budgets import Budget, budget_of, choose, impossible, in_units, nearest
from edanas.thresholds.fronts import ThresholdFront
from edanas.thresholds.optimism import FEWEST, Expectation, Expected, expect
from edanas.thresholds.sampled_front import tradeoffs
from edanas.thresholds.schemes import cost_of_leaving
from edanas.thresholds.stream_budget import HOLD

RECORD = "tuning"
"""The key of a description under which tuning notes what it was done on."""

_FEW = 100
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
    budget = budget_of(max_macs, min_accuracy, max_latency)
    network = opened(model, device)
    remarks: tuple[str, ...] = ()
    if isinstance(data, ImageSet):
        samples = data
    else:
        named = None if data is None else str(data)
        path = None if isinstance(model, EENN) else Path(model)
        found = labelled(Registry(load_plugins()), network, path, named, part)
        samples, remarks = found.samples, (f"Tuned on {found.part}.", *found.remarks)
    check_enough(len(samples))
    profile = collect_profile(network, samples)
    costs = costs_for(network, budget, batch_size)
    return _tuned(network, budget, profile, costs, remarks, seed)


def opened(model: str | Path | EENN, device: str) -> EENN:
    """A network, or the one of a file."""
    return model if isinstance(model, EENN) else load(model, device)


def check_enough(samples: int) -> None:
    """Refuse samples that are too few.

    Raises:
        DataError: They are.
    """
    if samples < FEWEST:
        raise DataError(
            f"samples: found {samples}; at least {FEWEST} are needed to tell what to expect of new ones"
        )


def costs_for(network: EENN, budget: Budget, batch_size: int) -> tuple[Costs, ...]:
    """Multiply-adds, and nanoseconds where the budget is a latency."""
    if batch_size < 1:
        raise ConfigError(f"batch_size: found {batch_size}; allowed: 1 or more")
    macs = Anatomy.of(network, len(network.mean)).costs
    if budget.quantity != "max_latency":
        return (macs,)
    return macs, latency_costs(network if network.frozen else network.freeze(), batch_size)


def _tuned(
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
        front = tradeoffs(some, costs[-1], count, removable=removable)
        return front.schemes[nearest(front, budget, unit)]

    front = tradeoffs(profile, costs[-1], count, removable=removable)
    number = choose(front, budget, unit)
    dearest = unit * float(cost_of_leaving(costs[-1], profile.points)[-1])
    if number is None or (budget.quantity != "min_accuracy" and budget.limit > dearest * (1 + 1e-9)):
        raise ConfigError(impossible(budget, front, unit, dearest))
    old, scheme = network.scheme, front.schemes[number]
    before = expect(profile, old, costs)
    after = expect(profile, scheme, costs, chosen, seed)
    network.scheme = scheme
    network.description.pop(HOLD, None)
    network.description[RECORD] = {
        "samples": len(profile),
        "accuracy": after.accuracy.here,
        "executed_macs": after.costs[0].here,
        "shares": [share.here for share in after.shares],
        "budget": str(budget),
    }
    kept = replace(front, cost=unit * front.cost)
    said = (*remarks, *_doubts(budget, after, front, len(profile)))
    quantities = ("max_macs", "max_latency")[: len(costs)]
    return Tuning(
        network,
        budget,
        old,
        scheme,
        len(profile),
        in_seconds(before),
        in_seconds(after),
        quantities,
        kept,
        said,
    )


def _doubts(budget: Budget, after: Expectation, front: ThresholdFront, samples: int) -> tuple[str, ...]:
    said = list(few(samples))
    found = after.accuracy
    if budget.quantity == "min_accuracy" and found.new < budget.limit:
        said.append(
            f"The accuracy asked for holds on these samples; expect {in_units('min_accuracy', found.new)} on "
            "new ones. Ask for more to have room."
        )
    if not front.exact:
        said.append(
            "Figures on these samples are exact, but not all thresholds could be tried: slightly better ones "
            "may exist."
        )
    return tuple(said)


def few(samples: int) -> tuple[str, ...]:
    """What to say where samples are few."""
    if samples >= _FEW:
        return ()
    return (
        f"{samples} samples are few: intervals are wide, and what they say is itself uncertain. "
        f"At least {_FEW}, better 1,000, are advised.",
    )


def in_seconds(found: Expectation) -> Expectation:
    """With the second of two costs in seconds."""
    rest = (Expected(*(UNIT * value for value in vars(each).values())) for each in found.costs[1:])
    return replace(found, costs=(found.costs[0], *rest))
