"""A criterion that is fitted after training: how likely an exit is right, by what all so far say."""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import ConfidenceCriterion, SequenceCriterion
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.exits.criteria import Entropy, probabilities
from edanas.numerics.minimization import minimise

_OTHER_FEATURES = 3
"""What an exit is scored by besides probabilities: the largest, the entropy, and the vote."""


class Scheduler(SequenceCriterion, nn.Module):
    """A learned score at each exit, of what this exit and those before it say (EENet).

    Ilhan et al., "Adaptive deep neural network inference optimization with EENet", WACV 2024. As there, an
    exit is scored by its class probabilities, the largest of them, their entropy, the vote (the share of
    exits so far that the most named class has) and how sure the exits before it are. For the last of these,
    scores are nested there; here it is the largest probability of each, so that what an exit costs does not
    hang on which others stand. The score is a logistic regression of whether the exit is right, fitted on
    the calibration part after the training: convex, so that the same samples always give the same scores.

    How EENet spreads a budget over exits is a matter of the thresholds, which are set afterwards. That is
    done on the calibration part too, where scores are somewhat surer than elsewhere; the penalty keeps that
    small.

    Args:
        penalty: On half the squares of an exit's weights, in nats over all samples; above 0.

    Raises:
        ConfigError: The penalty is out of range.
    """

    memory = True

    def __init__(self, penalty: float = 1.0) -> None:
        super().__init__()
        if not 0 < penalty < float("inf"):
            raise ConfigError(f"criterion.penalty: found {penalty}; allowed: a number > 0")
        self.penalty = penalty
        self.scores = nn.ModuleList()

    def build(self, classes: int, exit_points: int) -> "Scheduler":
        """See `ExitReader.build`; before it is fitted, it is half sure of everything."""
        made = Scheduler(self.penalty)
        for _ in range(exit_points + 1):
            score = nn.Linear(classes + _OTHER_FEATURES + exit_points, 1)
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)
            made.scores.append(score)
        return made

    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `SequenceCriterion.after`."""
        score = self.scores[points[-1]]
        features = self._features(answers, points).to(next(score.parameters()).dtype)
        found: torch.Tensor = score(features)
        return found[:, 0].sigmoid()

    def fit(self, said: Sequence[torch.Tensor], labels: torch.Tensor, points: Sequence[int]) -> None:
        """See `ExitReader.fit`; the scores of exits that do not stand stay as they are."""
        for ran, point in enumerate(points, start=1):
            answers = [answer.double() for answer in said[:ran]]
            right = answers[-1].argmax(dim=1) == labels
            weight, bias = _regression(self._features(answers, points[:ran]), right, self.penalty)
            score = self.scores[point]
            with torch.no_grad():
                score.get_parameter("weight").copy_(weight[None])
                score.get_parameter("bias").copy_(bias)

    def _features(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """What the last of the exits is scored by (B, K + 3 + N), all in [0, 1]."""
        scores = [probabilities(answer) for answer in answers]
        here, classes = scores[-1], answers[-1].shape[1]
        votes = torch.stack([F.one_hot(each.argmax(dim=1), classes) for each in scores])
        vote = votes.to(here.dtype).mean(dim=0).amax(dim=1)
        own = torch.stack([here.amax(dim=1), Entropy()(answers[-1]), vote], dim=1)
        before = {at: each.amax(dim=1) for at, each in zip(points[:-1], scores[:-1], strict=True)}
        nothing = torch.zeros_like(vote)
        earlier = [before.get(at, nothing)[:, None] for at in range(len(self.scores) - 1)]
        return torch.cat([here, own, *earlier], dim=1)


def _regression(
    features: torch.Tensor, right: torch.Tensor, penalty: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (D,) and bias () of a logistic regression of `right` (S,) on features (S, D) in float64.

    Targets are Platt's, a little inside of 0 and 1, so that a finite bias is best even where all are right
    ("Probabilistic outputs for support vector machines", 1999).
    """
    count = int(right.sum())
    high, low = (count + 1) / (count + 2), 1 / (len(right) - count + 2)
    targets = torch.where(right, high, low).to(features.dtype)
    weight = torch.zeros(features.shape[1], dtype=features.dtype, device=features.device, requires_grad=True)
    bias = torch.zeros((), dtype=features.dtype, device=features.device, requires_grad=True)

    def loss() -> torch.Tensor:
        likelihood = F.binary_cross_entropy_with_logits(features @ weight + bias, targets)
        return likelihood + penalty / (2 * len(right)) * weight.square().sum()

    minimise([weight, bias], loss)
    return weight.detach(), bias.detach()


@hookimpl
def edanas_confidence_criteria() -> dict[str, Callable[..., ConfidenceCriterion]]:
    """The scheduler."""
    return {"scheduler": Scheduler}
