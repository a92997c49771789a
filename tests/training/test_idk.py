"""The cost-aware loss of IDK cascades against a sum over all paths, and what it teaches gates."""

import pytest
import torch
from torch.nn import functional as F

from edanas.core.contracts import ExitBatch, Phase
from edanas.core.errors import ConfigError
from edanas.exits.criteria import MaxProbability
from edanas.exits.gates import LearnedGate
from edanas.training.idk import IdkCascade

COSTS = (0.2, 0.6, 1.0)


def batch_of(criterion, logits, labels):
    decisions = IdkCascade().phases((0, 1, 2))[1]
    return ExitBatch(logits, labels, decisions, (0, 1, 2), criterion, costs=COSTS)


def test_the_loss_is_the_expectation_over_where_a_sample_exits():
    torch.manual_seed(0)
    logits, labels = [2 * torch.randn(6, 4) for _ in range(3)], torch.arange(6) % 4
    expected = 0.0
    for sample in range(6):
        staying = 1.0
        for exit_ in range(3):
            row = logits[exit_][sample].double()
            probabilities = row.softmax(0)
            answers = 1.0 if exit_ == 2 else float(probabilities.max())
            entropy = -float(probabilities[labels[sample]].log())
            expected += staying * answers * (entropy + 0.5 * COSTS[exit_]) / 6
            staying *= 1 - answers
    loss = IdkCascade(price=0.5).loss(batch_of(MaxProbability(), logits, labels))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def trained_shares(price):
    """Return the mean exit probabilities after gates learn; the second exit is right more often."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 4, (300,), generator=generator)
    logits = []
    for margin in (1.0, 3.0, 5.0):
        each = torch.randn(300, 4, generator=generator)
        each[torch.arange(300), labels] += margin
        logits.append(each)
    torch.manual_seed(0)
    gates = LearnedGate(own=0.0).build(4, 2)
    optimizer = torch.optim.Adam(gates.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        IdkCascade(price=price).loss(batch_of(gates, logits, labels)).backward()
        optimizer.step()
    with torch.no_grad():
        return torch.stack([share.mean() for share in batch_of(gates, logits, labels).exit_shares()])


def test_a_higher_price_lets_samples_exit_earlier():
    costs = [float(trained_shares(price) @ torch.tensor(COSTS)) for price in (0.0, 0.5, 5.0)]
    assert costs[0] > costs[1] > costs[2]
    assert costs[2] < 0.25


def test_the_first_phase_trains_all_exits_alone():
    first, decisions = IdkCascade(backbone=0.6).phases((0, 1, 2))
    assert first == Phase.whole(3, 0.6)
    assert (decisions.exits, decisions.segments, decisions.heads) == ((0, 1, 2), (), (0, 1))
    logits, labels = [torch.randn(4, 3) for _ in range(3)], torch.tensor([0, 1, 2, 0])
    batch = ExitBatch(logits, labels, first, (0, 1, 2), MaxProbability())
    expected = sum(F.cross_entropy(each, labels) for each in logits)
    assert torch.allclose(IdkCascade().loss(batch), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"price": -1.0}, "scheme.price: found -1.0; allowed"),
        ({"backbone": 1.0}, "scheme.backbone: found 1.0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        IdkCascade(**options)
