"""BatchNorm statistics of one backbone: those of the supernet are a mixture of all and fit none."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[torch.Tensor]) -> None:
    """Replace the running statistics of every BatchNorm of `network` by the averages over `batches`.

    Only BatchNorm runs in training mode, so dropout and the rest behave as they will later. The network is
    left in eval mode. The need for it: Cai et al., Once-for-All, 2020; Yu and Huang, Universally Slimmable
    Networks, 2019.

    Args:
        network: Called once with each batch.
        batches: Prepared images (B, C, R, R), B >= 2.
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
