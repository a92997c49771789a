"""The training scheme `jei-dnn`: exits and the decision to exit are learned for each other."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from edanas.core.contracts import ExitBatch, Phase, TrainingScheme
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.training.phased_schemes import share_of

_LARGEST_WEIGHT = 5.0
"""Largest weight of a gate's positive targets, as in the source; the smallest is its inverse."""


class JointExitInference(TrainingScheme):
    """Training of the backbone, of its exits, and then of exits and gates for each other (JEI-DNN).

    1. The backbone is trained with its last exit, and then frozen.
    2. Warm-up: the exits learn from all samples.
    3. The loss of a sample at exit l has the weight P_l, its probability of exiting there. P_l is g_l times
       the product of (1 - g_j) over earlier exits j, and the gate g_l is the confidence by the run's
       criterion. At the same time the gates learn: the target of g_l is 1 if the best exit of the sample is
       exit l or an earlier one. The best exit has the smallest sum of cross-entropy and `cost` times the
       multiply-adds up to it, as a share of all. Positive targets together weigh as much as negative ones,
       by a factor from 0.2 to 5.

    The criterion must have weights for the gates to learn: `uncertainty-gate` with `own = 0` is that of the
    source. The source trains exits and gates in turn; here one loss has a term for each, and no gradient of
    one term reaches the weights of the other. Where multiply-adds are unknown, exits are equally far apart.

    Source: Regol, Chataoui and Coates, "Jointly-learned exit and inference for a dynamic neural network",
    ICLR 2024.

    Args:
        cost: Weight of the cost against the cross-entropy, 0 or more; the source's code has 0.7.
        backbone: Share of the steps in which the backbone is trained, between 0 and 1; 0.5 by default.
        warm_up: Share of the other steps in which exits learn from all samples, between 0 and 1.

    Raises:
        ConfigError: An option is out of range.
    """

    uses_costs = True

    def __init__(self, cost: float = 0.7, backbone: float = 0.5, warm_up: float = 0.4) -> None:
        if not 0 <= cost < float("inf"):
            raise ConfigError(f"scheme.cost: found {cost}; allowed: a number >= 0")
        self.cost = cost
        self.backbone, self.warm_up = share_of("backbone", backbone), share_of("warm_up", warm_up)

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """Return the three phases; the first alone if the network has no early exit."""
        count, rest = len(points), 1 - self.backbone
        if count == 1:
            return (Phase.backbone(count),)
        early = tuple(range(count - 1))
        warm_up = Phase("exits", (*early, count - 1), (), early, rest * self.warm_up)
        together = replace(warm_up, name="exits and gates", share=rest * (1 - self.warm_up))
        return (Phase.backbone(count, self.backbone), warm_up, together)

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return the loss of a batch; see `TrainingScheme.loss`."""
        if batch.phase.segments:
            return batch.cross_entropies().sum()
        losses = batch.sample_losses()
        if batch.phase != self.phases(batch.points)[-1]:
            return losses[:, :-1].mean(dim=0).sum()
        fixed = replace(batch, logits=[each.detach() for each in batch.logits])
        gates = torch.stack(fixed.confidences()[:-1], dim=1).to(losses.dtype)
        shares = torch.stack(fixed.exit_shares()[:-1], dim=1).detach()
        weighted = (shares * losses[:, :-1]).sum(dim=1).mean()
        return weighted + self._gate_loss(batch, gates, losses.detach()) if gates.requires_grad else weighted

    def _gate_loss(self, batch: ExitBatch, gates: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of the gates (B, E - 1) for losses (B, E), as a mean over both."""
        exits = losses.shape[1]
        costs = batch.costs or tuple((exit_ + 1) / exits for exit_ in range(exits))
        best = (losses + self.cost * losses.new_tensor(costs)).argmin(dim=1)
        targets = (best[:, None] <= torch.arange(exits - 1, device=best.device)).to(gates.dtype)
        positive = targets.sum(dim=0).clamp_min(0.1)
        weight = ((len(targets) - positive) / positive).clamp(1 / _LARGEST_WEIGHT, _LARGEST_WEIGHT)
        weights = torch.where(targets > 0, weight, torch.ones_like(targets))
        return F.binary_cross_entropy(gates.clamp(1e-6, 1 - 1e-6), targets, weights)


@hookimpl
def edanas_training_schemes() -> dict[str, type[TrainingScheme]]:
    """Register the scheme that learns exits and the decision to exit for each other."""
    return {"jei-dnn": JointExitInference}
