"""Threshold fronts against brute force over every scheme."""

import itertools

import numpy as np
import pytest
from dynamic_programming import threshold_front_dp
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edanas.core.costs import Costs, ada_macs, executed_macs
from edanas.core.errors import CostError
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds import branch_and_bound as boxes
from edanas.thresholds.fronts import threshold_front
from edanas.thresholds.profiles import outcome

COSTS = Costs(stages=(100, 150, 200, 250, 300), heads=(7, 5, 11, 3), last=20)
MEASURES = {"executed": executed_macs, "ada": ada_macs}


def plausible(samples: int, seed: int, exits: int = 4) -> ExitProfile:
    rng = np.random.default_rng(seed)
    evidence = np.linspace(1.0, 2.5, exits + 1) - 1.2 * rng.normal(size=(samples, 1))
    evidence = evidence + rng.normal(size=(samples, exits + 1))
    confidence = np.tanh(np.abs(evidence + 0.5 * rng.normal(size=evidence.shape)))
    return ExitProfile(tuple(range(exits)), confidence.astype(np.float32), evidence > 0)


def brute_force(profile, costs, *, removable, measure):
    """Return the front [(cost, accuracy)] by rising cost; thresholds are the confidences themselves."""
    points = len(costs.heads)
    choices = []
    for point in range(points):
        if point not in profile.points:
            choices.append([None])
            continue
        column = profile.confidence[:, profile.points.index(point)]
        choices.append([*sorted({*map(float, column), 1.0}), *([None] if removable else [])])
    scored = []
    for thresholds in itertools.product(*choices):
        scheme = SelectionScheme(thresholds)
        result = outcome(profile, scheme)
        scored.append((round(MEASURES[measure](costs, scheme, result.utilization), 6), -result.accuracy))
    front, least = [], 1.0
    for cost, error in sorted(scored):
        if error < least:
            front.append((cost, -error))
            least = error
    return front


@st.composite
def small_cases(draw):
    """Draw ties, confidences of 0 and 1, exits that are always wrong, single samples, and expensive heads."""
    points = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    columns = tuple(sorted(draw(st.sets(st.integers(0, points - 1), max_size=3))))
    samples = draw(st.integers(1, 7 if len(columns) < 3 else 5))
    levels = draw(st.sampled_from([1, 3, 10, 1000]))
    confidence = (rng.integers(0, levels + 1, (samples, len(columns) + 1)) / levels).astype(np.float32)
    right = rng.random(len(columns) + 1) * draw(st.sampled_from([0, 1, 2]))
    dearest_head = draw(st.sampled_from([1, 30, 500]))
    stages = tuple(int(n) for n in rng.integers(1, 50, points + 1))
    heads = tuple(int(n) for n in rng.integers(0, dearest_head, points))
    image_stages = draw(st.sets(st.integers(1, points)))
    costs = Costs(stages, heads, int(rng.integers(1, 20)), tuple(sorted(image_stages)))
    return ExitProfile(columns, confidence, rng.random((samples, len(right))) < right), costs


SURE = ExitProfile((0,), np.ones((3, 2), dtype=np.float32), np.array([[False, True]] * 3))


@settings(max_examples=150)
@given(small_cases(), st.booleans(), st.sampled_from(["executed", "ada"]), st.sampled_from([1, 8]))
@example((SURE, Costs((5, 5), (90,), 1)), True, "ada", 1)
@example((SURE, Costs((5, 5), (90,), 1)), False, "executed", 1)
def test_both_algorithms_equal_brute_force(case, removable, measure, blocks):
    profile, costs = case
    expected = brute_force(profile, costs, removable=removable, measure=measure)
    options = {"removable": removable, "measure": measure}
    for way in (threshold_front, threshold_front_dp):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(boxes, "_ROOT", blocks)
            front = way(profile, costs, len(costs.heads), **options)
        assert front.exact
        assert front.cost.tolist() == pytest.approx([cost for cost, _ in expected])
        assert front.accuracy.tolist() == pytest.approx([accuracy for _, accuracy in expected])


def check_figures(front, profile, costs, measure="executed"):
    for scheme, accuracy, cost in zip(front.schemes, front.accuracy, front.cost, strict=True):
        scored = outcome(profile, scheme)
        assert scored.accuracy == pytest.approx(accuracy)
        assert MEASURES[measure](costs, scheme, scored.utilization) == pytest.approx(cost)


@pytest.mark.parametrize("measure", ["executed", "ada"])
@pytest.mark.parametrize("removable", [True, False])
def test_both_algorithms_agree_when_boxes_are_halved(measure, removable):
    profile = plausible(110, seed=3, exits=3)
    costs = Costs(COSTS.stages[:4], (7, 300, 11) if measure == "ada" else COSTS.heads[:3], 20)
    options = {"removable": removable, "measure": measure}
    front = threshold_front(profile, costs, 3, **options)
    other = threshold_front_dp(profile, costs, 3, **options)
    assert front.exact
    assert len(front) > 20
    assert front.cost.tolist() == pytest.approx(other.cost.tolist())
    assert front.accuracy.tolist() == pytest.approx(other.accuracy.tolist())
    for each_front in (front, other):
        check_figures(each_front, profile, costs, measure)
        assert removable or all(scheme.exits == 3 for scheme in each_front.schemes)


