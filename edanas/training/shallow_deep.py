"""The two training schemes of Shallow-Deep networks."""

from collections.abc import Callable

import torch

from edanas.core.contracts import ExitBatch, Phase, TrainingScheme
from edanas.core.hookspecs import hookimpl
from edanas.training.phased_schemes import share_of

_FIRST = 0.01
"""Weight of the early exits' losses at the start of the training."""

_LARGEST = 0.9
"""Weight of the last early exit's loss at the end of the training."""


class ShallowDeepTraining(TrainingScheme):
    """Training of all exits, in which the weights of the early exits' losses rise.

    The loss is the sum of the cross-entropies of all exits. The weight of early exit n of N is
    `min(c, 0.01 + done c)` with c = 0.9 n / N and the fraction `done` of the steps. With six exits, c is the
    share of the multiply-adds before the exit: 0.15, 0.3 and so on. The weight of the last exit is 1.

    Source: the SDN training of Kaya, Hong and Dumitras, "Shallow-Deep Networks: Understanding and mitigating
    network overthinking", ICML 2019, Section 4.2. The source raises the weights once an epoch.
    """

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return the loss of a batch; see `TrainingScheme.loss`."""
        losses, last = batch.cross_entropies(), batch.points[-1]
        at = [batch.points[number] for number in batch.phase.exits]
        ends = [_LARGEST * (point + 1) / max(1, last) for point in at]
        weights = [
            1.0 if point == last else min(end, _FIRST + batch.progress * end)
            for point, end in zip(at, ends, strict=True)
        ]
        return (losses * losses.new_tensor(weights)).sum()


class InternalClassifiers(TrainingScheme):
    """Training of the backbone with its last exit, then of the early exits on the frozen backbone.

    The loss of the second phase is the sum of the cross-entropies of the early exits.

    Source: the IC-only training of Kaya, Hong and Dumitras, "Shallow-Deep Networks: Understanding and
    mitigating network overthinking", ICML 2019, Section 4.2.

    Args:
        backbone: Share of the steps in the first phase, between 0 and 1. By default 0.8: 100 epochs for the
            network and 25 for its internal classifiers.

    Raises:
        ConfigError: `backbone` is not between 0 and 1.
    """

    def __init__(self, backbone: float = 0.8) -> None:
        self.backbone = share_of("backbone", backbone)

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """Return the phase of the backbone, then the phase of the early exits if the network has any."""
        count = len(points)
        if count == 1:
            return (Phase.backbone(count),)
        early = tuple(range(count - 1))
        return Phase.backbone(count, self.backbone), Phase("exits", early, (), early, 1 - self.backbone)

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return the loss of a batch; see `TrainingScheme.loss`."""
        return batch.cross_entropies().sum()


@hookimpl
def edanas_training_schemes() -> dict[str, Callable[..., TrainingScheme]]:
    """Register the two training schemes of Shallow-Deep networks."""
    return {"shallow-deep": ShallowDeepTraining, "internal-classifiers": InternalClassifiers}
