"""New thresholds for a finished network on a drifted stream, from confidences alone: `retune`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.errors import ConfigError, DataError
from edanas.core.progress import Progress, Silent
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.data.files import image_files, read_batches
from edanas.model.eenn import EENN
from edanas.model.inputs import batches
from edanas.model.part_latency import UNIT
from edanas.model.tuning import (
    TUNING_NOTES,
    Tuning,
    check_sample_count,
    costs_for,
    latency_in_seconds,
    loaded_network,
    small_sample_remarks,
)
from edanas.thresholds.budgets import parse_budget, unreachable_budget_message
from edanas.thresholds.optimism import Expectation, Expected, estimate_expectation
from edanas.thresholds.quantile_thresholds import exit_odds, thresholds_within_budget
from edanas.thresholds.schemes import exit_costs, restrict_profile
from edanas.thresholds.stream_budget import HOLD

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
    """Thresholds that hold a budget on samples without labels; accuracy is not known and not promised.

    Keeps the set of exits and rescales their thresholds, which keep their order of strictness; see
    `edanas.thresholds.quantile_thresholds`.

    Args:
        model: A network, which gets the new thresholds, or its file.
        samples: Paths of images and of folders of them, read as `edanas.stream` reads them; or confidences
            (S, E), as `EENN.all_exits` gives them.
        max_macs: As for `tune`.
        max_latency: As for `tune`.
        shares: Who left at each of the N exit points and the last exit on calibration samples. If left out:
            what tuning on labelled samples noted in the network, or else what the present thresholds do on
            these samples.
        batch_size: As for `tune`.
        device: Where to compute, for a `model` that is a file.
        seed: As for `tune`.

    Raises:
        ConfigError: There is not exactly one budget, it cannot be read or met, or the network has no exits.
        DataError: Images cannot be read, or confidences do not fit the network, or they are fewer than 10.
        WeightsError: The model cannot be read.
    """
    budget = parse_budget(max_macs, None, max_latency)
    network = loaded_network(model, device)
    confidences = samples if isinstance(samples, np.ndarray) else collect_confidences(network, samples)
    profile = _unlabelled_profile(network, confidences)
    old, points = network.scheme, network.scheme.placed
    if not points:
        raise ConfigError("thresholds: the network has no early exits, so its cost is what it is")
    costs = costs_for(network, budget, batch_size)
    unit, limit = (UNIT, budget.limit / UNIT) if len(costs) > 1 else (1.0, budget.limit)
    leaving = exit_costs(costs[-1], points)
    if wrong := unreachable_budget_message(budget, leaving, points, unit):
        raise ConfigError(wrong)
    before = estimate_expectation(profile, old, costs)
    kept, count, source = _reference_shares(network, before, shares, len(profile))
    odds = exit_odds(kept, points, count)

    def fitted(some: ExitProfile) -> SelectionScheme:
        confidence = restrict_profile(some, points).confidence[:, :-1]
        return thresholds_within_budget(confidence, odds, points, leaving, limit, network.exit_points)

    scheme = fitted(profile)
    network.scheme = scheme
    network.description.pop(HOLD, None)
    after = estimate_expectation(profile, scheme, costs, fitted, seed)
    # What an earlier tuning noted is of thresholds no longer in force, save how exits are to one another.
    network.description[TUNING_NOTES] = {
        "samples": count,
        "shares": kept,
        "unlabelled": len(profile),
        "executed_macs": after.costs[0].here,
        "budget": str(budget),
    }
    remarks = (
        "Without labels nothing is known of the accuracy on these samples, and none is promised.",
        f"How strict exits are to one another is from {source}.",
        *small_sample_remarks(len(profile)),
    )
    quantities = ("max_macs", "max_latency")[: len(costs)]
    return Tuning(
        network,
        budget,
        old,
        scheme,
        len(profile),
        latency_in_seconds(_without_accuracy(before)),
        latency_in_seconds(_without_accuracy(after)),
        quantities,
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
    """How sure every exit is of image files, (S, E): see `EENN.all_exits`.

    Args:
        network: In eval mode.
        source: Paths of images and of folders of them.
        batch_size: How many images are read and computed at once.
        progress: Where to show a bar.
        on_unreadable: Called with the error for each file that cannot be read, which is then passed over.

    Raises:
        DataError: A path leads to no image, or a file cannot be read (without `on_unreadable`).
    """
    files = image_files([source] if isinstance(source, str | Path) else source)
    found: list[torch.Tensor] = []
    with (progress or Silent()).task("Looking at images", len(files)) as bar, torch.inference_mode():
        read = read_batches(
            files, batch_size, network.resolution, grey=len(network.mean) == 1, on_unreadable=on_unreadable
        )
        for taken, named in read:
            images = [image for _, image in named]
            cut = batches(images, len(network.mean), network.resolution, batch_size)
            found += [network.all_exits(batch)[1].float().cpu() for batch in cut]
            bar.advance(taken)
    if not found:
        raise DataError("images: not one of them can be read")
    return torch.cat(found).numpy()


def _reference_shares(
    network: EENN, before: Expectation, shares: Sequence[float] | None, samples: int
) -> tuple[list[float], int, str]:
    """Who left where, the odds of which are to be kept in their ratios; on how many samples, and whence."""
    noted = network.description.get(TUNING_NOTES)
    source = "the shares given"
    if shares is None and isinstance(noted, dict):
        try:
            shares, samples = [float(each) for each in noted["shares"]], int(noted["samples"])
        except (LookupError, TypeError, ValueError):
            shares = None
        source = "what tuning on labelled samples noted"
    if shares is None:
        shares = [each.here for each in before.shares]
        source = "what the old thresholds do on these samples"
    values = np.array(shares, dtype=np.float64)
    fits = values.shape == (network.exit_points + 1,) and (values >= 0).all() and abs(values.sum() - 1) < 1e-6
    if not fits:
        raise ConfigError(
            f"shares: found {list(shares)}; allowed: {network.exit_points + 1} fractions that sum to 1"
        )
    return values.tolist(), samples, source


def _unlabelled_profile(network: EENN, confidences: Confidences) -> ExitProfile:
    values = np.asarray(confidences, dtype=np.float32)
    columns = len(network.answering) + 1
    if values.ndim != 2 or values.shape[1] != columns:
        raise DataError(
            f"confidences: found shape {values.shape}; allowed: (S, {columns}), a column for each of the "
            "network's exits that answers, and for the last"
        )
    if not np.isfinite(values).all():
        raise DataError("confidences: found some that are not finite; allowed: 0 to 1")
    check_sample_count(len(values))
    return ExitProfile(network.answering, values, np.zeros(values.shape, dtype=np.bool_))


def _without_accuracy(found: Expectation) -> Expectation:
    return replace(found, accuracy=Expected(*[float("nan")] * 4))
