import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.types import Backbone, Candidate, Evaluation, ExitProfile, Metrics, SelectionScheme
from edanas.evaluation.result_choice import choose_results
from edanas.evaluation.selection import choose_static, pareto_set, with_all_schemes
from edanas.evaluation.trimming import Trimmer
from edanas.goals.objectives import Accuracy, AdaMacs

OBJECTIVES = (Accuracy(), AdaMacs())
POINTS = 4


def evaluation(number, accuracy, macs, exits=1, backbone=None, backbone_accuracy=0.0, backbone_macs=0):
    """A made-up evaluation; `number` names its backbone unless `backbone` does."""
    scheme = SelectionScheme(tuple(0.5 if i < exits else None for i in range(POINTS)))
    candidate = Candidate(Backbone((("width", number if backbone is None else backbone),)), scheme)
    if accuracy is None:
        return Evaluation(candidate, 0, None, "out of memory")
    share = (*(1.0 if i == 0 else 0.0 for i in range(POINTS)), 0.0)
    metrics = Metrics(
        accuracy, share, (None,) * 5, macs, macs, backbone_accuracy, backbone_macs, params=1, activations=1
    )
    return Evaluation(candidate, 0, metrics)


def dominated(one, others):
    a, m = one.metrics.accuracy, one.metrics.ada_macs
    return any(
        o.metrics.accuracy >= a
        and o.metrics.ada_macs <= m
        and (o.metrics.accuracy, o.metrics.ada_macs) != (a, m)
        for o in others
    )


def archives(smallest=0):
    """Small numbers, so that there are ties and equals; some fail."""
    one = st.tuples(st.one_of(st.none(), st.integers(0, 6)), st.integers(1, 6), st.integers(0, 4))
    return st.lists(one, min_size=smallest, max_size=14).map(
        lambda figures: [
            evaluation(n, None if a is None else a / 6, macs, e) for n, (a, macs, e) in enumerate(figures)
        ]
    )


@given(archives())
@settings(max_examples=100)
def test_the_pareto_set_equals_brute_force(archive):
    good = [e for e in archive if e.ok]
    front = pareto_set(archive, OBJECTIVES)
    assert {e.candidate.id for e in front} == {e.candidate.id for e in good if not dominated(e, good)}
    costs = [e.metrics.ada_macs for e in front]
    assert costs == sorted(costs)


def useful(archive):
    """Return the evaluations in the best third of the front's accuracies, by brute force."""
    good = [e for e in archive if e.ok and e.candidate.scheme.exits > 0]
    front = [e.metrics.accuracy for e in good if not dominated(e, good)]
    limit = min(-a for a in front) + 1 / 3 * (max(front) - min(front)) if front else 0
    return good, [e for e in good if -e.metrics.accuracy <= limit]


@given(archives(), st.integers(1, 8))
@settings(max_examples=150)
def test_results_are_distinct_members_one_for_each_number_of_exits_first(archive, count):
    good, near = useful(archive)
    chosen = choose_results(archive, OBJECTIVES, count)
    assert len({e.candidate.id for e in chosen}) == len(chosen) <= count
    numbers = sorted({e.candidate.scheme.exits for e in near})
    first = numbers[: count if len(numbers) <= count else max(1, count - 1)]
    assert [e.candidate.scheme.exits for e in chosen[: len(first)]] == first
    for e in chosen[: len(first)]:
        rivals = [o for o in near if o.candidate.scheme.exits == e.candidate.scheme.exits]
        assert e in near
        assert not dominated(e, rivals)
    for e in chosen[len(first) :]:
        assert not dominated(e, good)
    front = [e for e in good if not dominated(e, good)]
    everything = {e.candidate.id for e in front} | {e.candidate.id for e in chosen}
    assert len(chosen) == min(count, len(everything))
    if good and count > 1 and len(numbers) != count:
        assert max(e.metrics.accuracy for e in chosen) == max(e.metrics.accuracy for e in good)


def fronts():
    """Evaluations that are all non-dominated, with one or two exits."""
    one = st.tuples(st.integers(1, 60), st.integers(1, 2))
    return st.lists(one, min_size=4, max_size=10, unique_by=lambda figures: figures[0]).map(
        lambda figures: [evaluation(n, (macs / 60) ** 0.5, macs, e) for n, (macs, e) in enumerate(figures)]
    )


def nearest(e, chosen, front):
    """Return the distance of an evaluation to its nearest in `chosen`, by logarithms of costs."""

    def at(e):
        return np.array([e.metrics.accuracy, np.log(e.metrics.ada_macs)])

    span = np.ptp([at(each) for each in front], axis=0)
    return min(float(np.linalg.norm((at(e) - at(c)) / span)) for c in chosen)


