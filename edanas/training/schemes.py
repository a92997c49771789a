"""Training schemes for all exits together, by the sum of their losses or the loss of their combination."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn.functional import one_hot

from edanas.core.contracts import ExitBatch, Phase, TrainingScheme
from edanas.core.errors import ConfigError, near_miss
from edanas.core.hookspecs import hookimpl
from edanas.training.phased_schemes import Distill, Layerwise, share_of

Weights = Literal["fixed", "learned"]
_WEIGHTS, _COMBINATIONS = ("fixed", "learned"), ("mean", "learned", "soft-conditional")


class Joint(TrainingScheme):
    """Weighted sum of all exits' cross-entropies (Eq. 4 of the paper; first in BranchyNet, 2016).

    `weights = "learned"` weights the losses by uncertainty (Kendall et al., Multi-Task Learning Using
    Uncertainty to Weigh Losses, CVPR 2018, Eq. 10). The loss is the sum over exits of exp(-s) L + s / 2,
    where s = log sigma^2 is learned from 0. The defaults are those of Section V of the paper: all weights 1.

    Args:
        early: Weight of each early exit.
        last: Weight of the last exit.
        weights: `fixed` (by `early` and `last`), `learned`, or a list with the weights of all exit points and
            the last exit. A network is trained with the weights of the exits that it has.
        rescale: Whether layers that several exits share get the mean of their gradients, not the sum (Li et
            al., Improved Techniques for Training Adaptive Deep Networks, ICCV 2019). This matters for the
            optimiser `sgd`; `adamw` normalises its steps.

    Raises:
        ConfigError: A weight is negative, or none is above 0.

    Example:
        >>> Joint(early=0.3).phases((0, 1, 2))[0].exits
        (0, 1, 2)
    """

    def __init__(
        self,
        early: float = 1.0,
        last: float = 1.0,
        weights: Weights | Sequence[float] = "fixed",
        *,
        rescale: bool = False,
    ) -> None:
        for name, weight in (("early", early), ("last", last)):
            _check_weight(name, weight)
        if early == last == 0:
            raise ConfigError("scheme.early: found 0, as scheme.last; allowed: one of them above 0")
        if isinstance(weights, str):
            _check_choice("weights", weights, _WEIGHTS)
        else:
            for index, weight in enumerate(weights, 1):
                _check_weight(f"weights[{index}]", weight)
            if not any(weights):
                raise ConfigError(f"scheme.weights: found {list(weights)}; allowed: a list with one above 0")
        self.early, self.last, self.rescale = early, last, rescale
        self.weights = weights if isinstance(weights, str) else tuple(weights)

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """Return one phase, which trains everything; see `TrainingScheme.phases`.

        Raises:
            ConfigError: The list of weights is not as long as the number of exit points plus the last exit.
        """
        exits = points[-1] + 1
        if not isinstance(self.weights, str) and len(self.weights) != exits:
            raise ConfigError(
                f"scheme.weights: found {len(self.weights)} weights; allowed: {exits}, one for each of the "
                f"{exits - 1} exit points and one for the last exit"
            )
        return (Phase.whole(len(points), rescale=self.rescale),)

    def learned(self, points: tuple[int, ...]) -> nn.Module | None:
        """Return log sigma^2 of each exit if weights are learned; see `TrainingScheme.learned`."""
        return _NumberPerExit(len(points)) if self.weights == "learned" else None

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return the loss of a batch; see `TrainingScheme.loss`."""
        losses = batch.cross_entropies()
        if isinstance(batch.learned, _NumberPerExit):
            logs = batch.learned.values[list(batch.phase.exits)]
            return ((-logs).exp() * losses + logs / 2).sum()
        return (losses * losses.new_tensor(self._weights_of(batch))).sum()

    def _weights_of(self, batch: ExitBatch) -> list[float]:
        last = batch.points[-1]
        points = [batch.points[index] for index in batch.phase.exits]
        if isinstance(self.weights, str):
            return [self.last if point == last else self.early for point in points]
        return [self.weights[point] for point in points]


class Mixed(Joint):
    """The backbone with its last exit first, then everything, by the loss of `joint`.

    The name and a comparison with `joint` are in Kubaty et al., How to Train Your Multi-Exit Model, 2024. By
    default each phase has half of the steps.

    Args:
        backbone: Share of the steps that train only the backbone.
        early: Weight of each early exit.
        last: Weight of the last exit.
        weights: As in `joint`.
        rescale: As in `joint`, for the second phase.

    Raises:
        ConfigError: A weight is negative, none is above 0, or the share is not between 0 and 1.
    """

    def __init__(
        self,
        backbone: float = 0.5,
        early: float = 1.0,
        last: float = 1.0,
        weights: Weights | Sequence[float] = "fixed",
        *,
        rescale: bool = False,
    ) -> None:
        super().__init__(early, last, weights, rescale=rescale)
        self.backbone = share_of("backbone", backbone)

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """Return the phase of the backbone, then that of everything; see `TrainingScheme.phases`."""
        super().phases(points)
        everything = Phase.whole(len(points), 1 - self.backbone, rescale=self.rescale)
        return (Phase.backbone(len(points), self.backbone), everything)


