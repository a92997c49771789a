import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.errors import ConfigError
from edanas.exits.criteria import Entropy, MaxProbability, Patience, ScoreMargin

rows = st.integers(1, 6).flatmap(
    lambda k: st.lists(st.lists(st.floats(-30, 30), min_size=k, max_size=k), min_size=1, max_size=5)
)


@settings(max_examples=60)
@given(rows)
def test_values_equal_their_definitions(values):
    logits = torch.tensor(values, dtype=torch.float64)
    for sample, margin, largest in zip(logits, ScoreMargin()(logits), MaxProbability()(logits), strict=True):
        weights = [float(torch.exp(x - sample.max())) for x in sample]
        scores = [*sorted((w / sum(weights) for w in weights), reverse=True), 0.0]
        assert float(margin) == pytest.approx(scores[0] - scores[1], abs=1e-9)
        assert float(largest) == pytest.approx(scores[0], abs=1e-9)


def test_float32_saturates_at_exactly_one():
    assert ScoreMargin()(torch.tensor([[200.0, 0.0, 0.0]])).tolist() == [1.0]


def test_infinities_count_as_the_largest_numbers():
    inf = float("inf")
    logits = torch.tensor([[inf, 0.0], [inf, inf], [-inf, -inf], [-inf, 0.0]])
    assert ScoreMargin()(logits).tolist() == [1.0, 0.0, 0.0, 1.0]
    assert MaxProbability()(logits).tolist() == [1.0, 0.5, 0.5, 1.0]


def test_not_a_number_stays_not_a_number():
    logits = torch.tensor([[float("nan"), 0.0], [1.0, 0.0]])
    for criterion in (ScoreMargin(), MaxProbability(), Entropy(), Patience()):
        assert criterion(logits).isnan().tolist() == [True, False]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_judged_in_float32(dtype):
    logits = torch.tensor([[3.0, 1.0, 0.5]], dtype=dtype)
    assert torch.equal(ScoreMargin()(logits), ScoreMargin()(logits.float()))


@settings(max_examples=60)
@given(rows)
def test_entropy_equals_its_definition(values):
    logits = torch.tensor(values, dtype=torch.float64)
    for sample, sure in zip(logits, Entropy()(logits), strict=True):
        scores = torch.softmax(sample, dim=0).tolist()
        if len(scores) == 1:
            assert sure == 1
            continue
        entropy = -sum(p * math.log(p) for p in scores if p)
        assert float(sure) == pytest.approx(1 - entropy / math.log(len(scores)), abs=1e-9)


def test_entropy_by_hand():
    halves = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]])
    assert Entropy()(halves.log()).tolist() == pytest.approx([0.5, 0.0, 1.0], abs=1e-6)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.integers(2, 4))
def test_patience_counts_consecutive_equal_labels(labels, agreeing):
    answers = [torch.nn.functional.one_hot(torch.tensor([label]), 3).float() for label in labels]
    run = 1
    while run < len(labels) and labels[-1 - run] == labels[-1]:
        run += 1
    sure = Patience(agreeing).after(answers, range(len(labels)))
    assert float(sure) == pytest.approx(min(1.0, run / agreeing))


@pytest.mark.parametrize("agreeing", [2, 3, 7])
def test_thresholds_of_patience_are_numbers_of_agreeing_exits(agreeing):
    """Under the levels alone, no sample exits at the first exit, and each level needs one exit more."""
    criterion = Patience(agreeing)
    agreeing_exits = [torch.tensor([[1.0, 0.0]])] * agreeing
    reached = [criterion.after(agreeing_exits[:n], range(n)) for n in range(1, agreeing + 1)]
    for count, level in enumerate(criterion.levels, 2):
        fires = [bool(confidence >= level) for confidence in reached]
        assert fires == [n >= count for n in range(1, agreeing + 1)]


@pytest.mark.parametrize("agreeing", [1, 2**31])
def test_a_patience_out_of_range_is_refused(agreeing):
    with pytest.raises(ConfigError, match=f"criterion.agreeing: found {agreeing}; allowed: 2 to 1000"):
        Patience(agreeing)
