"""The cost-aware training of IDK cascades."""

from collections.abc import Callable

import torch

from edanas.core.contracts import ExitBatch, Phase, TrainingScheme
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.training.phased_schemes import share_of


class IdkCascade(TrainingScheme):
    """Training of all networks or exits alone, then of their decisions on expected loss and cost.

    In the first phase all exits are trained on their cross-entropies. In the second phase the backbone is
    frozen, and early exits and the criterion learn when to pass a sample on ("I don't know"). The confidence
    g_n is the probability that exit n answers. A sample exits there with the probability
    p_n = g_n prod_{j<n} (1 - g_j), and otherwise at the last exit. The loss is the expected loss and cost of
    a sample,

        sum_n p_n (L_n + price c_n)

    with the cross-entropy L_n and the cost c_n of exit n, as a share of the cost of the last exit. Where
    multiply-adds are unknown, exits are equally far apart. The criterion must be differentiable;
    `learned-gate` has a gate at each exit.

    Source: the cost-aware objective of Wang, Luo, Crankshaw, Tumanov, Yu and Gonzalez, "IDK Cascades: Fast
    deep learning by learning not to overthink", UAI 2018, for cascades of any length. The source trains the
    decisions of given networks; `supernet = "cascade"` with `classifier = "carried"` has no other weights in
    the second phase.

    Args:
        price: Price of the computation of the last exit, in nats of cross-entropy.
        backbone: Share of the steps in the first phase, between 0 and 1.

    Raises:
        ConfigError: An option is out of range.
    """

    uses_costs = True

    def __init__(self, price: float = 0.1, backbone: float = 0.7) -> None:
        if not 0 <= price < float("inf"):
            raise ConfigError(f"scheme.price: found {price}; allowed: a number >= 0")
        self.price, self.backbone = price, share_of("backbone", backbone)

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """Return the phase of all exits, then the phase of the decisions if there is an early exit."""
        count = len(points)
        if count == 1:
            return (Phase.backbone(count),)
        every, early = tuple(range(count)), tuple(range(count - 1))
        decisions = Phase("decisions", every, (), early, 1 - self.backbone)
        return Phase.whole(count, self.backbone), decisions

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return the loss of a batch; see `TrainingScheme.loss`."""
        if batch.phase.segments:
            return batch.cross_entropies().sum()
        losses = batch.sample_losses()
        exits = losses.shape[1]
        costs = batch.costs or tuple((exit_ + 1) / exits for exit_ in range(exits))
        shares = torch.stack(batch.exit_shares(), dim=1)
        return (shares * (losses + self.price * losses.new_tensor(costs))).sum(dim=1).mean()


@hookimpl
def edanas_training_schemes() -> dict[str, Callable[..., TrainingScheme]]:
    """Register the training scheme of IDK cascades."""
    return {"idk": IdkCascade}
