"""Rules whose heads read the exit before them, against their papers' formulas and plain optimisation."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.errors import ConfigError
from edanas.exits.criteria import MaxProbability
from edanas.exits.decisions import Decision, decide_all
from edanas.exits.earlier_exits import Boosted, ZeroTimeWaste

POINTS = (0, 2, 3)


def exits(count: int, seed: int, margins=(1.0, 1.5, 2.0)):
    """Return labels, and logits of three exits of rising accuracy with independent errors."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count,), generator=generator)
    logits = [torch.randn(count, 4, generator=generator) for _ in margins]
    for each, margin in zip(logits, margins, strict=True):
        each[torch.arange(count), labels] += margin
    return logits, labels


def decided(rule, logits, points=POINTS):
    decisions = [Decision(rule, MaxProbability(), points[: at + 1]) for at in range(len(points))]
    return decide_all(decisions, logits)[0]


def test_boosted_exits_are_the_weighted_sums_of_the_paper():
    logits, _ = exits(5, seed=0)
    first, second, third = logits
    answers = decided(Boosted(0.5), logits)
    expected = [first, second + 0.5 * first, third + 0.5 * (second + 0.5 * first)]
    for answer, sum_ in zip(answers, expected, strict=True):
        assert torch.allclose(answer, sum_)


def test_each_boosted_exit_descends_the_gradient_that_the_exits_before_it_leave():
    """A weak learner's gradient is that of the additive model; it does not change earlier exits."""
    logits, labels = exits(6, seed=1)
    for each in logits:
        each.requires_grad_()
    corrected = Boosted(1.0).corrected_for_training(logits, POINTS)
    F.cross_entropy(corrected[2], labels).backward()
    assert logits[0].grad is None and logits[1].grad is None
    residual = (sum(each.detach() for each in logits).softmax(1) - F.one_hot(labels, 4)) / 6
    assert torch.allclose(logits[2].grad, residual, atol=1e-6)


def head_that_reads_both(features, earlier, labels, steps):
    """Train the source's layer, a linear layer on features joined with the normalised earlier logits."""
    layer = nn.Linear(features.shape[1] + 4, 4)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    joined = torch.cat([features, F.layer_norm(earlier, (4,))], dim=1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(layer(joined), labels).backward()
        optimizer.step()
    return layer(joined)


def test_a_cascade_connection_is_the_source_s_layer_on_joined_inputs():
    (features, earlier, _), labels = exits(200, seed=2)
    head, rule = nn.Linear(4, 4), ZeroTimeWaste().build(4, 3)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.SGD([*head.parameters(), *rule.parameters()], lr=0.5)
    for _ in range(30):
        optimizer.zero_grad()
        corrected = rule.corrected_for_training([earlier, head(features)], (0, 2))[1]
        F.cross_entropy(corrected, labels).backward()
        optimizer.step()
    corrected = rule.corrected_for_training([earlier, head(features)], (0, 2))[1]
    assert torch.allclose(corrected, head_that_reads_both(features, earlier, labels, 30), atol=1e-4)
    assert rule.connections[2].abs().max() > 0.1
    assert rule.connections[1].abs().max() == 0  # no exit stands there


def test_the_ensemble_is_the_geometric_mean_with_fitted_weights_and_class_weights():
    logits, _ = exits(3, seed=3)
    rule = ZeroTimeWaste().build(4, 3)
    rule.weights[2].data = torch.tensor([0.4, 9.0, -0.3])
    rule.biases[2].data = torch.tensor([0.0, 1.0, 0.0, -1.0])
    first, second = (each.softmax(1) for each in logits[:2])
    product = first ** (torch.tensor(0.4).exp() / 2) * second ** (torch.tensor(-0.3).exp() / 2)
    product = product * rule.biases[2].detach().exp()
    answer = rule(logits[:2], (0, 2)).exp()
    assert torch.allclose(answer, product / product.sum(1, keepdim=True), atol=1e-6)


def test_a_fitted_ensemble_is_better_than_its_exit_and_than_equal_weights_on_new_samples():
    rule = ZeroTimeWaste(cascade=False).build(4, 3)
    rule.fit(*exits(600, seed=4), POINTS)
    logits, labels = exits(3000, seed=5)

    def loss(answer):
        return float(F.nll_loss(answer.log_softmax(1), labels).detach())

    fitted = rule(logits[:2], POINTS[:2])
    equal = ZeroTimeWaste().build(4, 3)(logits[:2], POINTS[:2])
    assert loss(fitted) < loss(logits[1]) - 0.05
    assert loss(fitted) < loss(equal) - 0.05
    assert (fitted.argmax(1) == labels).float().mean() > (logits[1].argmax(1) == labels).float().mean()
    assert rule.weights[1].abs().max() == 0


def test_the_backbone_s_own_exit_is_left_as_it_is():
    logits, labels = exits(40, seed=6)
    rule = ZeroTimeWaste().build(4, 3)
    rule.fit(logits, labels, POINTS)
    nn.init.ones_(rule.connections[2])
    assert torch.equal(decided(rule, logits)[2], logits[2].log_softmax(1))
    assert rule.corrected(logits[2], logits[1], 3) is logits[2]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Boosted(1.5), "inference.decay"),
        (lambda: Boosted(float("nan")), "inference.decay"),
        (lambda: ZeroTimeWaste(0.0), "inference.penalty"),
    ],
)
def test_wrong_options_are_named(make, field):
    with pytest.raises(ConfigError, match=rf"{field}: found .*; allowed: "):
        make()
