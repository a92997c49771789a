"""The training scheme `l2w-den`: a small network, trained by meta-learning, weights samples at each exit."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from edanas.core.contracts import ExitBatch, TrainingScheme
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl

_PROBE = 0.01
"""Length of the step of a finite difference along the gradient of the meta-loss."""


class SampleWeights(TrainingScheme):
    """Training of all exits on weighted losses; the weights of the samples are meta-learned (L2W-DEN).

    Samples that exit early are easy, but a plain training uses every sample at every exit. Here the weight
    of a sample at an exit is 1 + `spread` d. A network with one hidden layer computes d, in [-1, 1] and with
    mean 0 over batch and exits, from the losses of the sample at all exits. It learns in each step:

    1. Copied weights take a step of gradient descent on the weighted losses of one half of the batch.
    2. With the copied weights, the other half exits as in inference: the most confident samples at the first
       exit, and so on. Exit k keeps a share of them in proportion to `decay`^k. The meta-loss is the sum over
       exits of the mean loss of the samples that exit there.
    3. The gradient of the meta-loss trains the network that weights samples.

    The gradient of step 3 needs, for each sample and exit, the slope of the loss along the gradient of
    step 2. It is a central difference of two passes, where the source differentiates twice. In the source the
    halves of a batch then change places, and the network that weights samples has an optimiser of its own.
    Without the network at hand, e.g. in a loop of your own, weights are used but not learned.

    Source: Han, Pu, Lai, Wang, Song, Cao, Huang, Deng and Huang, "Learning to weight samples for dynamic
    early-exiting networks", ECCV 2022.

    Args:
        spread: Largest distance of a weight from 1, between 0 and 1; the source uses 0.3 and 0.8.
        decay: Ratio of the numbers of samples that exit at one exit and at the exit before, in (0, 1].
        step: Length of the step of gradient descent, above 0.
        hidden: Number of units of the hidden layer.

    Raises:
        ConfigError: An option is out of range.
    """

    passes = 10.0

    def __init__(
        self,
        spread: float = 0.3,
        decay: float = 0.75,
        step: float = 0.05,
        hidden: int = 100,
    ) -> None:
        if not 0 < spread < 1:
            raise ConfigError(f"scheme.spread: found {spread}; allowed: a number > 0 and < 1")
        if not 0 < decay <= 1:
            raise ConfigError(f"scheme.decay: found {decay}; allowed: a number > 0 and <= 1")
        if not 0 < step < float("inf"):
            raise ConfigError(f"scheme.step: found {step}; allowed: a number > 0")
        if hidden < 1:
            raise ConfigError(f"scheme.hidden: found {hidden}; allowed: 1 or more")
        self.spread, self.decay, self.step, self.hidden = spread, decay, step, hidden

    def learned(self, points: tuple[int, ...]) -> nn.Module:
        """Return the network that weights samples: losses (B, E) -> (B, E) in [-1, 1]."""
        exits = len(points)
        layers = nn.Linear(exits, self.hidden), nn.ReLU(), nn.Linear(self.hidden, exits), nn.Tanh()
        return nn.Sequential(*layers)

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """Return the weighted loss of a batch; see `TrainingScheme.loss`.

        Its value does not depend on the meta-loss; its gradient for the network that weights samples does.
        """
        losses = batch.sample_losses()
        half = len(losses) // 2
        if batch.rerun is None or half < 1:
            return (self._weights(batch, losses).detach() * losses).mean(dim=0).sum()
        weights = self._weights(batch, losses[:half])
        slopes = self._slopes(batch, losses[:half], weights.detach())
        meta = -(weights * slopes).mean(dim=0).sum()
        full = self._weights(batch, losses).detach()
        return (full * losses).mean(dim=0).sum() + meta - meta.detach()

    def _weights(self, batch: ExitBatch, losses: torch.Tensor) -> torch.Tensor:
        """Return the weight (B, E) of each sample at each exit for losses (B, E)."""
        distances: torch.Tensor = batch.learned(losses.detach())
        return 1 + self.spread * (distances - distances.mean())

    def _slopes(self, batch: ExitBatch, losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return the slope (B / 2, E) of each loss along the gradient of the meta-loss.

        Args:
            batch: The batch; its second half gives the meta-loss.
            losses: Losses (B / 2, E) of its first half.
            weights: Weights (B / 2, E) of these losses.
        """
        trained, half = [each for each in batch.trained if each.requires_grad], len(losses)
        weighted = (weights * losses).mean(dim=0).sum()
        down = torch.autograd.grad(weighted, trained, retain_graph=True, allow_unused=True)
        with _moved(trained, down, -self.step):
            gradient = torch.autograd.grad(self._meta_loss(batch, half), trained, allow_unused=True)
        length = torch.stack([each.square().sum() for each in gradient if each is not None]).sum().sqrt()
        probe = _PROBE / float(length.clamp_min(1e-12))
        sides = []
        for sign in (1, -1):
            with torch.no_grad(), _moved(trained, gradient, sign * probe):
                sides.append(batch.sample_losses(self._rerun(batch))[:half])
        return (sides[0] - sides[1]) / (2 * probe)

    def _meta_loss(self, batch: ExitBatch, half: int) -> torch.Tensor:
        """Return the sum over exits of the mean loss of the samples that exit there.

        The samples are those from index `half` on. Each exit gets its share of the samples that have not
        exited, the most confident first; the last exit gets the rest.
        """
        logits = self._rerun(batch)
        losses = batch.sample_losses(logits)[half:]
        with torch.no_grad():
            confidences = torch.stack(replace(batch, logits=logits).confidences(), dim=1)[half:]
        remaining = torch.ones(len(losses), dtype=torch.bool, device=losses.device)
        counts, total = exit_counts(len(losses), losses.shape[1], self.decay), losses.new_zeros(())
        for exit_, count in enumerate(counts):
            order = confidences[:, exit_].masked_fill(~remaining, -1.0).argsort(descending=True, stable=True)
            here = order[:count]
            if count:
                total = total + losses[here, exit_].mean()
            remaining[here] = False
        return total

    def _rerun(self, batch: ExitBatch) -> list[torch.Tensor]:
        if batch.rerun is None:
            raise RuntimeError("the batch cannot be computed again")
        return batch.rerun()


def exit_counts(samples: int, exits: int, decay: float) -> list[int]:
    """Return the number of samples that exit at each exit, in proportion to `decay`^k at exit k.

    Args:
        samples: Number of samples.
        exits: Number of exits; the last exit gets the rest.
        decay: Ratio of the numbers at one exit and at the exit before.

    Example:
        >>> exit_counts(samples=7, exits=3, decay=0.5)
        [4, 2, 1]
    """
    shares = [decay**exit_ for exit_ in range(exits)]
    early = [int(samples * share / sum(shares)) for share in shares[:-1]]
    return [*early, samples - sum(early)]


@contextmanager
def _moved(
    weights: Sequence[nn.Parameter], directions: Sequence[torch.Tensor | None], factor: float
) -> Iterator[None]:
    """Move weights by `factor` times their directions inside the context; `None` leaves a weight as it is.

    Their `data` is replaced, and not changed, so that gradients of earlier passes stay valid.
    """
    before = [weight.data for weight in weights]
    try:
        for weight, direction in zip(weights, directions, strict=True):
            if direction is not None:
                weight.data = weight.data + factor * direction
        yield
    finally:
        for weight, data in zip(weights, before, strict=True):
            weight.data = data


@hookimpl
def edanas_training_schemes() -> dict[str, type[TrainingScheme]]:
    """Register the scheme that learns the weights of samples."""
    return {"l2w-den": SampleWeights}
