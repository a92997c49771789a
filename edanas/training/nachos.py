"""The training scheme `nachos`: heads and gates on a frozen backbone, within a budget of multiply-adds."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from edanas.core.amounts import parse_amount
from edanas.core.contracts import ExitBatch, Phase, TrainingScheme
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.training.phased_schemes import share_of

_PEAK = "exits, with peaks"
"""Name of the phase in which the peak term counts."""


class Nachos(TrainingScheme):
    """Training of the backbone, then of heads and gates on the frozen backbone (NACHOS).

    A sample exits at exit n with the probability g_n = b_n times the product of 1 - b_j over earlier exits
    j; b_n is its gate. In the later phases the loss is the sum of these terms:

    - the cross-entropy of the mixture of the early exits' logits with the weights g_n, and the cross-entropy
      of the last exit;
    - `cost` times the excess of the expected multiply-adds over `max_macs`, relative to the excess of the
      last exit;
    - `peak` times the mean squared distance between a gate and the accuracy of its exit on the samples of
      the same class in the batch. This term counts in the last phase.

    The criterion adds its own loss; with `cumulative-gate` it is the source's. The training of a supernet has
    no cost term, because its backbones differ in cost. In the source's code the cost term has no gradient,
    and the accuracies of the classes come from a tenth of the images, once in each epoch.

    Source: Gambella, Pomponi, Scardapane and Roveri, "NACHOS: Neural architecture search for hardware
    constrained early exit neural networks", arXiv 2401.13330, and its public code.

    Args:
        max_macs: Budget of the expected multiply-adds of a sample: a number, or a text such as `5M`. `None`,
            the default, leaves the cost term out.
        cost: Weight of the cost term, 0 or more.
        peak: Weight of the peak term, 0 or more.
        backbone: Share of the steps in which the backbone is trained, between 0 and 1.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> [phase.name for phase in Nachos().phases((0, 1, 2))]
        ['backbone', 'exits', 'exits, with peaks']
    """

    uses_costs = True

    def __init__(
        self,
        max_macs: str | float | None = None,
        cost: float = 1.0,
        peak: float = 1.0,
        backbone: float = 0.5,
    ) -> None:
        for name, weight in (("cost", cost), ("peak", peak)):
            if not 0 <= weight < float("inf"):
                raise ConfigError(f"scheme.{name}: found {weight}; allowed: a number >= 0")
        self.max_macs = None if max_macs is None else _budget(max_macs)
        self.cost, self.peak = cost, peak
        self.backbone = share_of("backbone", backbone)

    def phases(self, points: tuple[int, ...]) -> tuple[Phase, ...]:
        """Return the phases of the backbone and, if the network has early exits, of the exits."""
        count = len(points)
        if count == 1:
            return (Phase.backbone(count),)
        exits, half = tuple(range(count)), (1 - self.backbone) / 2
        return (
            Phase.backbone(count, self.backbone),
            Phase("exits", exits, (), exits, half),
            Phase(_PEAK, exits, (), exits, half),
        )

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return the loss of a batch; see `TrainingScheme.loss`."""
        if batch.phase.segments:
            return batch.cross_entropies().sum()
        shares = batch.exit_shares()
        pairs = zip(shares[:-1], batch.logits[:-1], strict=True)
        mixture = torch.stack([share[:, None] * logits for share, logits in pairs]).sum(dim=0)
        loss = torch.stack([_cross_entropy(batch, each) for each in (mixture, batch.logits[-1])]).sum()
        if self.max_macs is not None and batch.macs > self.max_macs:
            limit = self.max_macs / batch.macs
            expected = torch.stack(shares, dim=1).mean(dim=0) @ shares[0].new_tensor(batch.costs)
            loss = loss + self.cost * F.relu(expected - limit) / (1 - limit)
        if batch.phase.name == _PEAK and self.peak:
            loss = loss + self.peak * _peak_term(batch, shares)
        return loss


def _budget(value: str | float) -> float:
    number = parse_amount(value) if isinstance(value, str) else float(value)
    if number is None or not 0 < number < float("inf"):
        raise ConfigError(
            f"scheme.max_macs: found '{value}'; allowed: multiply-adds, such as 5M, 5e6 or 750k"
        )
    return number


def _cross_entropy(batch: ExitBatch, logits: torch.Tensor) -> torch.Tensor:
    smoothing = batch.label_smoothing
    return F.cross_entropy(logits, batch.targets, batch.class_weights, label_smoothing=smoothing)


def _peak_term(batch: ExitBatch, shares: list[torch.Tensor]) -> torch.Tensor:
    """Return the mean squared distance between the gates and the accuracies on their samples' classes."""
    labels = batch.targets if batch.targets.ndim == 1 else batch.targets.argmax(dim=1)
    same = (labels[:, None] == labels).to(shares[0].dtype)
    remaining = 1 - torch.stack(shares[:-1]).cumsum(dim=0)
    before = torch.cat([torch.ones_like(remaining[:1]), remaining[:-1]])
    gates = torch.stack(shares[:-1]) / before.clamp_min(1e-6)
    correct = torch.stack([each.detach().argmax(dim=1) == labels for each in batch.logits[:-1]])
    accuracy = (correct.to(same.dtype) @ same) / same.sum(dim=0)
    return F.mse_loss(gates, accuracy)


@hookimpl
def edanas_training_schemes() -> dict[str, Callable[..., TrainingScheme]]:
    """Register the scheme by its name."""
    return {"nachos": Nachos}
