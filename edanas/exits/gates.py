"""A criterion that is trained with the network: at each exit a small gate says whether to stop."""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import ConfidenceCriterion, SequenceCriterion
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.exits.criteria import probabilities


class LearnedGate(SequenceCriterion, nn.Module):
    """A gate at each exit, trained with the network (differentiable branching).

    Scardapane, Comminiello, Scarpiniti, Baccarelli and Uncini, "Differentiable branching in deep networks for
    fast inference", ICASSP 2020: an exit's gate h in [0, 1] weighs its answer against all later ones (Eq. 2
    of the paper), and the loss on the mixture trains both. Here the gate reads the exit's class probabilities
    in falling order, by one hidden layer, so that one gate serves every backbone of a supernet.

    That loss is a matter of the training scheme: `joint-combined` has it. So that gates learn under any
    scheme, they also have a loss of their own, the cross-entropy with whether the exit is right, by which
    nothing but the gates is trained.

    Args:
        hidden: Units of the hidden layer.
        own: Weight of the gates' own loss; 0 = they learn by the training scheme's loss alone.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(self, hidden: int = 16, own: float = 1.0) -> None:
        super().__init__()
        if hidden < 1:
            raise ConfigError(f"criterion.hidden: found {hidden}; allowed: 1 or more")
        if not 0 <= own < float("inf"):
            raise ConfigError(f"criterion.own: found {own}; allowed: a number >= 0")
        self.hidden, self.own = hidden, own
        self.gates = nn.ModuleList()

    def build(self, classes: int, exit_points: int) -> "LearnedGate":
        """See `ExitReader.build`: a gate for each exit point, and for the last exit."""
        made = LearnedGate(self.hidden, self.own)
        for _ in range(exit_points + 1):
            layers = nn.Linear(classes, self.hidden), nn.ReLU(), nn.Linear(self.hidden, 1)
            made.gates.append(nn.Sequential(*layers))
        return made

    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `SequenceCriterion.after`."""
        return self._opening(answers[-1], points[-1]).sigmoid()

    def loss(
        self, answers: Sequence[torch.Tensor], points: Sequence[int], targets: torch.Tensor
    ) -> torch.Tensor | float:
        """See `ConfidenceCriterion.loss`: the mean over exits."""
        if not self.own:
            return 0.0
        labels = targets if targets.ndim == 1 else targets.argmax(dim=1)
        losses = []
        for answer, point in zip(answers, points, strict=True):
            fixed = answer.detach()
            opening = self._opening(fixed, point)
            right = (fixed.argmax(dim=1) == labels).to(opening.dtype)
            losses.append(F.binary_cross_entropy_with_logits(opening, right))
        return self.own * torch.stack(losses).mean()

    def _opening(self, answer: torch.Tensor, point: int) -> torch.Tensor:
        """How far a gate is open (B,), before the sigmoid."""
        gate = self.gates[point]
        falling = probabilities(answer).topk(answer.shape[1], dim=1).values
        found: torch.Tensor = gate(falling.to(next(gate.parameters()).dtype))
        return found[:, 0]


@hookimpl
def edanas_confidence_criteria() -> dict[str, Callable[..., ConfidenceCriterion]]:
    """The learned gate."""
    return {"learned-gate": LearnedGate}
