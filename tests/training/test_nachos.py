"""The loss and the gates of NACHOS against their equations."""

import pytest
import torch
from torch.nn import functional as F

from edanas.core.contracts import ExitBatch
from edanas.core.errors import ConfigError
from edanas.exits.gates import CumulativeGate, LearnedGate
from edanas.training.nachos import Nachos

POINTS, COSTS = (0, 2, 3), (0.1, 0.3, 1.0)


@pytest.fixture
def gates():
    torch.manual_seed(0)
    return CumulativeGate(hidden=4).build(classes=5, exit_points=3)


@pytest.fixture
def logits():
    torch.manual_seed(1)
    return [(2 * torch.randn(40, 5)).requires_grad_() for _ in POINTS]


LABELS = torch.arange(40) % 5


def values(gates, logits):
    """Return the gates b (B,) of the early exits."""
    one_by_one = LearnedGate()
    one_by_one.gates = gates.gates
    return [one_by_one.after([each], (point,)) for each, point in zip(logits[:2], POINTS[:2], strict=True)]


def batch_of(gates, logits, number):
    phase = Nachos().phases(POINTS)[number]
    return ExitBatch(logits, LABELS, phase, POINTS, gates, costs=COSTS, macs=100.0)


def test_the_shares_of_the_exits_are_products_of_gates(gates, logits):
    first, second = values(gates, logits)
    shares = batch_of(gates, logits, 1).exit_shares()
    expected = [first, second * (1 - first), (1 - second) * (1 - first)]
    for share, value in zip(shares, expected, strict=True):
        assert torch.allclose(share, value, atol=1e-6)
    assert torch.allclose(gates.after(logits[:2], POINTS[:2]), first + second * (1 - first), atol=1e-6)


def test_the_loss_is_the_sum_of_its_terms(gates, logits):
    first, second = values(gates, logits)
    mixture = first[:, None] * logits[0] + (second * (1 - first))[:, None] * logits[1]
    plain = F.cross_entropy(mixture, LABELS) + F.cross_entropy(logits[2], LABELS)
    assert Nachos().loss(batch_of(gates, logits, 1)).item() == pytest.approx(plain.item(), rel=1e-5)

    shares = [first, second * (1 - first), (1 - second) * (1 - first)]
    macs = 100 * sum(cost * share.mean() for cost, share in zip(COSTS, shares, strict=True))
    limit = macs.item() - 5
    excess = Nachos(max_macs=limit, cost=2.0).loss(batch_of(gates, logits, 1)) - plain
    assert excess.item() == pytest.approx(2 * 5 / (100 - limit), rel=1e-3)
    assert Nachos(max_macs=macs.item() + 1).loss(batch_of(gates, logits, 1)).item() == pytest.approx(
        plain.item(), rel=1e-5
    )

    peak = 0.0
    for gate, each in zip((first, second), logits[:2], strict=True):
        right = each.argmax(1) == LABELS
        accuracy = torch.stack([right[label == LABELS].float().mean() for label in LABELS])
        peak += ((gate - accuracy) ** 2).mean().item() / 2
    with_peak = Nachos(peak=3.0).loss(batch_of(gates, logits, 2)) - plain
    assert with_peak.item() == pytest.approx(3 * peak, rel=1e-4)


def test_the_cost_term_brings_the_expected_cost_to_the_budget(gates, logits):
    """Gates alone are trained; the classifiers are fixed."""
    fixed = [each.detach() for each in logits]
    gates.own, scheme = 0.0, Nachos(max_macs=25, cost=20.0)
    for _ in range(60):
        weights = [*gates.gates[0].parameters(), *gates.gates[2].parameters()]
        steps = torch.autograd.grad(scheme.loss(batch_of(gates, fixed, 1)), weights)
        with torch.no_grad():
            for weight, step in zip(weights, steps, strict=True):
                weight -= 0.05 * step
    shares = batch_of(gates, fixed, 1).exit_shares()
    assert 20 < 100 * sum(cost * share.mean().item() for cost, share in zip(COSTS, shares, strict=True)) < 26


def test_correct_and_wrong_samples_weigh_the_same_in_the_loss_of_the_gates(gates, logits):
    """More samples of one kind leave the loss unchanged, if they equal those that are there."""
    answers = [each.detach() for each in logits]
    right = answers[0].argmax(1) == LABELS
    rows = torch.cat([torch.arange(40), *[right.nonzero()[:, 0]] * 3])
    before = gates.loss(answers[:1], POINTS[:1], LABELS)
    after = gates.loss([answers[0][rows]], POINTS[:1], LABELS[rows])
    assert after.item() == pytest.approx(before.item(), rel=1e-5)
    assert gates.loss(answers[2:], POINTS[2:], LABELS) == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_macs": "5m"}, r"scheme\.max_macs: found '5m'; allowed: multiply-adds, such as 5M"),
        ({"max_macs": -1}, r"scheme\.max_macs: found '-1'"),
        ({"peak": -1.0}, r"scheme\.peak: found -1.0; allowed: a number >= 0"),
        ({"backbone": 1.0}, r"scheme\.backbone: found 1.0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Nachos(**options)
