import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheme_scores import score_schemes

from edanas.core.costs import Costs, ada_macs, executed_macs
from edanas.core.errors import CostError
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.profiles import outcome
from edanas.thresholds.schemes import exit_costs, restrict_profile, separating_thresholds

COSTS = Costs(stages=(100, 150, 200, 250), heads=(7, None, 11), last=20)


@st.composite
def cases(draw):
    """Draw a profile with ties and confidences of 0 and 1, exit costs, and grids that tie with it."""
    exits, samples = draw(st.integers(0, 3)), draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    levels = draw(st.sampled_from([1, 4, 1000]))
    confidence = (rng.integers(0, levels + 1, (samples, exits + 1)) / levels).astype(np.float32)
    profile = ExitProfile(tuple(range(exits)), confidence, rng.random((samples, exits + 1)) < 0.5)
    sizes = draw(st.lists(st.integers(1, 4), min_size=exits, max_size=exits))
    values = np.concatenate([confidence.ravel(), np.float32([0.0, 0.3, 0.7, 1.0])])
    grids = [np.sort(rng.choice(values, size)) for size in sizes]
    return profile, rng.random(exits + 1) * 100, grids


@settings(max_examples=100)
@given(cases())
def test_all_schemes_at_once_equal_each_by_itself(case):
    profile, costs, grids = case
    accuracy, cost = score_schemes(profile, costs, grids)
    assert accuracy.shape == cost.shape == tuple(len(grid) for grid in grids)
    for at in itertools.product(*[range(len(grid)) for grid in grids]):
        thresholds = tuple(float(grid[i]) for grid, i in zip(grids, at, strict=True))
        alone = outcome(profile, SelectionScheme(thresholds))
        assert accuracy[at] == alone.accuracy
        assert cost[at] == pytest.approx(np.dot(alone.utilization, costs))


def test_a_restricted_profile_is_that_of_a_network_with_those_exits():
    rng = np.random.default_rng(0)
    profile = ExitProfile((0, 2, 3), rng.random((9, 4), dtype=np.float32), rng.random((9, 4)) < 0.5)
    scheme = SelectionScheme((0.5, None, None, 0.3))
    part = restrict_profile(profile, [3, 0])
    assert part.points == (0, 3)
    assert outcome(part, scheme) == outcome(profile, scheme)
    with pytest.raises(ValueError, match="exit point 1; the profile has the exit points"):
        restrict_profile(profile, [0, 1])


def test_exit_costs_average_to_the_cost_of_the_network():
    scheme, shares = SelectionScheme((0.5, None, 0.5)), [0.25, 0.0, 0.35, 0.4]
    standing = [0.25, 0.35, 0.4]
    for measure, mean in (("executed", executed_macs), ("ada", ada_macs)):
        assert standing @ exit_costs(COSTS, (0, 2), measure) == pytest.approx(mean(COSTS, scheme, shares))
    with pytest.raises(CostError, match="exit 2 is placed, but the cost of its head is not known"):
        exit_costs(COSTS, (1,))


@pytest.mark.parametrize("top", [0.9, 1.0])
def test_separating_thresholds_split_in_every_way_that_is_possible(top):
    values = np.array([0.2, top, 0.5, 0.5], dtype=np.float32)
    splits = {tuple(values >= threshold) for threshold in separating_thresholds(values)}
    some = {(True,) * 4, (False, True, True, True), (False, True, False, False)}
    none = {(False,) * 4}
    assert splits == (some if top == 1 else some | none)
