"""Thresholds of a finished network, set by a threshold setter on calibration samples."""

from collections.abc import Sequence
from functools import partial

import torch

from edanas.core.contracts import Answers, Calibration, ExitNetwork, ThresholdSetter
from edanas.core.costs import Costs
from edanas.core.errors import CandidateError
from edanas.core.preprocess import prepare
from edanas.core.types import ExitProfile, ImageSet
from edanas.model.fitting import fit
from edanas.model.profiling import collect_profile
from edanas.model.temperature import apply_temperatures

_BATCH = 256


def calibrate(
    network: ExitNetwork, samples: ImageSet, costs: Costs, setter: ThresholdSetter, given_up: float = 0.0
) -> ExitProfile:
    """Give `network` the thresholds, temperatures and notes that `setter` chooses.

    Args:
        network: In eval mode; its scheme says which exits are placed.
        samples: Calibration samples, used for nothing else.
        costs: Multiply-adds of its segments.
        setter: The threshold setter.
        given_up: See `Calibration.given_up`.

    Returns:
        The exit profile of the samples, with the new temperatures.

    Raises:
        CandidateError: The setter cannot meet its target, an exit's confidence is not a number, or the setter
            places other exits than the network.
    """
    calibration = Calibration(
        profile=collect_profile(network, samples),
        costs=costs,
        scheme=network.scheme,
        given_up=given_up,
        answers=partial(_collect_answers, network, samples),
        tempered=partial(_tempered_profile, network, samples),
    )
    choice = setter.choose(calibration)
    if choice.scheme.placed != calibration.scheme.placed:
        raise CandidateError(
            f"{type(setter).__name__} places exits at {choice.scheme.placed}; "
            f"expected {calibration.scheme.placed}"
        )
    network.scheme = choice.scheme
    network.description |= choice.notes
    if not choice.temperatures:
        return calibration.profile
    _set_temperatures(network, samples, choice.temperatures)
    return collect_profile(network, samples)


@torch.inference_mode()
def _collect_answers(network: ExitNetwork, samples: ImageSet) -> Answers:
    """Return the logits of all exits on the samples, with their labels."""
    device = next(network.parameters()).device
    logits_of_batches = []
    for batch in torch.split(samples.images, _BATCH):
        prepared = prepare(batch.to(device), network.resolution, network.mean, network.std)
        logits = torch.stack(network.logits(prepared), dim=1)
        logits_of_batches.append(logits.float().cpu())
    return Answers(torch.cat(logits_of_batches).numpy(), samples.labels.cpu().numpy())


def _tempered_profile(network: ExitNetwork, samples: ImageSet, temperatures: Sequence[float]) -> ExitProfile:
    """Return the exit profile with these temperatures; afterwards the network has none."""
    _set_temperatures(network, samples, temperatures)
    try:
        return collect_profile(network, samples)
    finally:
        _set_temperatures(network, samples, ())


def _set_temperatures(network: ExitNetwork, samples: ImageSet, temperatures: Sequence[float]) -> None:
    """Set temperatures, and fit rule and criterion again, because they were fitted to other logits."""
    apply_temperatures(network, temperatures)
    fit(network, samples)
