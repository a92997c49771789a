"""Thresholds of a quantised network with which as many samples exit as in the original network."""

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts import ExitNetwork

_BATCH = 64


def matching_thresholds(
    network: ExitNetwork, quantised: ExitNetwork, images: torch.Tensor
) -> tuple[float | None, ...]:
    """Return thresholds with which as many samples take each exit of `quantised` as of `network`.

    Confidences of a quantised network differ from the original ones, so the same thresholds would let other
    shares of the samples exit. Ties of confidences, and samples that exited before, can make shares differ.

    Args:
        network: The original network, whose scheme determines the shares.
        quantised: Its quantised copy.
        images: Images (B, C, H, W) of the calibration part.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> from edanas.testing.toy_networks import toy_images
        >>> network = toy_network()
        >>> len(matching_thresholds(network, network, toy_images(8, seed=0).images))
        2
    """
    exits = np.concatenate([np.asarray(network(batch).exit.cpu()) for batch in torch.split(images, _BATCH)])
    rows = [np.asarray(quantised.all_exits(batch)[1].cpu()) for batch in torch.split(images, _BATCH)]
    confidences = np.concatenate(rows)
    thresholds = list(network.scheme.thresholds)
    remaining = np.ones(len(images), dtype=np.bool_)
    for exit_ in network.scheme.placed:
        confidence = confidences[:, quantised.answering.index(exit_)]
        threshold = _quantile(confidence[remaining], int((exits == exit_).sum()), thresholds[exit_])
        thresholds[exit_] = threshold
        remaining &= ~(confidence >= threshold)
    return tuple(thresholds)


def _quantile(confidence: npt.NDArray[np.float32], count: int, before: float | None) -> float:
    """Return the threshold that `count` of some confidences reach, or as near to `count` as ties permit.

    Args:
        confidence: Confidences of the samples at the exit.
        count: Number of samples that should exit.
        before: The threshold of the original network, which stays if no sample or every sample exits.
    """
    falling = np.sort(confidence)[::-1].astype(np.float64)
    if before is None or not len(falling) or count == 0:
        largest = float(falling[0]) if len(falling) else 0.0
        return float(before or 0.0) if (before or 0.0) > largest else float(np.nextafter(largest, 2.0))
    if count >= len(falling):
        return min(float(before), float(falling[-1]))
    # The middle of two confidences leaves room for rounding on both sides.
    steps = [at for at in range(1, len(falling)) if falling[at - 1] > falling[at]] or [len(falling)]
    at = min(steps, key=lambda step: abs(step - count))
    return float(falling[at - 1]) if at == len(falling) else float((falling[at - 1] + falling[at]) / 2)
