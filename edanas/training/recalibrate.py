"""Recalibration of BatchNorm statistics for one backbone, since the supernet's mix those of all backbones."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace the running statistics of every BatchNorm of `network` with the averages over `batches`.

    Only BatchNorm runs in training mode, and the network ends in eval mode. Recalibration is due to Yu and
    Huang, Universally Slimmable Networks, 2019; see also Cai et al., Once-for-All, 2020.

    Args:
        network: The network, called once with each batch.
        batches: Prepared images (B, C, R, R), B >= 2.

    Example:
        >>> norm = nn.BatchNorm2d(1)
        >>> recalibrate(norm, [torch.full((2, 1, 4, 4), 3.0)])
        >>> norm.running_mean
        tensor([3.])
    """
    network.eval()
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a cumulative average
            norm.train()
        for images in batches:
            network(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
