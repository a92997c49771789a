"""EENet: exit scores and shares of samples, learned together for a budget."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import ConfidenceCriterion, SequenceCriterion
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.exits.correctness import vote_of
from edanas.exits.criteria import Entropy, probabilities

_OTHER_FEATURES = 3
"""Number of features besides class probabilities and earlier scores: maximum, entropy and vote."""

_MARGIN = 1e-6
"""Distance of clamped scores from 0 and 1, so that logarithms are finite."""


class EENet(SequenceCriterion, nn.Module):
    """The exit scores of EENet, learned together with the shares of samples that the exits get.

    The score q of an exit estimates the probability that the exit is correct. It is linear in the exit's
    features, and clamped to [0, 1]: the class probabilities, their maximum, their entropy, the vote of the
    exits so far, and the scores of earlier exits. A second network, with one hidden layer, assigns each
    sample to exits: its outputs are normalised by a softmax over the exits to the assignment r. The loss has
    three terms:

    - the cross-entropy of the scores with the exits' correctness. At an exit, sample n has the weight r
      divided by the sum of r over samples. The mean is over exits;
    - `divergence` times the divergence of r from the distribution over exits that is proportional to q to
      the power `beta`, as a mean over samples and exits;
    - `budget` times |c - b| / b, with the mean cost c of the assignment and the budget b.

    The scores learn from the first term and the assignment from the other two, in turn. The threshold setter
    `eenet` sets the budget, and thresholds by which each exit gets its mean assignment. Without a budget, in
    the search and with other setters, all samples have equal weights, and only the scores are learned.

    The published code bounds the outputs of the assignment network by a sigmoid. No share can then be close
    to 0 or 1, and many budgets cannot be met; here the outputs have no bound.

    Confidences are the scores before they are clamped, on a logistic curve of slope 1 at 1/2, so that clamped
    scores keep their order.

    Source: Ilhan et al., "Adaptive deep neural network inference optimization with EENet", WACV 2024. The
    defaults of `divergence`, `budget`, `beta`, `hidden`, `decay` and `period` are those of its public code.

    Args:
        divergence: Weight of the second term of the loss.
        budget: Weight of the third term of the loss.
        beta: Power of the scores in the second term.
        hidden: Units of the assignment network's hidden layer, as a multiple of the number of its inputs.
        steps: Number of steps of the optimiser, Adam, each with all samples, for scores and assignment each.
        rate: Learning rate.
        decay: Weight decay of the scores. The assignment has none, which would outweigh the third term.
        period: Number of steps in which scores and assignment learn in turn.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> scores = EENet().build(classes=10, exit_points=2)
        >>> scores.after([torch.zeros(1, 10)], points=(0,)).detach()  # not fitted yet
        tensor([0.1680])
    """

    memory = True

    def __init__(
        self,
        divergence: float = 1e-3,
        budget: float = 1e-2,
        beta: float = 1.0,
        hidden: float = 0.5,
        steps: int = 300,
        rate: float = 0.01,
        decay: float = 0.01,
        period: int = 10,
    ) -> None:
        super().__init__()
        for name, value in (("divergence", divergence), ("budget", budget), ("beta", beta), ("decay", decay)):
            if not 0 <= value < float("inf"):
                raise ConfigError(f"criterion.{name}: found {value}; allowed: a number >= 0")
        for name, value in (("hidden", hidden), ("rate", rate)):
            if not 0 < value < float("inf"):
                raise ConfigError(f"criterion.{name}: found {value}; allowed: a number > 0")
        for name, count in (("steps", steps), ("period", period)):
            if count < 1:
                raise ConfigError(f"criterion.{name}: found {count}; allowed: 1 or more")
        self.divergence, self.budget, self.beta, self.hidden = divergence, budget, beta, hidden
        self.steps, self.rate, self.decay, self.period = steps, rate, decay, period
        self.weights = nn.Parameter(torch.zeros(0))

    def build(self, classes: int, exit_points: int) -> "EENet":
        """See `ExitReader.build`. Until `fit` is called, scores are the largest probabilities."""
        criterion = copy.deepcopy(self)
        criterion.weights = nn.Parameter(_first_weights(classes, exit_points))
        return criterion

    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `SequenceCriterion.after`."""
        score = _chain(self.weights, _features(answers, self.weights.dtype), points)[0][-1]
        return (4.0 * (score - 0.5)).sigmoid()

    def fit(self, outputs: Sequence[torch.Tensor], labels: torch.Tensor, points: Sequence[int]) -> None:
        """See `ExitReader.fit`. The weights of exits that are not placed do not change."""
        correct = _correct(outputs, labels)
        features = _features(outputs, torch.float64)
        weights = _first_weights(outputs[0].shape[1], len(self.weights) - 1).to(correct).requires_grad_()
        optimizer = self._optimizer([weights])
        with torch.enable_grad():
            for _ in range(self.steps):
                scores = torch.stack(_chain(weights, features, points)[0], dim=1)
                _step(optimizer, score_loss(scores, correct, torch.ones_like(correct)))
        self._set(weights, points)

    def assign(
        self,
        outputs: Sequence[torch.Tensor],
        labels: torch.Tensor,
        points: Sequence[int],
        costs: Sequence[float],
        budget: float,
    ) -> tuple[float, ...]:
        """See `ConfidenceCriterion.assign`. Scores and assignment have `steps` steps each."""
        correct = _correct(outputs, labels)
        features = _features(outputs, torch.float64)
        weights = _first_weights(outputs[0].shape[1], len(self.weights) - 1).to(correct).requires_grad_()
        assigner = Assigner(weights.shape[1], len(points), self.hidden).to(correct)
        optimizers = self._optimizer([weights]), torch.optim.Adam(assigner.parameters(), self.rate)
        prices = torch.tensor(costs).to(correct)
        with torch.enable_grad():
            for step in range(2 * self.steps):
                chain, inputs = _chain(weights, features, points)
                scores, assignment = torch.stack(chain, dim=1), assigner(inputs)
                if step // self.period % 2 == 0:
                    _step(optimizers[0], score_loss(scores, correct, assignment.detach()))
                    continue
                divergence = divergence_loss(scores.detach(), assignment, self.beta)
                excess = budget_loss(assignment, prices, budget)
                _step(optimizers[1], self.divergence * divergence + self.budget * excess)
        self._set(weights, points)
        with torch.no_grad():
            shares = assigner(_chain(weights, features, points)[1]).mean(dim=0)
        return tuple((shares / shares.sum()).tolist())

    def _optimizer(self, weights: list[torch.Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(weights, self.rate, weight_decay=self.decay)

    def _set(self, weights: torch.Tensor, points: Sequence[int]) -> None:
        """Set the weights of the exits at `points`."""
        with torch.no_grad():
            self.weights[list(points)] = weights[list(points)].to(self.weights)


class Assigner(nn.Module):
    """The assignment network: a distribution over E exits for each sample.

    Args:
        inputs: Number D of inputs at each exit.
        exits: Number E of exits.
        hidden: Units of the hidden layer of each exit, as a multiple of `inputs`.
    """

    def __init__(self, inputs: int, exits: int, hidden: float) -> None:
        super().__init__()
        units = max(1, int(hidden * inputs))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.exits = nn.ModuleList(
                nn.Sequential(nn.Linear(inputs, units), nn.Sigmoid(), nn.Linear(units, 1))
                for _ in range(exits)
            )

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the assignment (B, E) for the inputs (B, D) of each exit."""
        outputs = [layers(each) for layers, each in zip(self.exits, inputs, strict=True)]
        return torch.cat(outputs, dim=1).softmax(dim=1)


def score_loss(scores: torch.Tensor, correct: torch.Tensor, assignment: torch.Tensor) -> torch.Tensor:
    """Return the first term of the loss of `EENet`.

    Args:
        scores: (S, E) scores before they are clamped.
        correct: (S, E) 1 where the exit is correct, else 0.
        assignment: (S, E) share of each sample at each exit.
    """
    weights = assignment / assignment.sum(dim=0)
    inside = scores.clamp(_MARGIN, 1 - _MARGIN)
    return F.binary_cross_entropy(inside, correct, weights, reduction="sum") / scores.shape[1]


def divergence_loss(scores: torch.Tensor, assignment: torch.Tensor, beta: float) -> torch.Tensor:
    """Return the second term of the loss of `EENet`, without its weight; see `score_loss`."""
    powers = scores.clamp(_MARGIN, 1 - _MARGIN) ** beta
    targets = powers / powers.sum(dim=1, keepdim=True)
    return F.kl_div(assignment.log(), targets, reduction="sum") / scores.numel()


def budget_loss(assignment: torch.Tensor, costs: torch.Tensor, budget: float) -> torch.Tensor:
    """Return the third term of the loss of `EENet`, without its weight.

    Args:
        assignment: (S, E) share of each sample at each exit.
        costs: (E,) cost of a sample at each exit.
        budget: The budget, in the units of `costs`.
    """
    return ((assignment @ costs).mean() - budget).abs() / budget


def _step(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _first_weights(classes: int, exit_points: int) -> torch.Tensor:
    """Return weights (N + 1, K + 3 + N) by which each score is the largest probability."""
    weights = torch.zeros(exit_points + 1, classes + _OTHER_FEATURES + exit_points)
    weights[:, classes] = 1.0
    return weights


def _correct(outputs: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
    """Return the correctness (S, E) of E exits, 0 or 1 in float64."""
    return torch.stack([(each.argmax(dim=1) == labels).double() for each in outputs], dim=1)


def _features(answers: Sequence[torch.Tensor], dtype: torch.dtype) -> list[torch.Tensor]:
    """Return the features (B, K + 3) of each exit, all in [0, 1], without the scores of earlier exits."""
    scores = [probabilities(answer) for answer in answers]
    features = []
    for ran, (answer, own) in enumerate(zip(answers, scores, strict=True), start=1):
        others = torch.stack([own.amax(dim=1), Entropy()(answer).to(own), vote_of(scores[:ran])], dim=1)
        features.append(torch.cat([own, others], dim=1).to(dtype))
    return features


def _chain(
    weights: torch.Tensor, features: Sequence[torch.Tensor], points: Sequence[int]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return the scores (B,) of the exits at `points`, not clamped, and the inputs (B, K + 3 + N) of each.

    The scores of other exit points are 0, and computed all the same, so that the cost of an exit does not
    depend on the other placed exits.
    """
    nothing = torch.zeros_like(features[0])
    earlier = [nothing[:, :1]] * (len(weights) - 1)
    own = dict(zip(points, features, strict=True))
    scores, inputs = [], []
    for point in range(points[-1] + 1):
        joined = torch.cat([own.get(point, nothing), *earlier], dim=1)
        score = joined @ weights[point][:, None]
        if point not in own:
            continue
        scores.append(score[:, 0])
        inputs.append(joined)
        if point < len(earlier):
            earlier[point] = score.detach().clamp(0.0, 1.0)
    return scores, inputs


@hookimpl
def edanas_confidence_criteria() -> dict[str, Callable[..., ConfidenceCriterion]]:
    """Register EENet by its name."""
    return {"eenet": EENet}
