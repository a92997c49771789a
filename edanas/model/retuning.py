"""New thresholds of a finished network on a drifted stream, from confidences alone."""

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
from edanas.model.inputs import batches
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
)
from edanas.thresholds.budgets import Budget, parse_budget, unreachable_budget_message
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
) -> Tuning:
    """Set thresholds that hold a budget on samples without labels; their accuracy remains unknown.

    Keeps the set of exits and rescales their thresholds, so that their order of strictness remains; see
    `edanas.thresholds.quantile_thresholds`.

    Args:
        model: A network, which gets the new thresholds, or its file.
        samples: Paths of images and of folders of images, read as by `edanas.stream`; or confidences (S, E),
            as `EENN.all_exits` returns them.
        max_macs: As for `tune`.
        max_latency: As for `tune`.
        shares: Fractions of calibration samples that exited at each of the N exit points and the last exit.
            By default those that tuning on labelled samples recorded in the network, or else those of the
            present thresholds on these samples.
        batch_size: As for `tune`.
        device: The device of a `model` that is a file.
        seed: As for `tune`.

    Raises:
        ConfigError: There is not exactly one budget, it cannot be read or met, or the network has no exits.
        DataError: Images cannot be read, or confidences do not fit the network, or there are fewer than 10
            samples.
        WeightsError: The model cannot be read.

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
    return _retune_on_profile(network, budget, profile, costs, shares, seed)


def _retune_on_profile(
    network: EENN,
    budget: Budget,
    profile: ExitProfile,
    costs: tuple[Costs, ...],
    shares: Sequence[float] | None,
    seed: int,
) -> Tuning:
    """Set thresholds on an exit profile without labels."""
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
        return thresholds_within_budget(confidence, odds, points, costs_by_exit, limit, network.exit_points)

    scheme = choose_on_part(profile)
    after = estimate_expectation(profile, scheme, costs, choose_on_part, seed)
    # Of an earlier tuning only the shares stay valid.
    notes = {
        "samples": count,
        "shares": utilization,
        "unlabelled": len(profile),
        "executed_macs": after.costs[0].here,
        "budget": str(budget),
    }
    apply_scheme(network, scheme, notes)
    remarks = (
        "The accuracy on these samples is unknown, because they have no labels.",
        f"The relative strictness of the exits is from {source}.",
        *small_sample_remarks(len(profile)),
    )
    return Tuning(
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


def collect_confidences(
    network: EENN,
    source: str | Path | Sequence[str | Path],
    *,
    batch_size: int = 256,
    progress: Progress | None = None,
    on_unreadable: Callable[[DataError], None] | None = None,
) -> Confidences:
    """Return the confidences (S, E) of every exit on image files: see `EENN.all_exits`.

    Args:
        network: In eval mode.
        source: Paths of images and of folders of images.
        batch_size: The number of images read and computed at once.
        progress: Shows a progress bar.
        on_unreadable: Called with the error for each file that cannot be read, which is then skipped.

    Raises:
        DataError: A path has no image, or a file cannot be read (without `on_unreadable`).
    """
    files = image_files([source] if isinstance(source, str | Path) else source)
    confidences: list[torch.Tensor] = []
    with (progress or Silent()).task("Looking at images", len(files)) as bar, torch.inference_mode():
        read = read_batches(
            files, batch_size, network.resolution, grey=len(network.mean) == 1, on_unreadable=on_unreadable
        )
        for count, images_with_names in read:
            images = [image for _, image in images_with_names]
            parts = batches(images, len(network.mean), network.resolution, batch_size)
            confidences += [network.all_exits(batch)[1].float().cpu() for batch in parts]
            bar.advance(count)
    if not confidences:
        raise DataError("images: none can be read")
    return torch.cat(confidences).numpy()


def _reference_shares(
    network: EENN, before: Expectation, shares: Sequence[float] | None, samples: int
) -> tuple[list[float], int, str]:
    """Return the shares whose odds keep their ratios, the number of samples behind them, and their source."""
    notes = network.description.get(TUNING_NOTES)
    source = "the shares given"
    if shares is None and isinstance(notes, dict):
        try:
            shares, samples = [float(each) for each in notes["shares"]], int(notes["samples"])
        except (LookupError, TypeError, ValueError):
            shares = None
        source = "the notes of tuning on labelled samples"
    if shares is None:
        shares = [each.here for each in before.shares]
        source = "the old thresholds on these samples"
    values = np.array(shares, dtype=np.float64)
    fits = values.shape == (network.exit_points + 1,) and (values >= 0).all() and abs(values.sum() - 1) < 1e-6
    if not fits:
        raise ConfigError(
            f"shares: found {list(shares)}; allowed: {network.exit_points + 1} fractions that sum to 1"
        )
    return values.tolist(), samples, source


def _unlabelled_profile(network: EENN, confidences: Confidences) -> ExitProfile:
    """Return confidences as an exit profile in which no exit counts as correct."""
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
    return ExitProfile(network.answering, values, np.zeros(values.shape, dtype=np.bool_))


def _without_accuracy(expectation: Expectation) -> Expectation:
    return replace(expectation, accuracy=Expected(*[float("nan")] * 4))
