import pytest
from hypothesis import given
from hypothesis import strategies as st

from edanas.core.contracts import Phase
from edanas.training.phase_plan import PhasePlan

SHARES = st.lists(st.floats(0.01, 10.0), min_size=1, max_size=6)


def plan(shares):
    return PhasePlan([Phase(str(index), (0,), (0,), (), share) for index, share in enumerate(shares)])


def lengths(phase_plan, steps):
    """Number of steps of each phase, by the phase at each step."""
    names = [phase_plan.at(step, steps).phase.name for step in range(steps)]
    assert names == sorted(names)
    return [names.count(phase.name) for phase in phase_plan.phases]


@given(SHARES, st.integers(0, 200))
def test_every_step_belongs_to_a_phase_in_order(shares, steps):
    phase_plan = plan(shares)
    counts = lengths(phase_plan, steps)
    assert sum(counts) == steps
    start = 0
    for phase, count in zip(phase_plan.phases, counts, strict=True):
        for done in range(count):
            assert phase_plan.at(start + done, steps) == (phase, done, count)
        start += count


@given(SHARES, st.integers(6, 400))
def test_every_phase_has_steps_and_shares_are_exact_to_a_step(shares, steps):
    counts = lengths(plan(shares), steps)
    assert min(counts) >= 1
    exact = [steps * share / sum(shares) for share in shares]
    if min(exact) >= 2:
        assert all(abs(a - b) <= 1 for a, b in zip(counts, exact, strict=True))


def test_halves_and_thirds():
    assert lengths(plan([1, 1]), 10) == [5, 5]
    assert lengths(plan([1, 1, 1]), 10) == [3, 4, 3]
    assert lengths(plan([0.25, 0.75]), 8) == [2, 6]
    assert lengths(plan([1e-6, 1]), 8) == [1, 7]


def test_a_position_that_rounding_left_short_of_a_boundary_is_past_it():
    assert plan([1, 1]).at(5 - 1e-12, 10).phase.name == "1"
    assert plan([1, 1]).at(4.5, 10).phase.name == "0"


def test_after_the_last_step_there_is_no_phase():
    with pytest.raises(ValueError, match="10 of 10 steps: the training is over"):
        plan([1, 1]).at(10, 10)
