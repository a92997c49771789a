import math

import pytest
import torch

from edanas.exits.inference import Aggregate, EarlyStop

FIRST, SECOND = torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([[0.1, 0.8, 0.1]])
SAID = [FIRST.log(), SECOND.log() + 5.0]  # a constant changes no probability


def test_early_stop_is_the_last_that_ran():
    assert EarlyStop()(SAID, (0, 2)) is SAID[-1]


def test_the_mean_by_hand():
    answer = Aggregate("mean")(SAID, (0, 2)).exp()
    assert answer.tolist()[0] == pytest.approx([0.4, 0.5, 0.1])


def test_the_geometric_mean_by_hand():
    answer = Aggregate("geometric")(SAID, (0, 2)).softmax(dim=1)
    roots = [math.sqrt(a * b) for a, b in zip(FIRST[0].tolist(), SECOND[0].tolist(), strict=True)]
    assert answer.tolist()[0] == pytest.approx([root / sum(roots) for root in roots])


def test_learned_weights_are_normalised_over_the_exits_that_ran():
    rule = Aggregate("learned").build(3, 2)
    rule.weights.data = torch.tensor([math.log(3.0), 50.0, 0.0])
    answer = rule(SAID, (0, 2)).exp()
    assert answer.tolist()[0] == pytest.approx(((3 * FIRST + SECOND) / 4)[0].tolist())
    assert rule(SAID[:1], (0,)).exp().tolist()[0] == pytest.approx(FIRST[0].tolist())


def test_an_uninformative_exit_has_less_weight_than_an_accurate_one():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (300,), generator=generator)
    noise, knows = (2 * torch.randn(300, 4, generator=generator) for _ in range(2))
    knows[torch.arange(300), labels] += 6.0
    rule = Aggregate("learned").build(4, 2)
    rule.fit([noise, knows], labels, (1, 2))
    light, heavy = rule.weights[[1, 2]].softmax(dim=0).tolist()
    assert heavy > 5 * light
    assert rule.weights[0] == 0  # no exit stands there

    def likelihood(answer):
        return -torch.nn.functional.nll_loss(answer, labels)

    assert likelihood(rule([noise, knows], (1, 2))) > likelihood(Aggregate()([noise, knows], (1, 2))) + 0.05


def test_infinite_logits_share_the_probability():
    inf = float("inf")
    sure, other = torch.tensor([[inf, 0.0]]), torch.tensor([[0.0, inf]])
    assert Aggregate("mean")([sure, other], (0, 1)).exp().tolist() == [[0.5, 0.5]]
    assert Aggregate("mean")([sure, sure], (0, 1)).exp().tolist() == [[1.0, 0.0]]


def test_not_a_number_stays_not_a_number():
    broken = torch.tensor([[float("nan"), 0.0]])
    for combine in ("mean", "geometric", "learned"):
        rule = Aggregate(combine).build(2, 1)
        assert rule([broken, torch.zeros(1, 2)], (0, 1)).isnan().all()