@pytest.mark.parametrize("samples", [130, 900])
def test_a_front_rises_and_its_figures_are_exact(samples):
    profile = plausible(samples, seed=samples)
    front = threshold_front(profile, COSTS, 4)
    assert (np.diff(front.cost) > 0).all()
    assert (np.diff(front.accuracy) > 0).all()
    assert len({scheme.placed for scheme in front.schemes}) > 2
    check_figures(front, profile, COSTS)


def extra_cost(front, exact) -> float:
    """Mean cost to reach each accuracy of the exact front, against that front."""
    cheapest = [front.cost[front.accuracy >= accuracy - 1e-9].min() for accuracy in exact.accuracy]
    return float(np.mean(np.array(cheapest) / exact.cost)) - 1


def test_a_narrow_beam_is_not_exact_and_loses_little():
    profile = plausible(200, seed=5)
    exact = threshold_front(profile, COSTS, 4)
    narrow = threshold_front(profile, COSTS, 4, beam=50)
    assert exact.exact
    assert not narrow.exact
    check_figures(narrow, profile, COSTS)
    assert 0 <= extra_cost(narrow, exact) < 0.01


def test_a_limit_keeps_the_ends_and_most_of_the_hypervolume():
    profile = plausible(300, seed=6)
    whole = threshold_front(profile, COSTS, 4)
    short = threshold_front(profile, COSTS, 4, limit=10)
    assert len(short) == 10 < len(whole)
    assert set(short.schemes) < set(whole.schemes)
    assert (short.cost[0], short.cost[-1]) == (whole.cost[0], whole.cost[-1])

    def volume(front):
        gain = front.accuracy - whole.accuracy[0]
        return float(np.sum(np.diff(np.append(front.cost, whole.cost[-1])) * gain))

    assert 0.85 * volume(whole) < volume(short) < volume(whole)


def test_thresholds_are_exact_in_float32_and_lie_between_samples():
    profile = plausible(80, seed=7)
    for scheme in threshold_front(profile, COSTS, 4).schemes:
        for point in scheme.placed:
            threshold = scheme.thresholds[point]
            assert float(np.float32(threshold)) == threshold
            assert threshold not in profile.confidence[:, point]


def test_the_order_of_samples_does_not_matter():
    profile = plausible(150, seed=8)
    coarse = np.round(profile.confidence * 20).astype(np.float32) / 20
    fronts = set()
    for shuffle in range(3):
        order = np.random.default_rng(shuffle).permutation(150)
        shuffled = ExitProfile(profile.points, coarse[order], profile.correct[order])
        fronts.add(threshold_front(shuffled, COSTS, 4).schemes)
    assert len(fronts) == 1


@pytest.mark.parametrize(("removable", "samples"), [(False, 16), (True, 12)])
def test_many_exits_are_searched_exactly(removable, samples):
    profile, costs = plausible(samples, seed=5, exits=6), Costs((90, *[50] * 6), (9,) * 6, 9)
    options = {"removable": removable}
    front = threshold_front(profile, costs, 6, **options, beam=10**6)
    other = threshold_front_dp(profile, costs, 6, **options)
    assert front.exact
    assert front.cost.tolist() == pytest.approx(other.cost.tolist())
    assert front.accuracy.tolist() == pytest.approx(other.accuracy.tolist())


def test_nine_exits():
    """Nine exits, as in the paper's ResNet-18: the front is at least as good as that of each exit alone."""
    profile, costs = plausible(300, seed=2, exits=9), Costs((90, *[50] * 9), (9,) * 9, 9)
    front = threshold_front(profile, costs, 9, measure="ada")
    check_figures(front, profile, costs, "ada")
    for exit_ in range(9):
        alone = ExitProfile((exit_,), profile.confidence[:, [exit_, -1]], profile.correct[:, [exit_, -1]])
        single = threshold_front(alone, costs, 9, measure="ada")
        for accuracy, cost in zip(single.accuracy, single.cost, strict=True):
            reached = front.accuracy[front.cost <= cost * 1.01]
            assert reached.max(initial=0.0) >= accuracy - 0.01


def test_a_network_without_exits_has_a_front_of_one():
    profile = plausible(20, seed=9, exits=0)
    for way in (threshold_front, threshold_front_dp):
        front = way(profile, COSTS, 4)
        assert front.schemes == (SelectionScheme((None,) * 4),)
        assert front.accuracy.tolist() == [profile.correct.mean()]
        assert front.cost.tolist() == [1020]


@pytest.mark.parametrize("way", [threshold_front, threshold_front_dp])
def test_costs_that_do_not_fit_are_refused(way):
    profile = plausible(5, seed=0)
    with pytest.raises(ValueError, match="without samples"):
        way(plausible(0, seed=0), COSTS, 4)
    with pytest.raises(ValueError, match="costs: found heads of 4 exit points; allowed: 3"):
        way(profile, COSTS, 3)
    with pytest.raises(ValueError, match="profile: found exit point 3; allowed: 0 to 2"):
        way(profile, Costs(COSTS.stages[:-1], COSTS.heads[:3], 20), 3)
    with pytest.raises(CostError, match="exit 2 is placed, but the cost of its head is not known"):
        way(profile, Costs(COSTS.stages, (7, None, 11, 3), 20), 4)


def test_too_small_a_limit_or_beam_is_refused():
    for option, value, allowed in (("limit", 1, "2 schemes or more"), ("beam", 0, "1 box or more")):
        with pytest.raises(ValueError, match=f"^{option}: found {value}; allowed: {allowed}"):
            threshold_front(plausible(5, seed=0), COSTS, 4, **{option: value})
