"""Training schemes whose later phases freeze earlier modules: `layerwise` and `distill`."""

import torch
import torch.nn.functional as F

from edanas.core.contracts import ExitBatch, Phase, TrainingScheme
from edanas.core.errors import ConfigError


class Layerwise(TrainingScheme):
    """Training of one exit after another, from the first exit to the last.

    The first exit is trained with the stages before it, which are then frozen. The second exit is trained
    with the stages between the first and the second exit, and so on. Each exit has an equal share of the
    steps. The loss is the cross-entropy of the exit. Section II-A of the paper, after Marquez et al. (deep
    cascade learning), 2018.
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
    """Training of the backbone with its last exit, then distillation of the last exit into the early exits.

    The backbone is frozen in the second phase. The loss is the sum over the early exits of
    `(1 - mix) CE + mix T^2 KL`. CE is the cross-entropy of the exit with the targets. KL is the divergence
    from the last exit's probabilities to the probabilities of the exit, both at temperature T.

    Section II-A of the paper, after Abbasi et al., 2019. The loss is due to Hinton et al., Distilling the
    Knowledge in a Neural Network, 2015, Section 2. HADAS (Bouzidi et al., 2022) trains its exits in the same
    way. The defaults are ours, since the paper has none.

    Args:
        temperature: T, by which logits are divided; above 0, 4 by default. Values above 1 give more weight to
            the teacher's probabilities of wrong classes.
        mix: Weight of the last exit's probabilities in the loss, from 0 to 1, 0.5 by default.
        backbone: Share of the steps in which the backbone is trained, between 0 and 1, 0.5 by default.

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
        """Return the phase of the backbone, then the phase of the early exits if the network has any."""
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
    """Return a phase's share of the steps after a check.

    Args:
        name: Name of the option, for the message.
        share: The share.

    Raises:
        ConfigError: The share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ConfigError(f"scheme.{name}: found {share}; allowed: a number > 0 and < 1")
    return share
