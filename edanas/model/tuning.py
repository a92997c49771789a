"""New thresholds of a finished network for a budget, chosen on labelled samples without training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edanas.core.costs import Costs
from edanas.core.errors import ConfigError, DataError
from edanas.core.types import ExitProfile, ImageSet, SelectionScheme
from edanas.data.passed_data import data_name
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.model.guaranteed_drop import guaranteed_or_none, guaranteed_scheme
from edanas.model.labelled_samples import read_labelled_samples
from edanas.model.loading import load
from edanas.model.part_latency import UNIT, latency_costs
from edanas.model.profiling import collect_profile
from edanas.model.trimming import removal_text, trimmed_network
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.thresholds.agreement import AGREE
from edanas.thresholds.budgets import (
    Budget,
    DropBudget,
    choose_scheme,
    format_quantity,
    loose_budget_text,
    nearest_scheme,
    parse_budget,
    unmet_budget_message,
)
from edanas.thresholds.fronts import ThresholdFront
from edanas.thresholds.optimism import MIN_SAMPLES, Expectation, Expected, estimate_expectation
from edanas.thresholds.sampled_front import sampled_threshold_front
from edanas.thresholds.schemes import exit_costs
from edanas.thresholds.stream_budget import HOLD
from edanas.thresholds.trimming import move_shares, trim_on_samples, uncut_scheme

TUNING_NOTES = "tuning"
"""Key of a network's description under which a tuning records its samples, utilization and budget."""

QUANTITIES = ("max_macs", "max_latency")
"""Names of the costs in the order in which `Tuning` holds them."""

_ADVISED_SAMPLES = 100
"""Number of samples below which confidence intervals are wide and the choice is mostly chance."""


