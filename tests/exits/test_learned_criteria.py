"""What is learned tells right from wrong: by the area under the ROC curve on samples that nothing saw."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from edanas.core.contracts import ExitBatch, Phase
from edanas.core.errors import ConfigError
from edanas.exits.criteria import MaxProbability
from edanas.exits.gates import LearnedGate
from edanas.exits.scheduler import Scheduler
from edanas.training.schemes import Joint

POINTS = (0, 2, 3)


def exits(count: int, seed: int):
    """Three exits, of which the later know more; each boasts of class 0 without knowing anything of it."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count,), generator=generator)
    said = []
    for known in (2.0, 3.0, 4.0):
        logits = torch.randn(count, 4, generator=generator)
        logits[torch.arange(count), labels] += known
        boasting = torch.rand(count, generator=generator) < 0.3
        logits[boasting, 0] = 9.0
        said.append(logits)
    return said, labels


def area(criterion, said, labels, ran: int) -> float:
    answers = said[:ran] if criterion.memory else said[ran - 1 : ran]
    with torch.no_grad():
        sure = criterion.after(answers, POINTS[:ran][-len(answers) :])
    return float(roc_auc_score(said[ran - 1].argmax(1) == labels, sure))


@pytest.mark.parametrize("ran", [1, 2, 3])
def test_the_scheduler_tells_right_from_wrong_where_probabilities_mislead(ran):
    made = Scheduler().build(4, 3)
    made.fit(*exits(400, seed=1), POINTS)
    said, labels = exits(400, seed=2)
    assert area(made, said, labels, ran) > 0.75
    assert area(made, said, labels, ran) > area(MaxProbability(), said, labels, ran) + 0.1


def test_the_scheduler_hears_earlier_exits():
    """Whoever is contradicted is less often right, and is scored lower though it says the same."""
    made = Scheduler().build(4, 3)
    made.fit(*exits(400, seed=1), POINTS)
    last = torch.tensor([[3.0, 0.0, 0.0, 0.0]])
    united = made.after([last, last, last], POINTS)
    apart = made.after([last.roll(1, 1), last.roll(2, 1), last], POINTS)
    assert united.item() > apart.item() + 0.02


def test_scores_are_the_same_each_time_and_finite_where_all_are_right():
    said, labels = exits(50, seed=3)
    for each in said:
        each[torch.arange(50), labels] += 30.0
    first, again = Scheduler().build(4, 3), Scheduler().build(4, 3)
    for made in (first, again):
        made.fit(said, labels, POINTS)
    assert torch.equal(first.after(said, POINTS), again.after(said, POINTS))
    assert 0.9 < first.after(said, POINTS).min().item() < 1.0


def trained_gate(scheme, own: float):
    torch.manual_seed(0)
    made = LearnedGate(own=own).build(4, 3)
    said, labels = exits(600, seed=1)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.02)
    for _ in range(150):
        batch = ExitBatch(said, labels, Phase.whole(3), POINTS, made)
        loss = scheme.loss(batch) + batch.criterion_loss()
        if not loss.requires_grad:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return made


@pytest.mark.parametrize("ran", [1, 2, 3])
def test_the_gate_learns_with_any_training_scheme(ran):
    made, fresh = trained_gate(Joint(), own=1.0), trained_gate(Joint(), own=0.0)
    said, labels = exits(400, seed=2)
    assert area(made, said, labels, ran) > max(0.6, area(fresh, said, labels, ran))


def test_the_gate_s_own_loss_trains_nothing_but_gates():
    made = LearnedGate().build(4, 3)
    said, labels = exits(20, seed=1)
    for each in said:
        each.requires_grad_()
    teacher = torch.nn.functional.one_hot(labels, 4).float()
    for targets in (labels, teacher):
        loss = made.loss(said, POINTS, targets)
        loss.backward()
    assert all(each.grad is None for each in said)
    taught = [any(each.grad is not None for each in gate.parameters()) for gate in made.gates]
    assert taught == [True, False, True, True]


@settings(max_examples=20)
@given(st.permutations(range(4)), st.integers(0, 99))
def test_the_gate_does_not_ask_which_class(order, seed):
    torch.manual_seed(seed)
    made = LearnedGate(hidden=3).build(4, 1).double()
    logits = torch.randn(3, 4, dtype=torch.float64)
    assert torch.allclose(made.after([logits], (1,)), made.after([logits[:, list(order)]], (1,)))


def test_copies_are_free_of_each_other():
    made = Scheduler().build(4, 3)
    other = copy.deepcopy(made)
    other.fit(*exits(40, seed=1), POINTS)
    assert all(not parameter.any() for parameter in made.parameters())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: LearnedGate(hidden=0), "criterion.hidden: found 0; allowed: 1 or more"),
        (lambda: LearnedGate(own=-1.0), "criterion.own: found -1.0; allowed: a number >= 0"),
        (lambda: Scheduler(penalty=0.0), "criterion.penalty: found 0.0; allowed: a number > 0"),
    ],
)
def test_options_out_of_range(make, text):
    with pytest.raises(ConfigError, match=text):
        make()
