"""A finished network's thresholds, set by a threshold setter on calibration samples."""

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
        network: In eval mode; its scheme says which exits stand.
        samples: For this and nothing else.
        costs: Of its segments, in multiply-adds.
        setter: Chooses.
        given_up: See `Calibration.given_up`.

    Returns:
        The samples' exit profile, as the network then is.

    Raises:
        CandidateError: What was asked cannot be had, an exit's confidence is not a number, or the setter
            places other exits than stand.
    """
    known = Calibration(
        profile=collect_profile(network, samples),
        costs=costs,
        scheme=network.scheme,
        given_up=given_up,
        answers=partial(_collect_answers, network, samples),
        tempered=partial(_tempered_profile, network, samples),
    )
    choice = setter.choose(known)
    if choice.scheme.placed != known.scheme.placed:
        raise CandidateError(
            f"{type(setter).__name__} places exits at {choice.scheme.placed}; expected {known.scheme.placed}"
        )
    network.scheme = choice.scheme
    network.description |= choice.notes
    if not choice.temperatures:
        return known.profile
    _set_temperatures(network, samples, choice.temperatures)
    return collect_profile(network, samples)


@torch.inference_mode()
def _collect_answers(network: ExitNetwork, samples: ImageSet) -> Answers:
    device = next(network.parameters()).device
    found = []
    for batch in torch.split(samples.images, _BATCH):
        ready = prepare(batch.to(device), network.resolution, network.mean, network.std)
        logits = torch.stack(network.logits(ready), dim=1)
        found.append(logits.float().cpu())
    return Answers(torch.cat(found).numpy(), samples.labels.cpu().numpy())


def _tempered_profile(network: ExitNetwork, samples: ImageSet, temperatures: Sequence[float]) -> ExitProfile:
    _set_temperatures(network, samples, temperatures)
    try:
        return collect_profile(network, samples)
    finally:
        _set_temperatures(network, samples, ())


def _set_temperatures(network: ExitNetwork, samples: ImageSet, temperatures: Sequence[float]) -> None:
    """What rule and criterion learned, they learned of other logits: they learn again."""
    apply_temperatures(network, temperatures)
    fit(network, samples)
