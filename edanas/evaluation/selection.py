"""Candidates that results are chosen from, their Pareto set, and single-exit networks to compare with."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Evaluator, Objective
from edanas.core.cut_backbones import cut
from edanas.core.feasible import feasible_first
from edanas.core.objective_values import minimised
from edanas.core.types import Candidate, Evaluation, ExitProfile, SelectionScheme, Variable
from edanas.numerics.pareto import non_dominated
from edanas.thresholds.schemes import ended_profile

_SCHEMES = 1000
"""Maximum number of selection schemes scored for one backbone; 1000 schemes take about 0.05 s."""

_SETS = 6
"""Maximum number of sets of exits, for each size, whose front is computed. Four exits have at most six."""


def pareto_set(evaluations: Sequence[Evaluation], objectives: Sequence[Objective]) -> list[Evaluation]:
    """Return the non-dominated evaluations, by rising second objective, without failed evaluations.

    Candidates that keep all constraints dominate the candidates that break one. If every candidate breaks a
    constraint, the candidates with the smallest violation are returned.
    """
    good = [e for e in evaluations if e.metrics is not None]
    if not good:
        return []
    values = feasible_first(objective_values(good, objectives), np.array([e.violation for e in good]))
    front = np.flatnonzero(non_dominated(values))
    return [good[i] for i in front[np.argsort(values[front, 1], kind="stable")]]


def with_all_schemes(
    evaluations: Sequence[Evaluation],
    objectives: Sequence[Objective],
    thresholds: Sequence[float | None],
    evaluator: Evaluator,
    profile_of: Callable[[str], ExitProfile | None],
    variables: Sequence[Variable] = (),
) -> list[Evaluation]:
    """Return the archive, extended by all other selection schemes on its best backbones.

    The best backbones are the backbones of the Pareto set, and the backbones that are non-dominated as
    single-exit networks. Their schemes are scored from exit profiles. Schemes with fewer exits than the
    profile, and networks that end at an exit point, are scored only if `Evaluator.removable` is true.

    Args:
        evaluations: The archive.
        objectives: The run's objectives.
        thresholds: The allowed thresholds at an exit point; `None` among them = no exit.
        evaluator: Computes the metrics of a scheme from a profile.
        profile_of: Candidate id -> the stored exit profile; `None` = no profile is stored.
        variables: The variables of the supernet provider. Empty, the default = networks do not end at an exit
            point.
    """
    by_id = {e.candidate.id: e for e in evaluations}
    for source in (*pareto_set(evaluations, objectives), *_best_backbones(evaluations)):
        profile = profile_of(source.candidate.id)
        if profile is None:
            continue
        searched, removable = source.candidate.scheme, evaluator.removable
        points = profile.points if removable else searched.placed
        schemes = _schemes(len(searched.thresholds), points, thresholds, removable=removable)
        _score(by_id, source, schemes, evaluator, profile)
        for end in points if removable and variables else ():
            shorter = Candidate(cut(source.candidate.backbone, variables, end + 1), searched)
            before = [point for point in points if point < end]
            schemes = _schemes(len(searched.thresholds), before, thresholds, removable=True)
            _score(by_id, replace(source, candidate=shorter), schemes, evaluator, ended_profile(profile, end))
    return list(by_id.values())


def with_exact_fronts(
    candidates: Sequence[Evaluation],
    sources: Iterable[Evaluation],
    evaluator: Evaluator,
    profile_of: Callable[[str], ExitProfile | None],
) -> list[Evaluation]:
    """Return candidates, extended by the Pareto-optimal schemes of backbones over all thresholds in [0, 1].

    The final thresholds of a result may be any numbers, so that these schemes show better than a list of
    thresholds what a backbone can reach.

    Args:
        candidates: The candidates to extend.
        sources: Evaluations of the backbones; one for each backbone is used.
        evaluator: Returns the Pareto-optimal schemes of a backbone, and computes their metrics.
        profile_of: Candidate id -> the stored exit profile; `None` = no profile is stored.
    """
    by_id = {e.candidate.id: e for e in candidates}
    by_backbone = {source.candidate.backbone.id: source for source in sources}
    for source in by_backbone.values() if evaluator.removable and evaluator.keeps_profiles else ():
        backbone, exit_points = source.candidate.backbone, len(source.candidate.scheme.thresholds)
        profile = profile_of(source.candidate.id)
        if profile is None or not profile.points:
            continue
        thresholds = (1.0 if index in profile.points else None for index in range(exit_points))
        placed = Candidate(backbone, SelectionScheme(tuple(thresholds)))
        _score(by_id, source, evaluator.schemes(placed, profile), evaluator, profile)
    return list(by_id.values())


def with_every_number_of_exits(
    searched: Sequence[Evaluation],
    archive: Sequence[Evaluation],
    objectives: Sequence[Objective],
    evaluator: Evaluator,
    profile_of: Callable[[str], ExitProfile | None],
) -> list[Evaluation]:
    """Return the candidates of a search with continuous thresholds, extended to every number of exits.

    The results of a run have one network for each number of exits, but the front of a backbone may lack some
    numbers of exits. Therefore, for the backbones of the Pareto set, the front of each set of exits is added.
    Of the sets with equal size, at most six are used.

    Args:
        searched: The candidates on the fronts of all backbones.
        archive: The evaluation of each backbone with all its exits.
        objectives: The run's objectives.
        evaluator: Returns the Pareto-optimal schemes of a backbone, and computes their metrics.
        profile_of: Candidate id -> the stored exit profile; `None` = no profile is stored.
    """
    by_id = {e.candidate.id: e for e in searched}
    best = {e.candidate.backbone.id for e in pareto_set(searched, objectives)}
    for source in archive if evaluator.removable else ():
        backbone, exit_points = source.candidate.backbone, len(source.candidate.scheme.thresholds)
        profile = profile_of(source.candidate.id) if backbone.id in best else None
        if profile is None:
            continue
        for count in range(1, len(profile.points) + 1):
            for points in _evenly(list(itertools.combinations(profile.points, count))):
                thresholds = (1.0 if index in points else None for index in range(exit_points))
                placed = Candidate(backbone, SelectionScheme(tuple(thresholds)))
                _score(by_id, source, evaluator.schemes(placed, profile), evaluator, profile)
    return list(by_id.values())


def _evenly(sets: Sequence[tuple[int, ...]]) -> Sequence[tuple[int, ...]]:
    """Return `sets` if there are at most `_SETS`, otherwise `_SETS` evenly spaced elements of it."""
    if len(sets) <= _SETS:
        return sets
    return [sets[int(index)] for index in np.linspace(0, len(sets) - 1, _SETS).round()]


def _score(
    by_id: dict[str, Evaluation],
    source: Evaluation,
    schemes: Iterable[SelectionScheme],
    evaluator: Evaluator,
    profile: ExitProfile,
) -> None:
    """Add an evaluation to `by_id` for each scheme on the backbone of `source`; keep existing evaluations."""
    for scheme in schemes:
        candidate = Candidate(source.candidate.backbone, scheme)
        if candidate.id not in by_id:
            metrics = evaluator.rescore(candidate, profile)
            by_id[candidate.id] = Evaluation(candidate, source.iteration, metrics)


def choose_static(
    singles: Sequence[Evaluation], rivals: Sequence[tuple[float, float]], count: int
) -> list[Candidate]:
    """Choose single-exit networks of the same search, to compare the early-exit networks with.

    For each early-exit network, two networks of the single-exit front are chosen: the most accurate network
    that costs no more, and the cheapest network that is at least as accurate. If one of the two does not
    exist, the nearest end of the front is chosen instead.

    Args:
        singles: The single-exit networks of the search, cut networks included; see `Trimmer.single_exits`.
        rivals: Accuracy, a fraction, and executed MACs of each early-exit network on the validation part.
        count: Maximum number of networks if `rivals` is empty; they are then evenly spaced along the front of
            the networks that keep the constraints, if there are any.

    Returns:
        Distinct candidates without early exits, by rising MACs.
    """
    if not rivals and any(single.feasible for single in singles):
        singles = [single for single in singles if single.feasible]
    front = single_exit_front(singles)
    metrics = [e.metrics for e in front if e.metrics is not None]
    evenly = np.linspace(0, len(front) - 1, min(count, len(front))).round()
    chosen: set[int] = set() if rivals else {int(index) for index in evenly}
    for accuracy, executed in rivals if front else ():
        affordable = [i for i, single in enumerate(metrics) if single.executed_macs <= executed]
        as_accurate = [i for i, single in enumerate(metrics) if single.accuracy >= accuracy]
        chosen.add(affordable[-1] if affordable else 0)
        chosen.add(as_accurate[0] if as_accurate else len(front) - 1)
    return [front[i].candidate for i in sorted(chosen)]


def _schemes(
    exit_points: int, points: Sequence[int], thresholds: Sequence[float | None], *, removable: bool
) -> Iterator[SelectionScheme]:
    """Return every scheme with exits at `points`; with `removable`, also every scheme at some of `points`.

    Every second threshold is dropped until there are at most `_SCHEMES` schemes.
    """
    values = [threshold for threshold in thresholds if threshold is not None]
    none = [None] if removable else []
    while len(values) > 1 and len(values + none) ** len(points) > _SCHEMES:
        values = values[::2]
    choices = [[*values, *none] if point in points else [None] for point in range(exit_points)]
    return map(SelectionScheme, itertools.product(*choices))


def single_exit_front(singles: Sequence[Evaluation]) -> list[Evaluation]:
    """Return the non-dominated single-exit networks in accuracy and MACs, by rising MACs."""
    return _front([(m.executed_macs, m.accuracy, e) for e in singles if (m := e.metrics)])


def _best_backbones(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Return an evaluation for each backbone on the front of backbones as single-exit networks."""
    backbones: dict[str, Evaluation] = {}
    for evaluation in evaluations:
        if evaluation.metrics is not None:
            backbones.setdefault(evaluation.candidate.backbone.id, evaluation)
    return _front([(m.backbone_macs, m.backbone_accuracy, e) for e in backbones.values() if (m := e.metrics)])


def _front(figures: Sequence[tuple[float, float, Evaluation]]) -> list[Evaluation]:
    """Return the non-dominated evaluations by rising MACs, from triples of MACs, accuracy and evaluation."""
    if not figures:
        return []
    best = non_dominated(np.array([[macs, -accuracy] for macs, accuracy, _ in figures]))
    return [e for _, _, e in sorted(itertools.compress(figures, best), key=lambda item: item[0])]


def objective_values(
    evaluations: Sequence[Evaluation], objectives: Sequence[Objective]
) -> npt.NDArray[np.float64]:
    """Return the objective values: one row per evaluation with metrics, one column per objective.

    Maximised objectives have their sign changed.
    """
    return np.array([minimised(objectives, e.metrics) for e in evaluations if e.metrics is not None])
