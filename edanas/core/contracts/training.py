"""Contract of training schemes: a plan of phases, and one loss for several exits."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts.deciding import ConfidenceCriterion


@dataclass(frozen=True)
class Phase:
    """A part of a training: the exits that run, and the modules that learn. All others are frozen.

    Exits are counted from 0, the last exit last. An exit has a head, and a segment: the stages between the
    exit before it and itself.

    Args:
        name: The text in progress bars.
        exits: The exits that run, ascending; the loss uses their logits. Stages behind them do not run.
        segments: Exits whose segments are trained.
        heads: Exits whose heads are trained.
        share: Its steps, in proportion to the shares of the other phases.
        rescale: Whether each segment's gradient is the mean, and not the sum, over the exits that it serves
            (gradient equilibrium; Li et al., Improved Techniques for Training Adaptive Deep Networks, ICCV
            2019, Section 3.2). AdamW's steps hardly depend on a gradient's scale; SGD's do.

    Example:
        >>> Phase.whole(3).exits
        (0, 1, 2)
        >>> Phase.backbone(3).heads
        (2,)
    """

    name: str
    exits: tuple[int, ...]
    segments: tuple[int, ...]
    heads: tuple[int, ...]
    share: float = 1.0
    rescale: bool = False

    @classmethod
    def whole(cls, exits: int, share: float = 1.0, *, rescale: bool = False) -> "Phase":
        """Return the phase that trains all of a network with this number of exits."""
        every = tuple(range(exits))
        return cls("all exits", every, every, every, share, rescale)

    @classmethod
    def backbone(cls, exits: int, share: float = 1.0) -> "Phase":
        """Return the phase that trains the backbone and the last exit alone."""
        return cls("backbone", (exits - 1,), tuple(range(exits)), (exits - 1,), share)


@dataclass(frozen=True)
class ExitBatch:
    """The inputs of a loss.

    Args:
        logits: (B, K) of each exit of `phase.exits`, in that order.
        targets: Labels (B,) int64, or a teacher's probabilities (B, K).
        phase: The present phase.
        points: The exit points of all exits of the network, not of this phase alone; N for the last exit.
        criterion: The run's criterion.
        label_smoothing: Share of the target spread over all classes; 0 with a teacher.
        learned: The module that `TrainingScheme.learned` returned for this training, or an empty one.

    Example:
        >>> from edanas.exits.criteria import ScoreMargin
        >>> logits = [torch.zeros(2, 4), torch.zeros(2, 4)]
        >>> batch = ExitBatch(logits, torch.tensor([0, 1]), Phase.whole(2), (0, 1), ScoreMargin())
        >>> batch.cross_entropies()
        tensor([1.3863, 1.3863])
    """

    logits: Sequence[torch.Tensor]
    targets: torch.Tensor
    phase: Phase
    points: tuple[int, ...]
    criterion: ConfidenceCriterion
    label_smoothing: float = 0.0
    learned: nn.Module = field(default_factory=nn.Module)

    def cross_entropies(self) -> torch.Tensor:
        """Return the cross-entropy (E,) of each exit with the targets, as a mean over samples."""
        return torch.stack(
            [
                F.cross_entropy(each, self.targets, label_smoothing=self.label_smoothing)
                for each in self.logits
            ]
        )

    def confidences(self) -> list[torch.Tensor]:
        """Return the confidence of each exit, (B,) in [0, 1]; gradients flow if the criterion allows it."""
        at = self._at
        return [self.criterion.after(self.logits[:ran], at[:ran]) for ran in range(1, len(at) + 1)]

    def criterion_loss(self) -> torch.Tensor | float:
        """Return the criterion's own loss; 0 for most criteria."""
        return self.criterion.loss(self.logits, self._at, self.targets)

    @property
    def _at(self) -> tuple[int, ...]:
        """The exit points of this phase's exits."""
        return tuple(self.points[exit_] for exit_ in self.phase.exits)


class TrainingScheme(ABC):
    """The phases and the loss that train a network with several exits.

    A scheme has no state: one object serves many trainings, of networks with different exits, in any order.

    Example:
        >>> class Sum(TrainingScheme):
        ...     def loss(self, batch):
        ...         return batch.cross_entropies().sum()
        >>> [phase.name for phase in Sum().phases((0, 2, 4))]
        ['all exits']
    """

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """Return the phases in order; by default a single one that trains everything.

        Args:
            points: The exit points with an exit, ascending, then N for the last exit.

        Raises:
            ConfigError: The scheme's options do not fit these exits.
        """
        return (Phase.whole(len(points)),)

    def learned(self, points: tuple[int, ...]) -> nn.Module | None:
        """Return a fresh module that one training learns besides the network, e.g. weights of the losses.

        `None`, the default, means that there is none.

        Args:
            points: As for `phases`.
        """
        return None

    @abstractmethod
    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return a scalar that falls as the logits of the phase's exits approach `batch.targets`."""
