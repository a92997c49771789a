"""Computation of the exit profile of a network, in one pass over the samples."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edanas.core.contracts import ExitNetwork
from edanas.core.errors import CandidateError, DataError
from edanas.core.types import ExitProfile, ImageSet
from edanas.training.precision import FP32, compute_precision

_FUSED = 512
"""Number of samples from which the fusion of a network takes less time than it saves."""


def collect_profile(
    network: ExitNetwork,
    data: ImageSet,
    batch_size: int = 256,
    device: torch.device | str | None = None,
) -> ExitProfile:
    """Return the exit profile of a network: confidence and correctness of every exit for every sample.

    See `collect_answers` for the arguments and errors.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> from edanas.testing.toy_networks import toy_images
        >>> collect_profile(toy_network(), toy_images(4, seed=0)).confidence.shape
        (4, 2)
    """
    return collect_answers(network, data, batch_size, device)[0]


def collect_answers(
    network: ExitNetwork,
    data: ImageSet,
    batch_size: int = 256,
    device: torch.device | str | None = None,
) -> tuple[ExitProfile, npt.NDArray[np.int64]]:
    """Return the exit profile of a network, and the predicted class of every exit for every sample.

    The network runs in eval mode; afterwards each module has its former mode. On many samples a fused copy
    runs, whose outputs are equal up to rounding; see `EENN.freeze`.

    Args:
        network: The network to run. The profile has a column for each exit point in `network.answering`, and
            one for the last exit.
        data: Labelled images of any size.
        batch_size: Number of samples computed at once.
        device: Device to which the network is moved, and where it stays. `None`, the default, does not move
            the network.

    Returns:
        The exit profile, and the predictions (S, E) of E exits for S samples.

    Raises:
        CandidateError: The confidence of an exit is NaN for a sample.
        DataError: There are no samples, or the images do not fit the network.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> from edanas.testing.toy_networks import toy_images
        >>> collect_answers(toy_network(), toy_images(4, seed=0))[1].shape
        (4, 2)
    """
    if not len(data):
        raise DataError("exit profile: found no samples; allowed: one or more")
    if device is not None:
        network.to(device)
    if len(data) >= _FUSED and not network.frozen:
        network = network.freeze()
    confidences, answers = [], []
    with eval_mode(network), torch.inference_mode(), compute_precision(FP32, network.device):
        for start in range(0, len(data), batch_size):
            batch = slice(start, start + batch_size)
            labels, confidence = network.all_exits(data.images[batch])
            confidences.append(confidence.float().cpu())
            answers.append(labels.cpu())
    confidence = torch.cat(confidences)
    if confidence.isnan().any():
        broken = int(confidence.isnan().any(dim=0).nonzero()[0])
        name = [*(f"exit {point + 1}" for point in network.answering), "the last exit"][broken]
        raise CandidateError(f"the confidence of {name} is not a number for some samples")
    predictions = torch.cat(answers)
    correct = predictions == data.labels[:, None].cpu()
    levels = network.criterion.levels
    return ExitProfile(network.answering, confidence.numpy(), correct.numpy(), levels), predictions.numpy()


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[None]:
    """Set eval mode inside the context; afterwards each module has its former mode."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
