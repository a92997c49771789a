import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.exits.criteria import MaxProbability, ScoreMargin

rows = st.integers(1, 6).flatmap(
    lambda k: st.lists(st.lists(st.floats(-30, 30), min_size=k, max_size=k), min_size=1, max_size=5)
)


@settings(deadline=None, max_examples=60)
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
    for criterion in (ScoreMargin(), MaxProbability()):
        assert criterion(logits).isnan().tolist() == [True, False]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_judged_in_float32(dtype):
    logits = torch.tensor([[3.0, 1.0, 0.5]], dtype=dtype)
    assert torch.equal(ScoreMargin()(logits), ScoreMargin()(logits.float()))
