"""Thresholds of a finished network, set by a threshold setter on calibration samples."""

import copy
from collections.abc import Sequence
from functools import partial

import torch

from edanas.core.contracts import Answers, Calibration, ExitNetwork, Rescaling, ThresholdSetter
from edanas.core.costs import Costs
from edanas.core.errors import CandidateError
from edanas.core.preprocess import prepare
from edanas.core.types import ExitProfile, ImageSet
from edanas.model.fitting import assign, fit
from edanas.model.profiling import collect_profile
from edanas.model.rescaling import can_rescale, fold
from edanas.model.temperature import apply_temperatures

_BATCH = 256


def calibrate(
    network: ExitNetwork, samples: ImageSet, costs: Costs, setter: ThresholdSetter, given_up: float = 0.0
) -> ExitProfile:
    """Set the thresholds, temperatures and notes of a network that a threshold setter chooses.

    Args:
        network: A network in eval mode; changed in place. Its scheme determines which exits are placed.
        samples: Calibration samples.
        costs: Costs of the network, in multiply-adds.
        setter: The threshold setter.
        given_up: Accuracy that the candidate lost against its last exit in the search, as a fraction.

    Returns:
        The exit profile of the calibration samples, computed with the new temperatures.

    Raises:
        CandidateError: No thresholds meet the setter's budget, the confidence of an exit is NaN, or the
            setter places other exits than the network.
    """
    calibration = Calibration(
        profile=collect_profile(network, samples),
        costs=costs,
        scheme=network.scheme,
        given_up=given_up,
        answers=partial(collect_logits, network, samples),
        tempered=partial(_tempered_profile, network, samples),
        assigned=partial(_assigned_profile, network, samples, costs) if network.criterion.assigns else None,
        rescaled=partial(_rescaled_profile, network, samples) if can_rescale(network) else None,
    )
    choice = setter.choose(calibration)
    if choice.scheme.placed != calibration.scheme.placed:
        raise CandidateError(
            f"{type(setter).__name__} places exits at {choice.scheme.placed}; "
            f"expected {calibration.scheme.placed}"
        )
    network.scheme = choice.scheme
    network.description |= choice.notes
    if choice.rescalings:
        fold(network, choice.rescalings)
        fit(network, samples)
    if choice.temperatures:
        _set_temperatures(network, samples, choice.temperatures)
    elif not setter.assigns and not choice.rescalings:
        return calibration.profile
    return collect_profile(network, samples)


@torch.inference_mode()
def collect_logits(network: ExitNetwork, samples: ImageSet) -> Answers:
    """Return logits and outputs of all exits for the samples, and the labels of the samples."""
    device = next(network.parameters()).device
    every = (*network.points, network.exit_points)
    logits_of_batches: list[torch.Tensor] = []
    outputs_of_batches: list[torch.Tensor] = []
    for batch in torch.split(samples.images, _BATCH):
        prepared = prepare(batch.to(device), network.input_size, network.mean, network.std)
        logits = network.prepared_logits(prepared)
        outputs = network.decide([logits[every.index(point)] for point in (*network.answering, every[-1])])[0]
        for batches, tensors in ((logits_of_batches, logits), (outputs_of_batches, outputs)):
            batches.append(torch.stack(tensors, dim=1).float().cpu())
    return Answers(
        torch.cat(logits_of_batches).numpy(),
        samples.labels.cpu().numpy(),
        torch.cat(outputs_of_batches).numpy(),
    )


def _tempered_profile(network: ExitNetwork, samples: ImageSet, temperatures: Sequence[float]) -> ExitProfile:
    """Return the exit profile with the given temperatures; afterwards the network has no temperatures."""
    _set_temperatures(network, samples, temperatures)
    try:
        return collect_profile(network, samples)
    finally:
        _set_temperatures(network, samples, ())


def _rescaled_profile(
    network: ExitNetwork, samples: ImageSet, rescalings: Sequence[Rescaling]
) -> ExitProfile:
    """Return the exit profile of a network with rescaled logits; the network does not change."""
    rescaled = copy.deepcopy(network)
    fold(rescaled, rescalings)
    fit(rescaled, samples)
    return collect_profile(rescaled, samples)


def _assigned_profile(
    network: ExitNetwork, samples: ImageSet, costs: Costs, budget: float
) -> tuple[ExitProfile, tuple[float, ...]]:
    """Fit the criterion for a budget; return the new exit profile and the share of samples for each exit."""
    shares = assign(network, samples, costs, budget)
    return collect_profile(network, samples), shares


def _set_temperatures(network: ExitNetwork, samples: ImageSet, temperatures: Sequence[float]) -> None:
    """Set temperatures, and fit inference rule and criterion again, because the logits have changed."""
    apply_temperatures(network, temperatures)
    fit(network, samples)