@dataclass(frozen=True)
class Tuning:
    """The result of `tune` and `retune`: new thresholds, with their expected accuracy and cost.

    Args:
        network: The network with the new thresholds, without the exits and stages that no sample uses unless
            stages were to stay.
        budget: The budget that the new thresholds meet.
        old: Selection scheme before the tuning.
        scheme: Selection scheme with the new thresholds.
        samples: Number of samples on which the thresholds were chosen.
        before: Accuracy, costs and utilization of the old scheme on the samples, and estimates for new
            samples. The accuracy is NaN if the samples have no labels.
        after: Accuracy, costs and utilization of the new scheme. The estimates for new samples take into
            account that the scheme was chosen on the samples. The accuracy is NaN without labels.
        quantities: Names of the costs in `before` and `after`: `max_macs`, then `max_latency` if the latency
            was measured.
        front: The Pareto-optimal schemes on the samples, by rising cost. Costs are multiply-adds or, for a
            latency budget, seconds. `None` if the samples have no labels.
        remarks: Sentences for a report about the samples and the reliability of the estimates.
        required: Accuracy that the budget requires on the samples; `None`, the default, for a budget of cost.

    Example:
        >>> import edanas, numpy as np
        >>> from edanas.testing.evaluations import toy_network
        >>> confidences = np.linspace(0, 1, 20, dtype=np.float32)[:, None].repeat(2, axis=1)
        >>> tuning = edanas.retune(toy_network(), confidences, max_macs="30k")
        >>> tuning.samples, str(tuning.budget), tuning.quantities
        (20, 'at most 30k MACs', ('max_macs',))
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
    required: float | None = None

    @property
    def thresholds(self) -> tuple[float | None, ...]:
        """The new thresholds: one for each exit point, `None` for no exit."""
        return self.scheme.thresholds

    @property
    def accuracy(self) -> Expected:
        """Top-1 accuracy of the new thresholds on the samples of the tuning and on new samples."""
        return self.after.accuracy

    @property
    def macs(self) -> Expected:
        """Executed multiply-adds per sample with the new thresholds, on the samples and on new samples."""
        return self.after.costs[0]

    @property
    def latency(self) -> Expected | None:
        """Seconds per sample with the new thresholds, on the samples and on new samples.

        It is `None` if the latency was not measured.
        """
        return self.after.costs[1] if len(self.after.costs) > 1 else None

    def write(self, stem: str | Path) -> list[Path]:
        """Write the network with its new thresholds to `stem`.json and `stem`.safetensors.

        Args:
            stem: Path of the files without their suffix.

        Returns:
            The paths of the written files.

        Raises:
            RunError: The files cannot be written.
        """
        return SafetensorsExporter().export(self.network, Path(stem))


def tune(
    model: str | Path | EENN,
    data: Any = None,
    *,
    part: str | None = None,
    max_macs: str | float | None = None,
    min_accuracy: str | float | None = None,
    max_latency: str | float | None = None,
    max_drop: str | float | None = None,
    confidence: str | float | None = None,
    batch_size: int = 1,
    device: str = "cpu",
    seed: int = 0,
    keep_stages: bool = False,
    skip_unreadable: bool = False,
) -> Tuning:
    """Set the thresholds of a network that meet a budget best on labelled samples.

    All thresholds and all sets of the network's exits are considered. The result is the most accurate scheme
    within `max_macs` or `max_latency`, or the cheapest scheme with `min_accuracy`. If exits depend on earlier
    exits, all placed exits stay placed. Accuracy and cost on the samples are exact. The estimates for new
    samples repeat the choice on parts of the samples; see `edanas.thresholds.optimism`. With `max_drop`, the
    result is a cheap scheme whose accuracy on new samples is guaranteed, with the probability `confidence`;
    see `edanas.thresholds.risk_control`.

    Exactly one of `max_macs`, `min_accuracy`, `max_latency` and `max_drop` is required.

    Exits and stages that no sample uses are removed from `Tuning.network`, the network that `Tuning.write`
    writes. A remark says how many bytes that saves. If later exits read earlier ones, the exits before the
    new end stay.

    Args:
        model: A network, whose thresholds are changed in place, or the path of its file; see `load`. The
            passed network keeps all exits and stages.
        data: Labelled samples in any form that `edanas.search` takes, or an `ImageSet` with the network's
            labels. By default the data of the run in whose folder the model's file lies.
        part: Part of the data: `train`, `calibration`, `validation`, `test` or `all`. By default the
            calibration part of the run's data, or all samples of other data outside its train part.
        max_macs: Most executed multiply-adds per sample on average: a number, or a text such as `5M`.
        min_accuracy: Least top-1 accuracy: a fraction, or a text such as `90%`.
        max_latency: Most seconds per sample on average: a number, or a text such as `3ms`. The stages and
            heads are measured on this machine; see `edanas.model.part_latency`.
        max_drop: Most accuracy that new samples of the same kind lose against the last exit: a fraction, or a
            text such as `1%`.
        confidence: Probability that `max_drop` is kept: a fraction, or a text such as `95%`, the default.
        batch_size: Number of images computed at once when the latency is measured.
        device: Device of the network if `model` is a path.
        seed: Seed of the random divisions of the samples for the estimates.
        keep_stages: True to leave exits and stages that no sample uses.
        skip_unreadable: Skip files of a folder that cannot be read as images, with a remark; by default they
            are an error.

    Returns:
        The new thresholds, with accuracy, cost and utilization on these samples and on new samples.

    Raises:
        ConfigError: No budget or more than one budget is set, the budget cannot be read, or no scheme meets
            the budget.
        DataError: The data cannot be read, does not fit the network, or has fewer than 10 samples.
        WeightsError: The model's file cannot be read.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> from edanas.testing.toy_networks import toy_images
        >>> tuning = tune(toy_network(), toy_images(12, seed=0), max_macs="40k")
        >>> tuning.macs.here <= 40_000
        True
    """
    budget = parse_budget(max_macs, min_accuracy, max_latency, max_drop, confidence)
    network = loaded_network(model, device)
    remarks: tuple[str, ...] = ()
    if isinstance(data, ImageSet):
        samples = data
    else:
        name = None if data is None else data_name(data)
        path = None if isinstance(model, EENN) else Path(model)
        labelled = read_labelled_samples(
            Registry(load_plugins()), network, path, name, part, skip_unreadable=skip_unreadable
        )
        samples, remarks = labelled.samples, (f"Tuned on {labelled.part}.", *labelled.remarks)
    check_sample_count(len(samples))
    profile = collect_profile(network, samples)
    costs = costs_for(network, budget, batch_size)
    return _tune_on_profile(network, budget, profile, costs, remarks, seed, keep_stages=keep_stages)


def loaded_network(model: str | Path | EENN, device: str) -> EENN:
    """Return `model` if it is a network, else load the network from the path `model` to `device`."""
    return model if isinstance(model, EENN) else load(model, device)


def check_sample_count(samples: int) -> None:
    """Check that there are enough samples to estimate results on new samples.

    Raises:
        DataError: There are fewer than `MIN_SAMPLES` samples.
    """
    if samples < MIN_SAMPLES:
        raise DataError(
            f"samples: found {samples}; allowed: {MIN_SAMPLES} or more, for estimates on new samples"
        )


def costs_for(network: EENN, budget: Budget, batch_size: int) -> tuple[Costs, ...]:
    """Return the costs of a network in multiply-adds and, for a latency budget, also in nanoseconds.

    Args:
        network: The network.
        budget: The budget, whose quantity decides if the latency is measured.
        batch_size: Number of images computed at once when the latency is measured.

    Raises:
        ConfigError: `batch_size` is below 1.
    """
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
    *,
    keep_stages: bool,
) -> Tuning:
    """Set thresholds from an exit profile with labels; see `tune`.

    Args:
        network: The network, changed in place.
        budget: The budget to meet.
        profile: Exit profile of the samples.
        costs: Multiply-adds and, for a latency budget, nanoseconds.
        remarks: Sentences about the samples, with which the remarks of the result begin.
        seed: See `tune`.
        keep_stages: See `tune`.
    """
    count, unit = network.exit_points, UNIT if len(costs) > 1 else 1.0
    removable = not network.memory

    def adapt(scheme: SelectionScheme, part: ExitProfile) -> SelectionScheme:
        return scheme if keep_stages else used_part(network, scheme, part)

    def choose_on_part(part: ExitProfile) -> SelectionScheme:
        if isinstance(budget, DropBudget):
            return guaranteed_or_none(part, count, budget, adapt)
        front = sampled_threshold_front(part, costs[-1], count, removable=removable)
        return adapt(front.schemes[nearest_scheme(front, budget, unit)], part)

    front = sampled_threshold_front(profile, costs[-1], count, removable=removable)
    old, required = network.scheme, None
    if isinstance(budget, DropBudget):
        scheme, remark = guaranteed_scheme(profile, count, budget, adapt)
        remarks, required = (*remarks, remark), float(profile.correct[:, -1].mean()) - budget.limit
    else:
        number = choose_scheme(front, budget, unit)
        dearest = unit * float(exit_costs(costs[-1], profile.points)[-1])
        if number is None:
            raise ConfigError(unmet_budget_message(budget, front, unit, dearest))
        remark = loose_budget_text(budget, unit * float(front.cost[0]), dearest)
        remarks = (*remarks, remark) if remark else remarks
        scheme = adapt(front.schemes[number], profile)
        required = budget.limit if budget.quantity == "min_accuracy" else None
    before = estimate_expectation(profile, old, costs)
    after = estimate_expectation(profile, scheme, costs, choose_on_part, seed)
    notes = {
        "samples": len(profile),
        "accuracy": after.accuracy.here,
        "executed_macs": after.costs[0].here,
        "shares": [share.here for share in after.shares],
        "budget": str(budget),
    }
    apply_scheme(network, scheme, notes)
    tuning = Tuning(
        network,
        budget,
        old,
        scheme,
        len(profile),
        latency_in_seconds(before),
        latency_in_seconds(after),
        QUANTITIES[: len(costs)],
        replace(front, cost=unit * front.cost),
        (*remarks, *_result_remarks(budget, after, front, len(profile))),
        required,
    )
    return tuning if keep_stages else without_unused(tuning, profile)


def used_part(network: EENN, scheme: SelectionScheme, profile: ExitProfile) -> SelectionScheme:
    """Return the scheme without the exits that no sample of a profile uses.

    The exit where the network ends has threshold 0, so that the samples of no profile go further.
    """
    trimmed, end = trim_on_samples(profile, scheme, removable=not network.memory)
    return uncut_scheme(trimmed, end)


def without_unused(tuning: Tuning, profile: ExitProfile) -> Tuning:
    """Return a tuning whose network lacks the exits and stages that no sample of a profile uses.

    The estimates of the tuning hold for that network, if they were computed for the result of `used_part`.
    """
    network = tuning.network
    scheme, end = trim_on_samples(profile, tuning.scheme, removable=not network.memory)
    if end == network.exit_points and scheme.placed == network.points:
        return tuning
    smaller = trimmed_network(network, scheme, end)
    notes = smaller.description[TUNING_NOTES]
    smaller.description[TUNING_NOTES] = {**notes, "shares": list(move_shares(notes["shares"], scheme))}
    shares = list(tuning.after.shares)
    if end < network.exit_points:
        shares[-1], shares[end] = shares[end], Expected(0.0, 0.0, 0.0, 0.0)
    remark = removal_text(network, smaller)
    return replace(
        tuning,
        network=smaller,
        scheme=scheme,
        after=replace(tuning.after, shares=tuple(shares)),
        remarks=(*tuning.remarks, remark),
    )


def apply_scheme(network: EENN, scheme: SelectionScheme, notes: Mapping[str, Any]) -> None:
    """Set the scheme of a network, and record the notes of the tuning in the network's description.

    The holder of a stream's budget is removed from the description, because it belongs to the old scheme.
    """
    network.scheme = scheme
    for moving in (HOLD, AGREE):
        network.description.pop(moving, None)
    network.description[TUNING_NOTES] = dict(notes)


def _result_remarks(
    budget: Budget, after: Expectation, front: ThresholdFront, samples: int
) -> tuple[str, ...]:
    """Return the remarks of a tuning: few samples, an accuracy at risk, and a front that is not exact."""
    remarks = list(small_sample_remarks(samples))
    accuracy = after.accuracy
    if budget.quantity == "min_accuracy" and accuracy.new < budget.limit:
        expected = format_quantity("min_accuracy", accuracy.new)
        remarks.append(
            f"The required accuracy is reached on these samples; the estimate for new samples is {expected}. "
            "A higher required accuracy gives a margin."
        )
    if not front.exact:
        remarks.append(
            "Accuracy and cost on these samples are exact. "
            "The search did not try all thresholds, so slightly better thresholds may exist."
        )
    return tuple(remarks)


def small_sample_remarks(samples: int) -> tuple[str, ...]:
    """Return a remark on wide confidence intervals if there are fewer than 100 samples, else no remark."""
    if samples >= _ADVISED_SAMPLES:
        return ()
    return (
        f"{samples} samples are few: confidence intervals are wide, and themselves uncertain. "
        f"At least {_ADVISED_SAMPLES} samples are advised; 1,000 samples are better.",
    )


def latency_in_seconds(expectation: Expectation) -> Expectation:
    """Return an expectation whose second cost, if it has one, is converted from nanoseconds to seconds."""
    rest = (Expected(*(UNIT * value for value in vars(each).values())) for each in expectation.costs[1:])
    return replace(expectation, costs=(expectation.costs[0], *rest))
