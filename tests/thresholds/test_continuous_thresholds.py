import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.costs import Costs, executed_macs
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.continuous import set_thresholds
from edanas.thresholds.fronts import threshold_front
from edanas.thresholds.profiles import exit_columns, outcome

COSTS = Costs(stages=(100, 150, 200, 250, 300), heads=(7, 5, 11, 3), last=20)


def plausible(samples: int, seed: int, exits: int = 4) -> ExitProfile:
    """Return a profile in which accuracy rises with depth and with confidence."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(size=(samples, 1))
    evidence = np.linspace(1.0, 2.5, exits + 1) - 1.2 * difficulty + rng.normal(size=(samples, exits + 1))
    confidence = np.tanh(np.abs(evidence + 0.5 * rng.normal(size=evidence.shape)))
    return ExitProfile(tuple(range(exits)), confidence.astype(np.float32), evidence > 0)


def cost_of(profile: ExitProfile, costs: Costs, scheme: SelectionScheme) -> float:
    return executed_macs(costs, scheme, outcome(profile, scheme).utilization)


def brute_force(
    profile: ExitProfile,
    costs: Costs,
    placed: tuple[int, ...],
    needed: float,
    accuracy_of: Callable[[SelectionScheme], float],
) -> tuple[float, float]:
    """Return (cost, accuracy) of the best of all schemes that separate the samples."""
    points = len(costs.heads)
    choices = []
    for point in placed:
        values = sorted({float(c) for c in profile.confidence[:, profile.points.index(point)]})
        choices.append(sorted({*values, 1.0}))  # at a value: it and all above exit
    scored = []
    for thresholds in itertools.product(*choices):
        chosen = dict(zip(placed, thresholds, strict=True))
        scheme = SelectionScheme(tuple(chosen.get(i) for i in range(points)))
        scored.append((cost_of(profile, costs, scheme), accuracy_of(scheme)))
    enough = [(cost, accuracy) for cost, accuracy in scored if accuracy >= needed - 1e-9]
    if not enough:
        most = max(accuracy for _, accuracy in scored)
        enough = [(cost, accuracy) for cost, accuracy in scored if accuracy == most]
    least = min(cost for cost, _ in enough)
    return least, max(accuracy for cost, accuracy in enough if cost <= least + 1e-9)


@st.composite
def small_cases(draw):
    points = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    placed = tuple(sorted(draw(st.sets(st.integers(0, points - 1), min_size=1, max_size=3))))
    columns = tuple(sorted({*placed, *draw(st.sets(st.integers(0, points - 1)))}))
    samples = draw(st.integers(1, 7))
    levels = draw(st.sampled_from([3, 10, 1000]))
    confidence = (rng.integers(0, levels + 1, (samples, len(columns) + 1)) / levels).astype(np.float32)
    correct = rng.random((samples, len(columns) + 1)) < 0.6
    stages = tuple(int(n) for n in rng.integers(1, 50, points + 1))
    heads = tuple(int(n) for n in rng.integers(0, 30, points))
    costs = Costs(stages, heads, int(rng.integers(1, 20)))
    return ExitProfile(columns, confidence, correct), costs, placed


def lowered(profile: ExitProfile, scheme: SelectionScheme, caution: int) -> SelectionScheme:
    """Lower each threshold so that `caution` more samples reach it, if any sample does."""
    thresholds = list(scheme.thresholds)
    for point in scheme.placed:
        surest = sorted(map(float, profile.confidence[:, profile.points.index(point)]), reverse=True)
        reached = sum(confidence >= thresholds[point] for confidence in surest)
        if reached:
            thresholds[point] = min(thresholds[point], surest[min(reached + caution, len(surest)) - 1])
    return SelectionScheme(tuple(thresholds))


@settings(max_examples=80)
@given(small_cases(), st.sampled_from([-0.15, 0.0, 0.1, 0.3, 1.0]), st.sampled_from([0, 0, 1, 3]))
def test_the_result_is_the_cheapest_of_all_schemes_that_are_accurate_enough(case, drop, caution):
    profile, costs, placed = case

    def accuracy_of(scheme: SelectionScheme) -> float:
        careful = lowered(profile, scheme, caution)
        return min(outcome(profile, scheme).accuracy, outcome(profile, careful).accuracy)

    scheme = set_thresholds(profile, costs, placed, len(costs.heads), accuracy_drop=drop, caution=caution)
    needed = float(profile.correct[:, -1].mean()) - drop
    cost, accuracy = brute_force(profile, costs, placed, needed, accuracy_of)
    assert scheme.placed == placed
    assert cost_of(profile, costs, scheme) == pytest.approx(cost)
    assert accuracy_of(scheme) == pytest.approx(accuracy)


@pytest.mark.parametrize("samples", [150, 5000])
@pytest.mark.parametrize("placed", [(2,), (0, 1, 2, 3)])
@pytest.mark.parametrize("drop", [0.0, 0.01])
def test_the_required_accuracy_is_reached_with_fewer_macs(samples, placed, drop):
    profile = plausible(samples, seed=samples)
    scheme = set_thresholds(profile, COSTS, placed, 4, accuracy_drop=drop)
    scored = outcome(profile, scheme)
    assert scored.accuracy >= scored.backbone_accuracy - drop - 1e-9
    assert cost_of(profile, COSTS, scheme) < 0.95 * sum((*COSTS.stages, COSTS.last))
    assert scheme.placed == placed


def test_a_refined_grid_comes_close_to_all_schemes(monkeypatch):
    profile = plausible(300, seed=1)
    exact = set_thresholds(profile, COSTS, (0, 2), 4)
    monkeypatch.setattr("edanas.thresholds.continuous._SCHEMES", 100)
    refined = set_thresholds(profile, COSTS, (0, 2), 4)
    best, cost = (cost_of(profile, COSTS, scheme) for scheme in (exact, refined))
    assert best <= cost <= 1.1 * best
    assert outcome(profile, refined).accuracy >= outcome(profile, refined).backbone_accuracy


def test_more_accuracy_given_up_never_costs_more():
    profile = plausible(400, seed=2)
    costs = [
        cost_of(profile, COSTS, set_thresholds(profile, COSTS, (0, 3), 4, accuracy_drop=drop))
        for drop in (0.0, 0.005, 0.01, 0.05, 1.0)
    ]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == 107  # all samples exit at the first exit


def test_with_caution_less_is_lost_on_other_samples():
    elsewhere = plausible(20_000, seed=99)
    drops = []
    for caution in (0, 12):
        outcomes = [
            outcome(elsewhere, set_thresholds(plausible(180, seed), COSTS, (0, 1, 2), 4, 0.01, caution))
            for seed in range(8)
        ]
        drops.append(np.mean([each.backbone_accuracy - each.accuracy for each in outcomes]))
    careless, careful = drops
    assert 0.01 < careful < 0.8 * careless


def test_thresholds_lie_between_samples_and_are_exact_in_float32():
    profile = plausible(150, seed=4)
    scheme = set_thresholds(profile, COSTS, (0, 1, 2, 3), 4)
    for point in scheme.placed:
        threshold = scheme.thresholds[point]
        assert float(np.float32(threshold)) == threshold
        assert threshold not in profile.confidence[:, point]


def test_neighbours_in_float32_are_separated():
    low = np.float32(0.5)
    high = np.nextafter(low, np.float32(1.0))
    confidence = np.array([[low, 0.9], [high, 0.9]], dtype=np.float32)
    profile = ExitProfile((0,), confidence, np.array([[False, True], [True, True]]))
    scheme = set_thresholds(profile, Costs((10, 10), (1,), 1), [0], 1, caution=0)
    assert exit_columns(profile, scheme).tolist() == [1, 0]


def test_a_useless_exit_keeps_a_strict_threshold():
    confidence = np.full((20, 2), 0.5, dtype=np.float32)
    profile = ExitProfile((0,), confidence, np.repeat([[False, True]], 20, axis=0))
    scheme = set_thresholds(profile, Costs((10, 10), (1,), 1), [0], 1)
    assert scheme.thresholds == (1.0,)
    assert outcome(profile, scheme).utilization == (0.0, 1.0)


def test_if_no_scheme_is_accurate_enough_the_most_accurate_is_chosen():
    confidence = np.array([[1.0, 0.9], [1.0, 0.9], [0.2, 0.9]], dtype=np.float32)
    profile = ExitProfile((0,), confidence, np.array([[False, True], [False, True], [False, True]]))
    scheme = set_thresholds(profile, Costs((10, 10), (1,), 1), [0], 1, caution=0)
    assert outcome(profile, scheme).accuracy == pytest.approx(1 / 3)
    assert 0.2 < scheme.thresholds[0] <= 1.0


def test_no_placed_exit_needs_no_thresholds():
    assert set_thresholds(plausible(5, seed=0), COSTS, (), 4) == SelectionScheme((None,) * 4)


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_samples_does_not_matter_where_confidences_tie(seed):
    profile = plausible(60, seed)
    coarse = np.round(profile.confidence * 5).astype(np.float32) / 5
    schemes = set()
    for shuffle in range(5):
        order = np.random.default_rng(shuffle).permutation(60)
        shuffled = ExitProfile(profile.points, coarse[order], profile.correct[order])
        schemes.add(set_thresholds(shuffled, COSTS, (0, 1, 3), 4, caution=3))
    assert len(schemes) == 1


def test_order_and_repetition_of_placed_exits_do_not_matter():
    profile = plausible(100, seed=6)
    assert set_thresholds(profile, COSTS, [2, 0, 2], 4) == set_thresholds(profile, COSTS, (0, 2), 4)


def test_profiles_that_do_not_fit_are_refused():
    profile = plausible(5, seed=0, exits=2)
    with pytest.raises(ValueError, match="exit point 3 of 4; the profile has"):
        set_thresholds(profile, COSTS, (0, 3), 4)
    with pytest.raises(ValueError, match="caution is -1"):
        set_thresholds(profile, COSTS, (0,), 4, caution=-1)
    with pytest.raises(ValueError, match="without samples"):
        set_thresholds(plausible(0, seed=0), COSTS, (0,), 4)


def test_thresholds_are_levels_of_the_criterion_where_it_has_levels():
    """The first exit of a patient network never agrees with an earlier one, so no sample exits there."""
    rng = np.random.default_rng(0)
    agrees = rng.random((200, 3)) < [0.0, 0.6, 0.7]
    confidence = np.where(agrees, 1.0, 0.5).astype(np.float32)
    confidence = np.concatenate([confidence, np.ones((200, 2), np.float32)], axis=1)
    profile = ExitProfile((0, 1, 2, 3), confidence, rng.random((200, 5)) < 0.8, levels=(1.0,))
    scheme = set_thresholds(profile, COSTS, (0, 1, 2), 4, accuracy_drop=1.0, caution=0)
    assert scheme.thresholds == (1.0, 1.0, 1.0, None)
    assert outcome(profile, scheme).utilization[0] == 0
    front = threshold_front(profile, COSTS, 4, removable=False)
    assert {t for each in front.schemes for t in each.thresholds} == {1.0}
    assert all(outcome(profile, each).utilization[0] == 0 for each in front.schemes)
