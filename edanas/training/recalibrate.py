"""Recalibration of the BatchNorm statistics of one backbone.

The statistics in a supernet are averages over different backbones, so they fit no single backbone.
"""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from edanas.training.precision import FP32, compute_precision


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace the running statistics of every BatchNorm layer with averages over batches.

    Only BatchNorm layers run in training mode. Afterwards the whole network is in eval mode. Recalibration is
    due to Yu and Huang, Universally Slimmable Networks, 2019; see also Cai et al., Once-for-All, 2020.

    Args:
        network: The network, which is called once with each batch.
        batches: Batches of B normalised images (B, C, R, R), with B of 2 or more.

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
            norm.momentum = None  # torch then computes the mean over all batches
            norm.train()
        for images in batches:
            with compute_precision(FP32, images.device):
                network(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