@given(fronts(), st.integers(3, 8))
@settings(max_examples=60)
def test_further_results_are_the_most_accurate_then_those_farthest_from_the_chosen(front, count):
    """Each further one, by brute force, is farthest from the nearest chosen."""
    results = choose_results(front, OBJECTIVES, count)
    numbers = len({e.candidate.scheme.exits for e in useful(front)[1]})
    best = max(front, key=lambda e: e.metrics.accuracy)
    for size in range(numbers, len(results)):
        chosen = results[:size]
        rest = [e for e in front if e not in chosen]
        if size == numbers and best in rest:
            assert results[size] == best
            continue
        least = min(e.metrics.accuracy for e in results[:numbers])
        rest = [e for e in rest if e.metrics.accuracy >= least] or rest
        gaps = [nearest(e, chosen, front) for e in rest]
        assert nearest(results[size], chosen, front) == pytest.approx(max(gaps))


@given(archives(), st.integers(1, 8), st.sampled_from([1e-3, 7.0, 1e6]), st.randoms())
@settings(max_examples=60)
def test_units_of_cost_and_dominated_candidates_do_not_change_the_results(archive, count, unit, random):
    chosen = choose_results(archive, OBJECTIVES, count)
    scaled = [e if e.metrics is None else replace(e, metrics=in_units(e.metrics, unit)) for e in archive]
    assert [e.candidate for e in choose_results(scaled, OBJECTIVES, count)] == [e.candidate for e in chosen]
    good = [e for e in archive if e.ok]
    if good:
        better = random.choice(good)
        figures = better.metrics.accuracy - 0.01, better.metrics.ada_macs + 1
        worse = evaluation(99, *figures, better.candidate.scheme.exits)
        assert choose_results([*archive, worse], OBJECTIVES, count) == chosen


def in_units(metrics, unit):
    return replace(metrics, ada_macs=metrics.ada_macs * unit, executed_macs=metrics.executed_macs * unit)


def test_knees_at_one_place_become_results_along_the_front():
    """Nearly equal, cheap trade-offs of all numbers of exits once were four of five results."""
    curve = [(0.50, 30), (0.56, 80), (0.60, 300), (0.61, 400), (0.63, 1200), (0.66, 3000), (0.68, 10_000)]
    archive = [
        evaluation(10 * exits + n, accuracy - exits / 500, float(macs), exits)
        for exits in range(1, 5)
        for n, (accuracy, macs) in enumerate(curve)
    ]
    chosen = choose_results(archive, OBJECTIVES, 5)
    places = [(e.candidate.scheme.exits, e.metrics.ada_macs) for e in chosen]
    assert places == [(1, 1200), (2, 3000), (3, 10_000), (4, 1200), (1, 10_000)]


def test_candidates_below_every_trade_off_are_the_last_results():
    """A long tail of cheap, inaccurate candidates does not take the place of accurate ones."""
    tail = [evaluation(n, 0.50 + 0.04 * n, 10.0 + 0.1 * n) for n in range(10)]
    knee, better = (
        evaluation(20, 0.96, 12.0),
        [evaluation(n, 0.96 + n / 3000, 20.0 * n) for n in range(30, 33)],
    )
    chosen = choose_results([*tail, knee, *better], OBJECTIVES, 5)
    assert chosen[0] == knee
    assert {e.candidate.id for e in chosen[1:4]} == {e.candidate.id for e in better}
    assert chosen[4] in tail


def test_the_best_trade_off_is_not_an_end_of_the_front():
    """Every step from the knee costs far more than it gains."""
    knee = evaluation(1, 0.90, 20.0)
    archive = [
        evaluation(0, 0.50, 10.0),
        knee,
        evaluation(2, 0.92, 100.0),
        evaluation(3, 0.40, 90.0),
        evaluation(4, None, 0.0),
    ]
    for order in itertools.permutations(archive):
        assert choose_results(order, OBJECTIVES, 1) == [knee]


def test_fewer_results_leave_out_the_larger_numbers_of_exits():
    archive = [evaluation(n, 0.9 + n / 1000, 10.0 + n, exits=n + 1) for n in range(4)]
    archive.append(evaluation(9, 0.5, 1.0))
    for count, expected in ((1, [1]), (2, [1, 4]), (3, [1, 2, 4]), (4, [1, 2, 3, 4])):
        exits = [e.candidate.scheme.exits for e in choose_results(archive, OBJECTIVES, count)]
        assert exits == expected


@pytest.mark.parametrize(
    "archive",
    [[], [evaluation(0, None, 1.0)], [evaluation(0, 0.9, 1.0, exits=0)]],
    ids=["empty", "failed", "0"],
)
def test_an_empty_archive_has_no_results(archive):
    assert choose_results(archive, OBJECTIVES, 4) == []


def singles_of(archive):
    """Return the single-exit networks of an archive without profiles."""
    return Trimmer(Rescorer(), archive, lambda _: None, ()).single_exits()


def singles():
    """Backbones of (accuracy, MACs); each may have been evaluated with several schemes."""
    one = st.tuples(st.integers(0, 6), st.integers(1, 6))
    return st.lists(one, min_size=1, max_size=8)