class JointCombined(TrainingScheme):
    """The cross-entropy of one combination of all exits' class probabilities.

    Section II-A of the paper, after Kim et al., Deeply-Recursive Convolutional Network, CVPR 2016; a form of
    joint training in Scardapane et al., Why Should We Add Early Exits to Neural Networks?, 2020. The
    combination is one of three:

    - `mean`: the mean of all exits.
    - `learned`: a weighted mean, with weights that are learned and equal at first.
    - `soft-conditional`: y~_n = g_n y_n + (1 - g_n) y~_(n+1), from the last exit to the first, where g_n is
      the confidence of exit n by the run's criterion. Eq. 2 of the paper; Scardapane et al., Differentiable
      Branching in Deep Networks, ICASSP 2020.

    Args:
        combine: `mean`, `learned` or `soft-conditional`.
        own: Share of the mean of the exits' own losses (alpha in Kim et al., reduced to 0 in training). At 0,
            the default, only the combination is trained to be correct.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(
        self, combine: Literal["mean", "learned", "soft-conditional"] = "mean", own: float = 0.0
    ) -> None:
        _check_choice("combine", combine, _COMBINATIONS)
        if not 0 <= own < 1:
            raise ConfigError(f"scheme.own: found {own}; allowed: a number >= 0 and < 1")
        self.combine, self.own = combine, own

    def learned(self, points: tuple[int, ...]) -> nn.Module | None:
        """Return the logarithms of the weights if they are learned; see `TrainingScheme.learned`."""
        return _NumberPerExit(len(points)) if self.combine == "learned" else None

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return the loss of a batch; see `TrainingScheme.loss`."""
        log_probabilities = torch.stack([logits.log_softmax(dim=1) for logits in batch.logits])
        combined = (log_probabilities + self._log_shares(batch)).logsumexp(dim=0)
        loss = -(_smoothed_targets(batch) * combined).sum(dim=1).mean()
        return (1 - self.own) * loss + self.own * batch.cross_entropies().mean() if self.own else loss

    def _log_shares(self, batch: ExitBatch) -> torch.Tensor:
        """Return the logarithm of each exit's share in the combination: (E, B, 1) or (E, 1, 1)."""
        if isinstance(batch.learned, _NumberPerExit):
            return batch.learned.values.log_softmax(dim=0)[:, None, None]
        count, first = len(batch.logits), batch.logits[0]
        if self.combine == "mean":
            return first.new_full((count, 1, 1), 1 / count).log()
        shares, remaining = [], first.new_ones(len(first))
        for confidence in batch.confidences()[:-1]:
            shares.append(remaining * confidence.to(first.dtype))
            remaining = remaining * (1 - confidence.to(first.dtype))
        # The logarithm of a share of 0 has no gradient.
        return torch.stack([*shares, remaining]).clamp_min(_SMALLEST_SHARE).log()[:, :, None]


_SMALLEST_SHARE = 1e-12
"""Smallest share of an exit in a combination, for a finite logarithm."""


class _NumberPerExit(nn.Module):
    """A learned number for each exit, initially 0."""

    def __init__(self, exits: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.zeros(exits))


def _smoothed_targets(batch: ExitBatch) -> torch.Tensor:
    """Return the targets as smoothed probabilities (B, K)."""
    targets, classes = batch.targets, batch.logits[0].shape[1]
    if not targets.is_floating_point():
        targets = one_hot(targets, classes).to(batch.logits[0].dtype)
    return (1 - batch.label_smoothing) * targets + batch.label_smoothing / classes


def _check_weight(name: str, weight: float) -> None:
    if not 0 <= weight < float("inf"):
        raise ConfigError(f"scheme.{name}: found {weight}; allowed: a number >= 0")


def _check_choice(name: str, choice: str, choices: Sequence[str]) -> None:
    if choice not in choices:
        raise ConfigError(f"scheme.{name}: found '{choice}'.{near_miss(choice, choices)}")


@hookimpl
def edanas_training_schemes() -> dict[str, Callable[..., TrainingScheme]]:
    """Register the built-in training schemes."""
    return {
        "joint": Joint,
        "joint-combined": JointCombined,
        "layerwise": Layerwise,
        "distill": Distill,
        "mixed": Mixed,
    }
