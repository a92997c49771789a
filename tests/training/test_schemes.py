import math

import pytest
import torch

from edanas.core.contracts import ExitBatch, Phase
from edanas.core.errors import ConfigError
from edanas.exits.criteria import ScoreMargin
from edanas.training.schemes import Joint, edanas_training_schemes


def log_softmax(row):
    largest = max(row)
    log_sum = largest + math.log(sum(math.exp(value - largest) for value in row))
    return [value - log_sum for value in row]


def cross_entropy_by_hand(logits, targets):
    """Mean over samples of -sum p log q; logits and targets as nested lists."""
    losses = [
        -sum(p * q for p, q in zip(target, log_softmax(row), strict=True))
        for row, target in zip(logits, targets, strict=True)
    ]
    return sum(losses) / len(losses)


def one_hot(labels, classes, smoothing=0.0):
    return [
        [(1 - smoothing) * (k == label) + smoothing / classes for k in range(classes)] for label in labels
    ]


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(5, 4, generator=generator, dtype=torch.float64) * 3 for _ in range(3)]


LABELS = [0, 3, 1, 1, 2]


def batch(logits, targets=None, smoothing=0.0, phase=None, points=None, learned=None):
    """A batch of a network that has an exit at every point, unless told otherwise."""
    return ExitBatch(
        logits,
        torch.tensor(LABELS) if targets is None else targets,
        phase or Phase.whole(len(logits)),
        points or tuple(range(len(logits))),
        ScoreMargin(),
        smoothing,
        learned or torch.nn.Module(),
    )


@pytest.mark.parametrize(("early", "last"), [(1.0, 1.0), (0.3, 2.5), (0.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("exits", [1, 2, 3])
def test_the_loss_is_equation_4(logits, early, last, smoothing, exits):
    loss = Joint(early, last).loss(batch(logits[:exits], smoothing=smoothing))
    targets = one_hot(LABELS, 4, smoothing)
    weights = [*[early] * (exits - 1), last]
    expected = sum(
        w * cross_entropy_by_hand(each.tolist(), targets)
        for w, each in zip(weights, logits[:exits], strict=True)
    )
    assert loss.shape == ()
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_a_teacher_s_probabilities_are_targets_too(logits):
    teacher = torch.randn(5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(1)
    expected = sum(cross_entropy_by_hand(each.tolist(), teacher.tolist()) for each in logits)
    assert float(Joint().loss(batch(logits, teacher))) == pytest.approx(expected, rel=1e-12)


def test_each_exit_s_gradient_has_its_weight(logits):
    for each in logits:
        each.requires_grad_()
    Joint(2.0, 0.5).loss(batch(logits)).backward()
    for weight, each in zip((2.0, 2.0, 0.5), logits, strict=True):
        expected = weight * (each.detach().softmax(1) - torch.tensor(one_hot(LABELS, 4))) / 5
        assert torch.allclose(each.grad, expected)


@pytest.mark.parametrize(("early", "last"), [(1.0, -0.1), (-1.0, 1.0), (0.0, 0.0), (float("nan"), 1.0)])
def test_weights_that_are_no_weights(early, last):
    with pytest.raises(ConfigError, match=r"scheme\.(early|last): found .*; allowed: "):
        Joint(early, last)


def test_it_is_named_joint():
    assert edanas_training_schemes() == {"joint": Joint}
