"""A confidence criterion that is fitted after training: the estimated probability that an exit is correct."""

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
"""Number of features besides class probabilities and earlier confidences: maximum, entropy and vote."""


class Correctness(SequenceCriterion, nn.Module):
    """The probability that an exit is correct, by a logistic regression at each exit.

    The regression is fitted on the calibration part after training. Its loss is convex, so the same samples
    always give the same confidences. The features of an exit are those of EENet (Ilhan et al., WACV 2024):

    - the class probabilities, their maximum and their entropy;
    - the vote: the share of the exits so far, the current exit included, that predict the most frequent
      class;
    - the maximum probabilities of the earlier placed exits.

    The criterion `eenet` is EENet itself, whose scores and shares of samples are learned together. The
    threshold setter uses the calibration part too, on which confidences are somewhat higher than on new
    samples. The penalty keeps that difference small.

    Args:
        penalty: Factor of the L2 penalty, half the sum of an exit's squared weights; above 0. The loss is in
            nats, summed over all samples.

    Raises:
        ConfigError: `penalty` is not a finite number above 0.

    Example:
        >>> correctness = Correctness().build(classes=10, exit_points=2)
        >>> correctness.after([torch.zeros(1, 10)], points=(0,))  # not fitted yet
        tensor([0.5000], grad_fn=<SigmoidBackward0>)
    """

    memory = True

    def __init__(self, penalty: float = 1.0) -> None:
        super().__init__()
        if not 0 < penalty < float("inf"):
            raise ConfigError(f"criterion.penalty: found {penalty}; allowed: a number > 0")
        self.penalty = penalty
        self.scores = nn.ModuleList()

    def build(self, classes: int, exit_points: int) -> "Correctness":
        """See `ExitReader.build`. Every confidence is 0.5 until `fit` is called."""
        criterion = Correctness(self.penalty)
        for _ in range(exit_points + 1):
            score = nn.Linear(classes + _OTHER_FEATURES + exit_points, 1)
            nn.init.zeros_(score.weight)
            nn.init.zeros_(score.bias)
            criterion.scores.append(score)
        return criterion

    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `SequenceCriterion.after`."""
        score = self.scores[points[-1]]
        features = self._features(answers, points).to(next(score.parameters()).dtype)
        outputs: torch.Tensor = score(features)
        return outputs[:, 0].sigmoid()

    def fit(self, outputs: Sequence[torch.Tensor], labels: torch.Tensor, points: Sequence[int]) -> None:
        """See `ExitReader.fit`. The regressions of exits that are not placed do not change."""
        for ran, point in enumerate(points, start=1):
            answers = [answer.double() for answer in outputs[:ran]]
            correct = answers[-1].argmax(dim=1) == labels
            weight, bias = _regression(self._features(answers, points[:ran]), correct, self.penalty)
            score = self.scores[point]
            with torch.no_grad():
                score.get_parameter("weight").copy_(weight[None])
                score.get_parameter("bias").copy_(bias)

    def _features(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """Return the features (B, K + 3 + N), all in [0, 1], of the last exit in `points`."""
        scores = [probabilities(answer) for answer in answers]
        here, vote = scores[-1], vote_of(scores)
        own = torch.stack([here.amax(dim=1), Entropy()(answers[-1]), vote], dim=1)
        before = {at: each.amax(dim=1) for at, each in zip(points[:-1], scores[:-1], strict=True)}
        nothing = torch.zeros_like(vote)
        earlier = [before.get(at, nothing)[:, None] for at in range(len(self.scores) - 1)]
        return torch.cat([here, own, *earlier], dim=1)


def vote_of(outputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the share (B,) of exits that predict the most frequent class, from outputs (B, K) of exits."""
    votes = torch.stack([F.one_hot(each.argmax(dim=1), each.shape[1]) for each in outputs])
    return votes.to(outputs[-1].dtype).mean(dim=0).amax(dim=1)


def _regression(
    features: torch.Tensor, right: torch.Tensor, penalty: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit a logistic regression of an exit's correctness on its features.

    The targets are slightly above 0 and slightly below 1 (Platt, "Probabilistic outputs for support vector
    machines", 1999). Therefore the best bias is finite even if the exit is correct on all samples.

    Args:
        features: (S, D) float64, D features of each of S samples.
        right: (S,) bool, true for samples that the exit classifies correctly.
        penalty: Factor of the L2 penalty; see `Correctness`.

    Returns:
        The weights (D,) and the bias, a scalar.
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
    """Register the criterion by its name."""
    return {"correctness": Correctness}
