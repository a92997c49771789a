"""New thresholds of a finished network for unlabelled samples, from their confidences alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.costs import Costs
from edanas.core.errors import ConfigError, DataError
from edanas.core.progress import Progress, Silent
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.data.files import image_files, read_batches
from edanas.model.eenn import EENN
from edanas.model.inputs import InputForm, batches
from edanas.model.part_latency import UNIT
from edanas.model.tuning import (
    QUANTITIES,
    TUNING_NOTES,
    Tuning,
    apply_scheme,
    check_sample_count,
    costs_for,
    latency_in_seconds,
    loaded_network,
    small_sample_remarks,
    used_part,
    without_unused,
)
from edanas.thresholds.budgets import Budget, loose_budget_text, parse_budget, unreachable_budget_message
from edanas.thresholds.optimism import Expectation, Expected, estimate_expectation
from edanas.thresholds.quantile_thresholds import exit_odds, thresholds_within_budget
from edanas.thresholds.schemes import exit_costs, restrict_profile

Confidences = npt.NDArray[np.float32]


def retune(
    model: str | Path | EENN,
    samples: Confidences | str | Path | Sequence[str | Path],
    *,
    max_macs: str | float | None = None,
    max_latency: str | float | None = None,
    shares: Sequence[float] | None = None,
    batch_size: int = 1,
    device: str = "cpu",
    seed: int = 0,
    keep_stages: bool = False,
) -> Tuning:
    """Set the thresholds of a network so that unlabelled samples meet a cost budget.

    At each exit, the odds that a sample exits there are multiplied by a
    common factor; see `edanas.thresholds.quantile_thresholds`. The accuracy of the new thresholds is unknown.
    Exits and stages that no sample uses are removed from `Tuning.network`, as by `tune`.

    Args:
        model: A network, whose thresholds are changed in place, or the path of its file. A network that is
            passed keeps all exits and stages.
        samples: Path of an image file, path of a folder of images, or a list of such paths; see
            `edanas.stream`. Or the confidences (S, E) of S samples at E exits, the second result of
            `EENN.all_exits`.
        max_macs: Most executed multiply-adds per sample on average: a number, or a text such as `5M`. Either
            `max_macs` or `max_latency` is required.
        max_latency: Most seconds per sample on average: a number, or a text such as `3ms`; see `tune`.
        shares: (N + 1,) fraction of the calibration samples that exited at each of the N exit points and at
            the last exit. By default they are the fractions that `tune` recorded in the network. Without a
            record they are computed on `samples` with the old thresholds.
        batch_size: Number of images computed at once when the latency is measured.
        device: Device of the network if `model` is a path.
        seed: Seed of the random divisions of the samples for the estimates.
        keep_stages: True to leave exits and stages that no sample uses.

    Returns:
        The new thresholds, with cost and utilization on these samples and on new samples. Accuracies are NaN.

    Raises:
        ConfigError: The number of budgets is not one, the budget cannot be read or met, `shares` does not fit
            the network, or the network has no placed exits.
        DataError: Images cannot be read, confidences do not fit the network, or there are fewer than 10
            samples.
        WeightsError: The model's file cannot be read.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> network = toy_network()
        >>> confidences = np.linspace(0, 1, 20, dtype=np.float32)[:, None].repeat(2, axis=1)
        >>> tuning = retune(network, confidences, max_macs="30k")
        >>> tuning.macs.here <= 30_000, network.scheme == tuning.scheme
        (True, True)
    """
    budget = parse_budget(max_macs, None, max_latency)
    network = loaded_network(model, device)
    confidences = samples if isinstance(samples, np.ndarray) else collect_confidences(network, samples)
    profile = _unlabelled_profile(network, confidences)
    if not network.scheme.placed:
        raise ConfigError("thresholds: the network has no early exits, so its cost is fixed")
    costs = costs_for(network, budget, batch_size)
    return _retune_on_profile(network, budget, profile, costs, shares, seed, keep_stages=keep_stages)


def _retune_on_profile(
    network: EENN,
    budget: Budget,
    profile: ExitProfile,
    costs: tuple[Costs, ...],
    shares: Sequence[float] | None,
    seed: int,
    *,
    keep_stages: bool,
) -> Tuning:
    """Set thresholds from an exit profile without labels; see `retune`.

    Args:
        network: The network, changed in place.
        budget: Bound on executed MACs or latency.
        profile: Exit profile of the samples; its correctness is not used.
        costs: Multiply-adds and, for a latency budget, nanoseconds.
        shares: See `retune`.
        seed: See `retune`.
        keep_stages: See `retune`.
    """
    old, points = network.scheme, network.scheme.placed
    unit, limit = (UNIT, budget.limit / UNIT) if len(costs) > 1 else (1.0, budget.limit)
    costs_by_exit = exit_costs(costs[-1], points)
    if message := unreachable_budget_message(budget, costs_by_exit, points, unit):
        raise ConfigError(message)
    before = estimate_expectation(profile, old, costs)
    utilization, count, source = _reference_shares(network, before, shares, len(profile))
    odds = exit_odds(utilization, points, count)

    def choose_on_part(part: ExitProfile) -> SelectionScheme:
        confidence = restrict_profile(part, points).confidence[:, :-1]
        scheme = thresholds_within_budget(confidence, odds, points, costs_by_exit, limit, network.exit_points)
        return scheme if keep_stages else used_part(network, scheme, part)

    scheme = choose_on_part(profile)
    after = estimate_expectation(profile, scheme, costs, choose_on_part, seed)
    # The accuracy of an earlier tuning does not hold for the new thresholds; only its shares stay valid.
    notes = {
        "samples": count,
        "shares": utilization,
        "unlabelled": len(profile),
        "executed_macs": after.costs[0].here,
        "budget": str(budget),
    }
    apply_scheme(network, scheme, notes)
    loose = loose_budget_text(budget, unit * float(costs_by_exit[0]), unit * float(costs_by_exit[-1]))
    remarks = (
        *([f"{loose} All samples exit at the last exit."] if loose else []),
        "The accuracy on these samples is unknown, because they have no labels.",
        f"The ratios of the exits' odds come from {source}.",
        *small_sample_remarks(len(profile)),
    )
    tuning = Tuning(
        network,
        budget,
        old,
        scheme,
        len(profile),
        latency_in_seconds(_without_accuracy(before)),
        latency_in_seconds(_without_accuracy(after)),
        QUANTITIES[: len(costs)],
        None,
        remarks,
    )
    return tuning if keep_stages else without_unused(tuning, profile)


def collect_confidences(
    network: EENN,
    source: str | Path | Sequence[str | Path],
    *,
    batch_size: int = 256,
    progress: Progress | None = None,
    on_unreadable: Callable[[DataError], None] | None = None,
) -> Confidences:
    """Return the confidences (S, E) of S image files at the E exits of a network; see `EENN.all_exits`.

    Args:
        network: A network in eval mode.
        source: Path of an image file, path of a folder of images, or a list of such paths.
        batch_size: Number of images read and computed at once.
        progress: Display for a progress bar; `None`, the default, displays no bar.
        on_unreadable: Function that is called with the error for each file that cannot be read; the file is
            then skipped. By default the error is raised.

    Raises:
        DataError: A path has no image, no file can be read, or a file cannot be read and `on_unreadable` is
            `None`.
    """
    files = image_files([source] if isinstance(source, str | Path) else source)
    confidences: list[torch.Tensor] = []
    with (progress or Silent()).task("Looking at images", len(files)) as bar, torch.inference_mode():
        fit, grey = network.image_size or network.resolution, len(network.mean) == 1
        read = read_batches(files, batch_size, fit, grey=grey, on_unreadable=on_unreadable)
        for count, images_with_names in read:
            images = [image for _, image in images_with_names]
            parts = batches(images, InputForm.of(network), batch_size)
            confidences += [network.all_exits(batch)[1].float().cpu() for batch in parts]
            bar.advance(count)
    if not confidences:
        raise DataError(f"images: none of the {len(files)} files can be read as an image")
    return torch.cat(confidences).numpy()


def _reference_shares(
    network: EENN, before: Expectation, shares: Sequence[float] | None, samples: int
) -> tuple[list[float], int, str]:
    """Return the utilization from which the ratios of the odds follow.

    Args:
        network: The network, whose description may record a utilization.
        before: Utilization of the old thresholds on the samples, used if there is no other.
        shares: See `retune`.
        samples: Number of samples from which `shares` or `before` was computed.

    Returns:
        The fractions (N + 1), the number of samples from which they were computed, and words for their
        source.

    Raises:
        ConfigError: The fractions do not fit the network.
    """
    notes = network.description.get(TUNING_NOTES)
    source = "the argument `shares`"
    if shares is None and isinstance(notes, dict):
        try:
            shares, samples = [float(each) for each in notes["shares"]], int(notes["samples"])
        except (LookupError, TypeError, ValueError):
            shares = None
        source = "the record of the tuning on labelled samples"
    if shares is None:
        shares = [each.here for each in before.shares]
        source = "the old thresholds on these samples"
    values = np.array(shares, dtype=np.float64)
    fits = values.shape == (network.exit_points + 1,) and (values >= 0).all() and abs(values.sum() - 1) < 1e-6
    if not fits:
        raise ConfigError(
            f"shares: found {list(shares)}; "
            f"allowed: {network.exit_points + 1} fractions from 0 to 1 that sum to 1"
        )
    return values.tolist(), samples, source


def _unlabelled_profile(network: EENN, confidences: Confidences) -> ExitProfile:
    """Return an exit profile of confidences (S, E) in which every prediction counts as wrong.

    Raises:
        DataError: The confidences do not fit the network or are not finite, or there are too few samples.
    """
    values = np.asarray(confidences, dtype=np.float32)
    columns = len(network.answering) + 1
    if values.ndim != 2 or values.shape[1] != columns:
        raise DataError(
            f"confidences: found shape {values.shape}; allowed: (S, {columns}), one for each of the "
            "network's exits and one for the last exit"
        )
    if not np.isfinite(values).all():
        raise DataError("confidences: found values that are not finite; allowed: 0 to 1")
    check_sample_count(len(values))
    return ExitProfile(
        network.answering, values, np.zeros(values.shape, dtype=np.bool_), network.criterion.levels
    )


def _without_accuracy(expectation: Expectation) -> Expectation:
    """Return the expectation with an accuracy of NaN."""
    return replace(expectation, accuracy=Expected(*[float("nan")] * 4))
