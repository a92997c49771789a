"""Training schemes that train all exits together: `joint`, `mixed` and `joint-combined`."""

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
"""Named choices of the weights of the exits' losses."""

_WEIGHTS, _COMBINATIONS = ("fixed", "learned"), ("mean", "learned", "soft-conditional")


class Joint(TrainingScheme):
    """Training of all exits on the weighted sum of their cross-entropies.

    Eq. 4 of the paper; first in Teerapittayanon et al., BranchyNet, 2016. By default all weights are 1, as in
    Section V of the paper.

    Learned weights depend on a learned uncertainty of each exit (Kendall et al., Multi-Task Learning Using
    Uncertainty to Weigh Losses, CVPR 2018, Eq. 10). The loss is the sum over exits of exp(-s) L + s / 2. L is
    the cross-entropy of the exit. The number s, the logarithm of a variance, is learned and starts at 0.

    Args:
        early: Weight of each early exit, 0 or more; 1 by default.
        last: Weight of the last exit, 0 or more; 1 by default.
        weights: `fixed` (default) uses `early` and `last`, and `learned` learns the weights. A list holds the
            weight of each exit point in order, then the weight of the last exit. A network with fewer exits
            is trained with the weights of its exits.
        rescale: Give layers that several exits share the mean of the exits' gradients; by default they get
            the sum. The mean matters for the optimiser `sgd`; `adamw` normalises its steps. Li et al.,
            Improved Techniques for Training Adaptive Deep Networks, ICCV 2019.

    Raises:
        ConfigError: A weight is negative, all weights are 0, or `weights` is an unknown name.

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
            raise ConfigError("scheme.early and scheme.last: found 0; allowed: at least one weight above 0")
        if isinstance(weights, str):
            _check_choice("weights", weights, _WEIGHTS)
        else:
            for index, weight in enumerate(weights, 1):
                _check_weight(f"weights[{index}]", weight)
            if not any(weights):
                raise ConfigError(
                    f"scheme.weights: found {list(weights)}; allowed: a list with a number above 0"
                )
        self.early, self.last, self.rescale = early, last, rescale
        self.weights = weights if isinstance(weights, str) else tuple(weights)

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """Return one phase, which trains the whole network; see `TrainingScheme.phases`.

        Raises:
            ConfigError: `weights` is a list without an entry for each exit point and the last exit.
        """
        exits = points[-1] + 1
        if not isinstance(self.weights, str) and len(self.weights) != exits:
            raise ConfigError(
                f"scheme.weights: found {len(self.weights)} weights; allowed: {exits}, one for each of the "
                f"{exits - 1} exit points and one for the last exit"
            )
        return (Phase.whole(len(points), rescale=self.rescale),)

    def learned(self, points: tuple[int, ...]) -> nn.Module | None:
        """Return the learned number s of each exit, or `None`; see `TrainingScheme.learned`."""
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
    """Training of the backbone with its last exit, then of the whole network with all exits.

    The loss of both phases is the loss of `Joint`. Kubaty et al., How to Train Your Multi-Exit Model, 2024,
    introduce the name and compare this scheme with `Joint`.

    Args:
        backbone: Share of the steps in the first phase, between 0 and 1; 0.5 by default.
        early: Weight of each early exit, 0 or more; 1 by default.
        last: Weight of the last exit, 0 or more; 1 by default.
        weights: `fixed` (default), `learned`, or a list of weights; see `Joint`.
        rescale: Rescale the gradients of shared layers in the second phase; see `Joint`.

    Raises:
        ConfigError: A weight is negative, all weights are 0, or `backbone` is not between 0 and 1.
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
        """Return the phase of the backbone, then that of the whole network; see `TrainingScheme.phases`."""
        super().phases(points)
        everything = Phase.whole(len(points), 1 - self.backbone, rescale=self.rescale)
        return (Phase.backbone(len(points), self.backbone), everything)


class JointCombined(TrainingScheme):
    """Training of all exits on the cross-entropy of one combination of their class probabilities.

    Section II-A of the paper, after Kim et al., Deeply-Recursive Convolutional Network, CVPR 2016. See also
    Scardapane et al., Why Should We Add Early Exits to Neural Networks?, 2020. There are three combinations:

    - `mean`: the mean over exits.
    - `learned`: a weighted mean over exits. The weights are learned, and are equal at first.
    - `soft-conditional`: the result z_1 of the recursion z_n = g_n y_n + (1 - g_n) z_(n+1). For exit n, y_n
      are the class probabilities and g_n is the confidence by the run's criterion. For the last exit, z_n is
      y_n. Eq. 2 of the paper; Scardapane et al., Differentiable Branching in Deep Networks, ICASSP 2020.

    Args:
        combine: `mean` (default), `learned` or `soft-conditional`.
        own: Weight of the mean of all exits' cross-entropies in the loss, from 0 to below 1. The combination
            has the rest. At 0, the default, the loss is the cross-entropy of the combination alone. Kim et
            al. call this weight alpha, and reduce it to 0 during the training.

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
        """Return a learned number for each exit, or `None` for fixed weights; see `TrainingScheme.learned`.

        The weights are the softmax of the numbers.
        """
        return _NumberPerExit(len(points)) if self.combine == "learned" else None

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return the loss of a batch; see `TrainingScheme.loss`."""
        log_probabilities = torch.stack([logits.log_softmax(dim=1) for logits in batch.logits])
        combined = (log_probabilities + self._log_shares(batch)).logsumexp(dim=0)
        loss = -(_smoothed_targets(batch) * combined).sum(dim=1).mean()
        return (1 - self.own) * loss + self.own * batch.cross_entropies().mean() if self.own else loss

    def _log_shares(self, batch: ExitBatch) -> torch.Tensor:
        """Return the logarithm of the weight of each exit in the combination.

        The shape is (E, B, 1) or (E, 1, 1), for E exits and B samples.
        """
        if isinstance(batch.learned, _NumberPerExit):
            return batch.learned.values.log_softmax(dim=0)[:, None, None]
        count, first = len(batch.logits), batch.logits[0]
        if self.combine == "mean":
            return first.new_full((count, 1, 1), 1 / count).log()
        # At a weight of 0 the logarithm and its gradient are infinite.
        return torch.stack(batch.exit_shares()).clamp_min(_SMALLEST_SHARE).log()[:, :, None]


_SMALLEST_SHARE = 1e-12
"""Smallest weight of an exit in a combination, so that its logarithm is finite."""


class _NumberPerExit(nn.Module):
    """A learned number for each exit; all numbers start at 0."""

    def __init__(self, exits: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.zeros(exits))


def _smoothed_targets(batch: ExitBatch) -> torch.Tensor:
    """Return the targets (B, K) of B samples and K classes: probabilities times weights of the classes."""
    targets, classes = batch.targets, batch.logits[0].shape[1]
    if not targets.is_floating_point():
        targets = one_hot(targets, classes).to(batch.logits[0].dtype)
    smoothed = (1 - batch.label_smoothing) * targets + batch.label_smoothing / classes
    return smoothed if batch.class_weights is None else smoothed * batch.class_weights


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