@given(singles(), st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=3), st.booleans())
@settings(max_examples=150)
def test_single_exit_rivals_equal_brute_force(backbones, rivals, repeated):
    archive = [
        evaluation(0, 0.1, 1.0, exits, backbone=n, backbone_accuracy=a / 6, backbone_macs=m)
        for n, (a, m) in enumerate(backbones)
        for exits in ([0, 2] if repeated else [1])
    ]
    archive.insert(0, evaluation(99, None, 1.0))
    static = choose_static(singles_of(archive), [(a / 6, m) for a, m in rivals], 0)
    assert len({c.id for c in static}) == len(static)
    assert all(c.scheme.thresholds == (None,) * POINTS for c in static)
    figures = [backbones[int(c.backbone["width"])] for c in static]
    assert [m for _, m in figures] == sorted(m for _, m in figures)
    needed = set()
    for a, m in rivals:
        cheaper = [b for b in backbones if b[1] <= m]
        needed.add(
            max(cheaper, key=lambda b: (b[0], -b[1]))
            if cheaper
            else min(backbones, key=lambda b: (b[1], -b[0]))
        )
        better = [b for b in backbones if b[0] >= a]
        needed.add(
            min(better, key=lambda b: (b[1], -b[0]))
            if better
            else max(backbones, key=lambda b: (b[0], -b[1]))
        )
    assert set(figures) == needed


def test_no_single_exit_network_without_a_success():
    assert choose_static(singles_of([evaluation(0, None, 1.0)]), [(0.5, 1.0)], 3) == []


def test_a_front_of_single_exit_networks_returns_both_ends():
    archive = [
        evaluation(0, 0.1, 1.0, 0, backbone=n, backbone_accuracy=n / 10, backbone_macs=10 + n)
        for n in range(5)
    ]
    singles = singles_of(archive)
    assert [c.backbone["width"] for c in choose_static(singles, [], 3)] == [0, 2, 4]
    assert len(choose_static(singles, [], 9)) == 5


def test_without_early_exits_networks_that_keep_the_constraints_come_first():
    archive = [
        evaluation(0, 0.1, 1.0, 0, n, backbone_accuracy=n / 10, backbone_macs=10 + n) for n in range(5)
    ]
    singles = [replace(e, violation=max(0.0, e.metrics.executed_macs - 12)) for e in singles_of(archive)]
    assert [c.backbone["width"] for c in choose_static(singles, [], 9)] == [0, 1, 2]
    assert len(choose_static([replace(e, violation=1.0) for e in singles], [], 9)) == 5
    rivals = [(0.4, 1.0)]
    assert [c.backbone["width"] for c in choose_static(singles, rivals, 9)] == [0, 4]


class Rescorer:
    """Scores higher thresholds as more accurate, and stores the candidates."""

    def __init__(self, removable=True):
        self.ids = []
        self.removable = removable

    def rescore(self, candidate, profile):
        assert set(candidate.scheme.placed) <= set(profile.points)
        self.ids.append(candidate.id)
        return evaluation(candidate.scheme.exits, 0.5, 50.0).metrics


def profile(points):
    columns = len(points) + 1
    return ExitProfile(points, np.zeros((3, columns), dtype=np.float32), np.ones((3, columns), dtype=bool))


def test_every_scheme_that_a_profile_covers_joins_the_archive_once():
    best = evaluation(2, 0.9, 10.0)
    points, thresholds = (0, 1), (0.25, None)
    rescorer = Rescorer()
    profiles_by_id = {best.candidate.id: profile(points)}
    pool = with_all_schemes([best], OBJECTIVES, thresholds, rescorer, profiles_by_id.get)
    assert pool[0] is best
    schemes = {e.candidate.scheme.thresholds for e in pool[1:]}
    rest = (None,) * (len(best.candidate.scheme.thresholds) - 2)
    every = {(*pair, *rest) for pair in itertools.product(thresholds, repeat=2)}
    assert schemes == every - {best.candidate.scheme.thresholds}
    assert len(rescorer.ids) == len(set(rescorer.ids)) == len(pool) - 1
    assert all(e.candidate.backbone == best.candidate.backbone for e in pool)


def test_a_candidate_without_profile_is_left_as_it_is():
    archive = [evaluation(1, 0.9, 10.0), evaluation(2, 0.8, 5.0)]
    assert with_all_schemes(archive, OBJECTIVES, (0.5, None), Rescorer(), {}.get) == archive


def test_an_exit_that_took_part_in_training_is_not_removed():
    trained = evaluation(2, 0.9, 10.0, exits=2)
    profiles_by_id = {trained.candidate.id: profile((0, 1))}
    pool = with_all_schemes(
        [trained], OBJECTIVES, (0.25, 0.5, None), Rescorer(removable=False), profiles_by_id.get
    )
    placed = {e.candidate.scheme.placed for e in pool}
    assert placed == {(0, 1)}
    assert len(pool) == 4


def test_many_thresholds_are_thinned_and_keep_every_placement():
    best = evaluation(2, 0.9, 10.0)
    thresholds = (*(i / 20 for i in range(1, 21)), None)
    profiles_by_id = {best.candidate.id: profile((0, 1, 2, 3))}
    pool = with_all_schemes([best], OBJECTIVES, thresholds, Rescorer(), profiles_by_id.get)
    assert len(pool) <= 1001
    assert len({e.candidate.scheme.placed for e in pool}) == 2**POINTS
