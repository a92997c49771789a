"""Training schemes that freeze what an earlier phase trained: layer by layer, or backbone and then exits."""

import torch
import torch.nn.functional as F

from edanas.core.contracts import ExitBatch, Phase, TrainingScheme
from edanas.core.errors import ConfigError


class Layerwise(TrainingScheme):
    """Deep cascade learning (Marquez et al., 2018; Section II-A of the paper).

    The first exit is trained with the stages before it, which are then frozen; the second with the stages
    between the two, and so on to the last. Each has an equal share of the steps and, as there, no part in
    the others' losses: the cross-entropy of its own exit alone.
    """

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """See `TrainingScheme.phases`: one for each exit."""
        count = len(points)
        return tuple(Phase(f"exit {n + 1} of {count}", (n,), (n,), (n,)) for n in range(count))

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """See `TrainingScheme.loss`."""
        return batch.cross_entropies().sum()


class Distill(TrainingScheme):
    """The backbone first, by its last exit alone; then, with it frozen, the early exits, from what it says.

    Section II-A of the paper, there after Abbasi et al. 2019, and how HADAS (Bouzidi et al. 2022) trains its
    exits. Each exit's loss is that of Hinton et al. (Distilling the Knowledge in a Neural Network, 2015,
    Section 2): (1 - mix) CE(targets) + mix T^2 KL(last exit at T || exit at T), at T = temperature; the sum
    over early exits is minimised. The defaults are not the paper's, which has none.

    Args:
        temperature: What logits are divided by, of teacher and exits; above 1 it shows more of what the
            teacher thinks of the other classes.
        mix: Share of the teacher in the loss; the rest is the targets'.
        backbone: Share of the steps that trains the backbone.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(self, temperature: float = 4.0, mix: float = 0.5, backbone: float = 0.5) -> None:
        if not 0 < temperature < float("inf"):
            raise ConfigError(f"scheme.temperature: found {temperature}; allowed: a number > 0")
        if not 0 <= mix <= 1:
            raise ConfigError(f"scheme.mix: found {mix}; allowed: a number >= 0 and <= 1")
        self.temperature, self.mix = temperature, mix
        self.backbone = share_of("backbone", backbone)

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """See `TrainingScheme.phases`: the backbone, and then the early exits, if there are any."""
        count = len(points)
        if count == 1:
            return (Phase.backbone(count),)
        early = tuple(range(count - 1))
        exits = Phase("exits", (*early, count - 1), (), early, 1 - self.backbone)
        return (Phase.backbone(count, self.backbone), exits)

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """See `TrainingScheme.loss`."""
        losses = batch.cross_entropies()
        if batch.phase.segments:
            return losses.sum()
        *students, teacher = [(each / self.temperature).log_softmax(dim=1) for each in batch.logits]
        told = [F.kl_div(s, teacher.detach(), reduction="batchmean", log_target=True) for s in students]
        taught = self.temperature**2 * torch.stack(told)
        return ((1 - self.mix) * losses[:-1] + self.mix * taught).sum()


def share_of(name: str, share: float) -> float:
    """A phase's share of the steps, where another phase has the rest.

    Raises:
        ConfigError: It is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ConfigError(f"scheme.{name}: found {share}; allowed: a number > 0 and < 1")
    return share
