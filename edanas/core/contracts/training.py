"""The contract of training schemes: a plan of phases, and what makes one loss of several exits."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts.deciding import ConfidenceCriterion


@dataclass(frozen=True)
class Phase:
    """A part of a training: which exits run, and what learns. All else stays as it is.

    Exits are counted from 0, the last exit last. An exit has a head, and a segment: the stages between the
    exit before it and itself.

    Args:
        name: What progress shows.
        exits: The exits that run, ascending; the loss sees their logits. Stages behind them do not run.
        segments: Exits whose segments are trained.
        heads: Exits whose heads are trained.
        share: Its steps, in proportion to the shares of the other phases.
        rescale: Whether each segment's gradient is the mean, and not the sum, over the exits that it serves
            (gradient equilibrium; Li et al., Improved Techniques for Training Adaptive Deep Networks, ICCV
            2019, Section 3.2). AdamW's steps hardly depend on a gradient's scale; SGD's do.
    """

    name: str
    exits: tuple[int, ...]
    segments: tuple[int, ...]
    heads: tuple[int, ...]
    share: float = 1.0
    rescale: bool = False

    @classmethod
    def whole(cls, exits: int, share: float = 1.0, *, rescale: bool = False) -> "Phase":
        """All of a network with so many exits, trained together."""
        every = tuple(range(exits))
        return cls("all exits", every, every, every, share, rescale)

    @classmethod
    def backbone(cls, exits: int, share: float = 1.0) -> "Phase":
        """The backbone with the last exit alone, of a network with so many exits."""
        return cls("backbone", (exits - 1,), tuple(range(exits)), (exits - 1,), share)


@dataclass(frozen=True)
class ExitBatch:
    """What a loss is made of.

    Args:
        logits: (B, K) of each exit of `phase.exits`, in that order.
        targets: Labels (B,) int64, or a teacher's probabilities (B, K).
        phase: Where the training is.
        points: The exit points of all the network's exits, not of this phase's alone; N for the last exit.
        criterion: The run's.
        label_smoothing: Share of the target spread over all classes; 0 with a teacher.
        learned: What `TrainingScheme.learned` gave for this training; where that is nothing, an empty module.
    """

    logits: Sequence[torch.Tensor]
    targets: torch.Tensor
    phase: Phase
    points: tuple[int, ...]
    criterion: ConfidenceCriterion
    label_smoothing: float = 0.0
    learned: nn.Module = field(default_factory=nn.Module)

    def cross_entropies(self) -> torch.Tensor:
        """Each exit's loss (E,): the cross-entropy with the targets, a mean over samples."""
        return torch.stack(
            [
                F.cross_entropy(each, self.targets, label_smoothing=self.label_smoothing)
                for each in self.logits
            ]
        )

    def confidences(self) -> list[torch.Tensor]:
        """How sure each exit is, (B,) in [0, 1]; gradients flow as far as the criterion lets them."""
        at = self._at
        return [self.criterion.after(self.logits[:ran], at[:ran]) for ran in range(1, len(at) + 1)]

    def criterion_loss(self) -> torch.Tensor | float:
        """What the criterion learns by, beside the scheme's loss; most learn nothing."""
        return self.criterion.loss(self.logits, self._at, self.targets)

    @property
    def _at(self) -> tuple[int, ...]:
        """The exit points of this phase's exits."""
        return tuple(self.points[exit_] for exit_ in self.phase.exits)


class TrainingScheme(ABC):
    """How a network with several exits is trained: in which phases, and by which loss.

    A scheme keeps nothing: one object serves many trainings, of networks with different exits, in any order.
    """

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """The plan, one phase after the other; by default a single one that trains everything.

        Args:
            points: Where the network has exits: exit points ascending, then N for the last exit.

        Raises:
            ConfigError: The scheme's options do not fit these exits.
        """
        return (Phase.whole(len(points)),)

    def learned(self, points: tuple[int, ...]) -> nn.Module | None:
        """What one training learns besides the network, fresh, e.g. the losses' weights; by default nothing.

        Args:
            points: As for `phases`.
        """
        return None

    @abstractmethod
    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """A scalar that falls as the phase's exits say what `batch.targets` say."""
