"""Contract of training schemes: a sequence of phases, and one loss for several exits."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts.deciding import ConfidenceCriterion


@dataclass(frozen=True)
class Phase:
    """A part of a training: the exits that run, and the modules that learn. All other modules are frozen.

    Exits are counted from 0; the last exit has the highest number. An exit has a head, and a segment: the
    stages between the previous exit and this exit.

    Args:
        name: Name of the phase in progress bars.
        exits: The exits that run, ascending; the loss reads their logits. Stages after the last exit of
            `exits` do not run.
        segments: The exits whose segments are trained.
        heads: The exits whose heads are trained.
        share: Share of the training's steps, relative to the shares of the other phases; default 1.
        rescale: True if each segment's gradient is the mean, and not the sum, over the exits that the segment
            serves; default False. The mean is gradient equilibrium (Li et al., Improved Techniques for
            Training Adaptive Deep Networks, ICCV 2019, Section 3.2). The steps of AdamW hardly depend on the
            scale of a gradient; the steps of SGD do.

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
        """Return the phase that trains all modules of a network; `exits` includes the last exit."""
        every = tuple(range(exits))
        return cls("all exits", every, every, every, share, rescale)

    @classmethod
    def backbone(cls, exits: int, share: float = 1.0) -> "Phase":
        """Return the phase that trains the backbone and the last exit; `exits` includes the last exit."""
        return cls("backbone", (exits - 1,), tuple(range(exits)), (exits - 1,), share)


@dataclass(frozen=True)
class ExitBatch:
    """The inputs of a training scheme's loss for one batch.

    Args:
        logits: Logits (B, K) of each of the E exits in `phase.exits`, in that order.
        targets: Labels (B,) int64, or a teacher's probabilities (B, K).
        phase: The current phase.
        points: Exit point of each exit of the network, also of exits outside the phase; N for the last exit.
        criterion: The run's confidence criterion.
        label_smoothing: Share of the target probability that is spread over all classes; 0 with a teacher.
        learned: The module that `TrainingScheme.learned` returned for this training, or an empty one.
        class_weights: Weight (K,) of each class in the loss; `None` = all classes weigh the same.
        rerun: Function that computes `logits` again, with the current values of `trained`; `None` if the
            network is not at hand.
        trained: The weights of the network. A scheme may set their `data` for a call of `rerun`, and must
            restore it.
        costs: Multiply-adds of a sample that exits at each exit of the network, as a share of those at the
            last exit; empty if unknown. Schemes with `uses_costs` get them.
        macs: Multiply-adds of a sample that exits at the last exit; 0 if unknown, as in the training of a
            supernet.
        progress: Fraction of the phase's steps that are done, from 0 to below 1.

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
    class_weights: torch.Tensor | None = None
    rerun: Callable[[], list[torch.Tensor]] | None = None
    trained: Sequence[nn.Parameter] = ()
    costs: tuple[float, ...] = ()
    progress: float = 0.0
    macs: float = 0.0

    def sample_losses(self, logits: Sequence[torch.Tensor] | None = None) -> torch.Tensor:
        """Return the cross-entropy (B, E) of each sample at each exit; their means are `cross_entropies`.

        Args:
            logits: Logits (B, K) of each exit in place of those of the batch, the default.
        """
        weights, targets = self.class_weights, self.targets
        losses = [
            F.cross_entropy(each, targets, weights, reduction="none", label_smoothing=self.label_smoothing)
            for each in (self.logits if logits is None else logits)
        ]
        # The mean over labels divides by the sum of their weights.
        scale = 1.0 if weights is None or targets.is_floating_point() else 1 / weights[targets].mean()
        return torch.stack(losses, dim=1) * scale

    def cross_entropies(self) -> torch.Tensor:
        """Return the cross-entropy (E,) of each exit in the phase, as a mean over samples."""
        return torch.stack(
            [
                F.cross_entropy(each, self.targets, self.class_weights, label_smoothing=self.label_smoothing)
                for each in self.logits
            ]
        )

    def confidences(self) -> list[torch.Tensor]:
        """Return the confidence (B,) in [0, 1] of each exit of the phase.

        Gradients flow if the criterion is differentiable.
        """
        at = self._at
        return [self.criterion.after(self.logits[:ran], at[:ran]) for ran in range(1, len(at) + 1)]

    def exit_shares(self) -> list[torch.Tensor]:
        """Return the probability (B,) that a sample exits at each exit of the phase; the sum is 1.

        With gates b_n, the confidences of the exits, it is b_n times the product of 1 - b_j over earlier
        exits j. The last exit of the phase has the rest.
        """
        shares = []
        remaining = torch.ones_like(self.logits[0][:, 0])
        for confidence in self.confidences()[:-1]:
            stays = 1 - confidence.to(remaining.dtype)
            after = torch.minimum(stays, remaining) if self.criterion.cumulative else remaining * stays
            shares.append(remaining - after)
            remaining = after
        return [*shares, remaining]

    def criterion_loss(self) -> torch.Tensor | float:
        """Return the loss of the confidence criterion; 0 for most criteria."""
        return self.criterion.loss(self.logits, self._at, self.targets)

    @property
    def _at(self) -> tuple[int, ...]:
        """Exit points of the exits in the phase."""
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

    passes: ClassVar[float] = 3.0
    """Number of forward passes that take as long as a training step: 1 for the pass, 2 for the gradient."""

    uses_costs: ClassVar[bool] = False
    """True if the loss reads `ExitBatch.costs`."""

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """Return the phases in order; by default a single phase that trains all modules.

        Args:
            points: The exit points with an exit, ascending, then N for the last exit.

        Raises:
            ConfigError: The scheme's options do not fit the number of exits.
        """
        return (Phase.whole(len(points)),)

    def learned(self, points: tuple[int, ...]) -> nn.Module | None:
        """Return a fresh module that is trained together with the network, e.g. weights of the losses.

        `None`, the default, means that no such module exists.

        Args:
            points: The exit points with an exit, ascending, then N for the last exit.
        """
        return None

    @abstractmethod
    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return a scalar that falls as the logits of the phase's exits approach `batch.targets`."""
