"""Learned criteria separate correct from wrong samples: area under the ROC curve on held-out samples."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from edanas.core.contracts import ExitBatch, Phase
from edanas.core.errors import ConfigError
from edanas.exits.correctness import Correctness
from edanas.exits.criteria import MaxProbability
from edanas.exits.gates import LearnedGate
from edanas.training.schemes import Joint

POINTS = (0, 2, 3)


def exits(count: int, seed: int):
    """Return logits of three exits, of rising accuracy; each is often overconfident in class 0."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count,), generator=generator)
    all_logits = []
    for margin in (2.0, 3.0, 4.0):
        logits = torch.randn(count, 4, generator=generator)
        logits[torch.arange(count), labels] += margin
        overconfident = torch.rand(count, generator=generator) < 0.3
        logits[overconfident, 0] = 9.0
        all_logits.append(logits)
    return all_logits, labels


def area(criterion, all_logits, labels, ran: int) -> float:
    answers = all_logits[:ran] if criterion.memory else all_logits[ran - 1 : ran]
    with torch.no_grad():
        confidence = criterion.after(answers, POINTS[:ran][-len(answers) :])
    return float(roc_auc_score(all_logits[ran - 1].argmax(1) == labels, confidence))


@pytest.mark.parametrize("ran", [1, 2, 3])
def test_the_scheduler_separates_correct_from_wrong_where_probabilities_do_not(ran):
    correctness = Correctness().build(4, 3)
    correctness.fit(*exits(400, seed=1), POINTS)
    logits, labels = exits(400, seed=2)
    assert area(correctness, logits, labels, ran) > 0.75
    assert area(correctness, logits, labels, ran) > area(MaxProbability(), logits, labels, ran) + 0.1


def test_the_scheduler_uses_earlier_exits():
    """An answer that earlier exits contradict is less often correct, and has a lower score."""
    correctness = Correctness().build(4, 3)
    correctness.fit(*exits(400, seed=1), POINTS)
    last = torch.tensor([[3.0, 0.0, 0.0, 0.0]])
    agreeing = correctness.after([last, last, last], POINTS)
    contradicted = correctness.after([last.roll(1, 1), last.roll(2, 1), last], POINTS)
    assert agreeing.item() > contradicted.item() + 0.02


def test_scores_are_deterministic_and_finite_if_all_samples_are_correct():
    logits, labels = exits(50, seed=3)
    for each in logits:
        each[torch.arange(50), labels] += 30.0
    first, again = Correctness().build(4, 3), Correctness().build(4, 3)
    for correctness in (first, again):
        correctness.fit(logits, labels, POINTS)
    assert torch.equal(first.after(logits, POINTS), again.after(logits, POINTS))
    assert 0.9 < first.after(logits, POINTS).min().item() < 1.0


def trained_gate(scheme, own: float):
    torch.manual_seed(0)
    gate = LearnedGate(own=own).build(4, 3)
    logits, labels = exits(600, seed=1)
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.02)
    for _ in range(150):
        batch = ExitBatch(logits, labels, Phase.whole(3), POINTS, gate)
        loss = scheme.loss(batch) + batch.criterion_loss()
        if not loss.requires_grad:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return gate


@pytest.mark.parametrize("ran", [1, 2, 3])
def test_the_gate_learns_with_any_training_scheme(ran):
    gate, fresh = trained_gate(Joint(), own=1.0), trained_gate(Joint(), own=0.0)
    logits, labels = exits(400, seed=2)
    assert area(gate, logits, labels, ran) > max(0.6, area(fresh, logits, labels, ran))


def test_the_own_loss_of_gates_trains_gates_alone():
    criterion = LearnedGate().build(4, 3)
    logits, labels = exits(20, seed=1)
    for each in logits:
        each.requires_grad_()
    teacher = torch.nn.functional.one_hot(labels, 4).float()
    for targets in (labels, teacher):
        loss = criterion.loss(logits, POINTS, targets)
        loss.backward()
    assert all(each.grad is None for each in logits)
    taught = [any(each.grad is not None for each in gate.parameters()) for gate in criterion.gates]
    assert taught == [True, False, True, True]


@settings(max_examples=20)
@given(st.permutations(range(4)), st.integers(0, 99))
def test_a_gate_does_not_depend_on_the_order_of_classes(order, seed):
    torch.manual_seed(seed)
    gate = LearnedGate(hidden=3).build(4, 1).double()
    logits = torch.randn(3, 4, dtype=torch.float64)
    assert torch.allclose(gate.after([logits], (1,)), gate.after([logits[:, list(order)]], (1,)))


def test_copies_are_independent():
    correctness = Correctness().build(4, 3)
    other = copy.deepcopy(correctness)
    other.fit(*exits(40, seed=1), POINTS)
    assert all(not parameter.any() for parameter in correctness.parameters())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: LearnedGate(hidden=0), "criterion.hidden: found 0; allowed: 1 or more"),
        (lambda: LearnedGate(own=-1.0), "criterion.own: found -1.0; allowed: a number >= 0"),
        (lambda: Correctness(penalty=0.0), "criterion.penalty: found 0.0; allowed: a number > 0"),
    ],
)
def test_options_out_of_range(make, text):
    with pytest.raises(ConfigError, match=text):
        make()
