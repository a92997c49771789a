"""Training schemes that train all exits together: by the sum of their losses, or a loss of what they say."""

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

    `weights = "learned"` weighs the losses by uncertainty (Kendall et al., Multi-Task Learning Using
    Uncertainty to Weigh Losses, CVPR 2018, Eq. 10): the sum over exits of exp(-s) L + s / 2, each s = log
    sigma^2 learned from 0 with the network. The defaults are those of Section V of the paper: all weights 1.

    Args:
        early: Weight of each early exit.
        last: Weight of the last exit.
        weights: `fixed` (by `early` and `last`), `learned`, or a list with the weight of each exit point and,
            last, of the last exit; a network is trained with those of the exits that it has.
        rescale: Whether the gradient of what several exits share is the mean over them, and not the sum (Li
            et al., Improved Techniques for Training Adaptive Deep Networks, ICCV 2019). It matters with the
            optimiser `sgd`; `adamw` scales its steps by itself.

    Raises:
        ConfigError: A weight is negative, or none is above 0.
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
        """See `TrainingScheme.phases`: one phase.

        Raises:
            ConfigError: The weights that are set are not as many as the exit points and the last exit.
        """
        exits = points[-1] + 1
        if not isinstance(self.weights, str) and len(self.weights) != exits:
            raise ConfigError(
                f"scheme.weights: found {len(self.weights)} weights; allowed: {exits}, one for each of the "
                f"{exits - 1} exit points and one for the last exit"
            )
        return (Phase.whole(len(points), rescale=self.rescale),)

    def learned(self, points: tuple[int, ...]) -> nn.Module | None:
        """See `TrainingScheme.learned`: log sigma^2 of each exit, where weights are learned."""
        return _Learned(len(points)) if self.weights == "learned" else None

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """See `TrainingScheme.loss`."""
        losses = batch.cross_entropies()
        if isinstance(batch.learned, _Learned):
            logs = batch.learned.values[list(batch.phase.exits)]
            return ((-logs).exp() * losses + logs / 2).sum()
        return (losses * losses.new_tensor(self._weights_of(batch))).sum()

    def _weights_of(self, batch: ExitBatch) -> list[float]:
        last = batch.points[-1]
        at = [batch.points[index] for index in batch.phase.exits]
        if isinstance(self.weights, str):
            return [self.last if point == last else self.early for point in at]
        return [self.weights[point] for point in at]


class Mixed(Joint):
    """The backbone with its last exit first, then everything together, by the loss of `joint`.

    So named and compared with `joint` and with training heads alone by Kubaty et al., How to Train Your
    Multi-Exit Model, 2024. The default halves the steps.

    Args:
        backbone: Share of the steps that trains the backbone alone.
        early: As for `joint`.
        last: As for `joint`.
        weights: As for `joint`.
        rescale: As for `joint`; in the second phase.

    Raises:
        ConfigError: As for `joint`, or the share is not between 0 and 1.
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
        """See `TrainingScheme.phases`: the backbone, then everything."""
        super().phases(points)
        together = Phase.whole(len(points), 1 - self.backbone, rescale=self.rescale)
        return (Phase.backbone(len(points), self.backbone), together)


class JointCombined(TrainingScheme):
    """One loss, the cross-entropy of the combination of all exits' outputs, which are class probabilities.

    Section II-A of the paper, there after Kim et al., Deeply-Recursive Convolutional Network, CVPR 2016; a
    form of joint training in Scardapane et al., Why Should We Add Early Exits to Neural Networks?, 2020. The
    combination is a `mean`; a mean by weights `learned` with the network, equal at first; or
    `soft-conditional` (Eq. 2 of the paper; Scardapane et al., Differentiable Branching in Deep Networks,
    ICASSP 2020): y~_n = g_n y_n + (1 - g_n) y~_(n+1) from the last exit to the first, where g_n is how sure
    exit n is by the run's criterion, in place of whether it is sure enough.

    Args:
        combine: `mean`, `learned` or `soft-conditional`.
        own: Share of the exits' own losses, their mean, beside the combination's (Kim et al. name it alpha,
            and let it fall to 0). At 0, the default, no exit is asked to be right alone.

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
        """See `TrainingScheme.learned`: the logarithms of the weights, where these are learned."""
        return _Learned(len(points)) if self.combine == "learned" else None

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """See `TrainingScheme.loss`."""
        said = torch.stack([each.log_softmax(dim=1) for each in batch.logits])
        together = (said + self._log_shares(batch)).logsumexp(dim=0)
        loss = -(_wanted(batch) * together).sum(dim=1).mean()
        return (1 - self.own) * loss + self.own * batch.cross_entropies().mean() if self.own else loss

    def _log_shares(self, batch: ExitBatch) -> torch.Tensor:
        """Logarithms of each exit's share in the combination, for each sample: (E, B, 1) or (E, 1, 1)."""
        if isinstance(batch.learned, _Learned):
            return batch.learned.values.log_softmax(dim=0)[:, None, None]
        count, like = len(batch.logits), batch.logits[0]
        if self.combine == "mean":
            return like.new_full((count, 1, 1), 1 / count).log()
        shares, left = [], like.new_ones(len(like))
        for sure in batch.confidences()[:-1]:
            shares.append(left * sure.to(like.dtype))
            left = left * (1 - sure.to(like.dtype))
        # Of an exit that has no share, the logarithm must have a gradient.
        return torch.stack([*shares, left]).clamp_min(_NO_SHARE).log()[:, :, None]


_NO_SHARE = 1e-12


class _Learned(nn.Module):
    """A number for each exit, learned from 0."""

    def __init__(self, exits: int) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.zeros(exits))


def _wanted(batch: ExitBatch) -> torch.Tensor:
    """The targets as probabilities (B, K), smoothed."""
    targets, classes = batch.targets, batch.logits[0].shape[1]
    if not targets.is_floating_point():
        targets = one_hot(targets, classes).to(batch.logits[0].dtype)
    return (1 - batch.label_smoothing) * targets + batch.label_smoothing / classes


def _check_weight(name: str, weight: float) -> None:
    if not 0 <= weight < float("inf"):
        raise ConfigError(f"scheme.{name}: found {weight}; allowed: a number >= 0")


def _check_choice(name: str, found: str, choices: Sequence[str]) -> None:
    if found not in choices:
        raise ConfigError(f"scheme.{name}: found '{found}'.{near_miss(found, choices)}")


@hookimpl
def edanas_training_schemes() -> dict[str, Callable[..., TrainingScheme]]:
    """The built-in training schemes."""
    return {
        "joint": Joint,
        "joint-combined": JointCombined,
        "layerwise": Layerwise,
        "distill": Distill,
        "mixed": Mixed,
    }
