"""Training schemes in phases that freeze earlier parts: layer by layer, or backbone and then exits."""

import torch
import torch.nn.functional as F

from edanas.core.contracts import ExitBatch, Phase, TrainingScheme
from edanas.core.errors import ConfigError


class Layerwise(TrainingScheme):
    """Deep cascade learning (Marquez et al., 2018; Section II-A of the paper).

    The first exit is trained with the stages before it, which are then frozen. The second is trained with the
    stages between the two, and so on to the last. Each phase has an equal share of the steps, and its loss
    is the cross-entropy of its exit.
    """

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """Return one phase for each exit; see `TrainingScheme.phases`.

        Example:
            >>> [phase.name for phase in Layerwise().phases((0, 1))]
            ['exit 1 of 2', 'exit 2 of 2']
        """
        count = len(points)
        return tuple(Phase(f"exit {n + 1} of {count}", (n,), (n,), (n,)) for n in range(count))

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return the loss of a batch; see `TrainingScheme.loss`."""
        return batch.cross_entropies().sum()


class Distill(TrainingScheme):
    """The backbone first, by its last exit; then, with it frozen, the early exits, distilled from the last.

    Section II-A of the paper, after Abbasi et al. 2019; also the training of exits in HADAS (Bouzidi et al.
    2022). The loss of an exit is that of Hinton et al. (Distilling the Knowledge in a Neural Network, 2015,
    Section 2), at the temperature T: `(1 - mix) CE(targets) + mix T^2 KL(last exit at T || exit at T)`. The
    losses of early exits are summed. The defaults are our choice, since the paper gives none.

    Args:
        temperature: Divisor of the logits of teacher and exits. Above 1 it raises the weight of the teacher's
            probabilities of other classes.
        mix: Share of the teacher in the loss; the targets have the rest.
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
        """Return the backbone's phase, then that of the early exits if there are any."""
        count = len(points)
        if count == 1:
            return (Phase.backbone(count),)
        early = tuple(range(count - 1))
        exits = Phase("exits", (*early, count - 1), (), early, 1 - self.backbone)
        return (Phase.backbone(count, self.backbone), exits)

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return the loss of a batch; see `TrainingScheme.loss`."""
        losses = batch.cross_entropies()
        if batch.phase.segments:
            return losses.sum()
        *students, teacher = [(logits / self.temperature).log_softmax(dim=1) for logits in batch.logits]
        divergences = [
            F.kl_div(s, teacher.detach(), reduction="batchmean", log_target=True) for s in students
        ]
        teacher_losses = self.temperature**2 * torch.stack(divergences)
        return ((1 - self.mix) * losses[:-1] + self.mix * teacher_losses).sum()


def share_of(name: str, share: float) -> float:
    """Return a phase's share of the steps, if it is allowed; another phase has the rest.

    Raises:
        ConfigError: The share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ConfigError(f"scheme.{name}: found {share}; allowed: a number > 0 and < 1")
    return share
