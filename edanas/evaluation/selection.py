"""Which of the evaluated candidates come back."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Evaluator, Objective
from edanas.core.feasible import feasible_first
from edanas.core.objective_values import minimised
from edanas.core.types import Candidate, Evaluation, ExitProfile, SelectionScheme
from edanas.numerics.pareto import non_dominated, trade_off

_SCHEMES = 1000
"""How many selection schemes are scored on one backbone at most, about 0.05 s."""

_SETS = 6
"""Of how many sets of equally many exits a backbone's trade-offs are looked for: all that four exits have."""


def pareto_set(evaluations: Sequence[Evaluation], objectives: Sequence[Objective]) -> list[Evaluation]:
    """The evaluations that no other one dominates, by rising second objective; failed ones are left out.

    Those that keep all constraints dominate the others; where none does, the least violation is on the front.
    """
    good = [e for e in evaluations if e.metrics is not None]
    if not good:
        return []
    values = feasible_first(_values(good, objectives), np.array([e.violation for e in good]))
    front = np.flatnonzero(non_dominated(values))
    return [good[i] for i in front[np.argsort(values[front, 1], kind="stable")]]


def choose_results(
    evaluations: Sequence[Evaluation], objectives: Sequence[Objective], count: int
) -> list[Evaluation]:
    """The candidates to finish: for each number of exits the best trade-off (Section V-B of the paper).

    Only candidates that keep all constraints come into question.

    A number of exits that no successful candidate has is passed over. Where `count` asks for more, early-exit
    members of the Pareto set follow: the best one in the first objective, then those that lie farthest from
    what is chosen. Where it asks for fewer, the larger numbers of exits are left out.
    """
    good = [e for e in evaluations if e.feasible and e.candidate.scheme.exits > 0]
    chosen = []
    for exits in sorted({e.candidate.scheme.exits for e in good}):
        group = pareto_set([e for e in good if e.candidate.scheme.exits == exits], objectives)
        chosen.append(group[trade_off(_values(group, objectives))])
    rest = [e for e in pareto_set(good, objectives) if e not in chosen]
    if len(chosen) < count and rest:
        chosen.append(rest.pop(int(_values(rest, objectives)[:, 0].argmin())))
    while len(chosen) < count and rest:
        chosen.append(rest.pop(_farthest(rest, chosen, objectives)))
    return chosen[:count]


def with_all_schemes(
    evaluations: Sequence[Evaluation],
    objectives: Sequence[Objective],
    thresholds: Sequence[float | None],
    evaluator: Evaluator,
    profile_of: Callable[[str], ExitProfile | None],
) -> list[Evaluation]:
    """The archive, and every other selection scheme on its best backbones, scored from their exit profiles.

    A candidate is one scheme of the many that its exit profile answers for. Exits are removed only where that
    leaves the weights of the others as they are; see `Evaluator.removable`. The best backbones are those of
    the Pareto set, and those that no other dominates as single-exit networks.

    Args:
        evaluations: The archive.
        objectives: What is optimised.
        thresholds: What an exit point may hold.
        evaluator: Scores a scheme from a profile.
        profile_of: The archive's exit profile of a candidate, by its id.
    """
    found = {e.candidate.id: e for e in evaluations}
    for source in (*pareto_set(evaluations, objectives), *_single_exit_front(evaluations)):
        profile = profile_of(source.candidate.id)
        if profile is None:
            continue
        searched, removable = source.candidate.scheme, evaluator.removable
        points = profile.points if removable else searched.placed
        schemes = _schemes(len(searched.thresholds), points, thresholds, removable=removable)
        _score(found, source, schemes, evaluator, profile)
    return list(found.values())


def with_every_number_of_exits(
    searched: Sequence[Evaluation],
    archive: Sequence[Evaluation],
    objectives: Sequence[Objective],
    evaluator: Evaluator,
    profile_of: Callable[[str], ExitProfile | None],
) -> list[Evaluation]:
    """Where thresholds are continuous: all trade-offs, and of the best backbones those of every set of exits.

    A backbone's own front may pass over a number of exits that another one beats, and each is to come back.

    Args:
        searched: The trade-offs of all backbones.
        archive: The backbones as they were evaluated.
        objectives: What is optimised.
        evaluator: Knows the schemes and scores them.
        profile_of: The archive's exit profile of a candidate, by its id.
    """
    found = {e.candidate.id: e for e in searched}
    best = {e.candidate.backbone.id for e in pareto_set(searched, objectives)}
    for source in archive if evaluator.removable else ():
        backbone, exit_points = source.candidate.backbone, len(source.candidate.scheme.thresholds)
        profile = profile_of(source.candidate.id) if backbone.id in best else None
        if profile is None:
            continue
        for count in range(1, len(profile.points) + 1):
            for points in _some(list(itertools.combinations(profile.points, count))):
                placed = SelectionScheme(tuple(1.0 if at in points else None for at in range(exit_points)))
                schemes = evaluator.schemes(Candidate(backbone, placed), profile)
                _score(found, source, schemes, evaluator, profile)
    return list(found.values())


def _some(sets: Sequence[tuple[int, ...]]) -> Sequence[tuple[int, ...]]:
    """At most `_SETS` of the sets, evenly."""
    if len(sets) <= _SETS:
        return sets
    return [sets[int(at)] for at in np.linspace(0, len(sets) - 1, _SETS).round()]


def _score(
    found: dict[str, Evaluation],
    source: Evaluation,
    schemes: Iterable[SelectionScheme],
    evaluator: Evaluator,
    profile: ExitProfile,
) -> None:
    """Add what `schemes` make of the backbone of `source`, where that is not known by its id."""
    for scheme in schemes:
        candidate = Candidate(source.candidate.backbone, scheme)
        if candidate.id not in found:
            metrics = evaluator.rescore(candidate, profile)
            found[candidate.id] = Evaluation(candidate, source.iteration, metrics)


def choose_static(
    evaluations: Sequence[Evaluation], rivals: Sequence[tuple[float, float]], count: int
) -> list[Candidate]:
    """Single-exit networks of the same search to set beside early-exit ones, or to come back alone.

    Every evaluated backbone is a single-exit network too, with its last exit's accuracy and its own MACs. Of
    those that no other dominates, each rival is given the most accurate at its cost, and the cheapest that is
    as accurate. Without rivals `count` come back, evenly along that front.

    Args:
        evaluations: The archive.
        rivals: Accuracy and executed MACs of each early-exit network, on the validation part.
        count: How many, where there are no rivals.

    Returns:
        Distinct candidates without exits, by rising MACs.
    """
    front = _single_exit_front(evaluations)
    singles = [e.metrics for e in front if e.metrics is not None]
    if not singles:
        return []
    evenly = np.linspace(0, len(front) - 1, min(count, len(front))).round()
    chosen: set[int] = set() if rivals else {int(at) for at in evenly}
    for accuracy, executed in rivals:
        affordable = [i for i, single in enumerate(singles) if single.backbone_macs <= executed]
        as_good = [i for i, single in enumerate(singles) if single.backbone_accuracy >= accuracy]
        chosen.add(affordable[-1] if affordable else 0)
        chosen.add(as_good[0] if as_good else len(front) - 1)
    nothing = SelectionScheme((None,) * len(front[0].candidate.scheme.thresholds))
    return [Candidate(front[i].candidate.backbone, nothing) for i in sorted(chosen)]


def _schemes(
    exit_points: int, points: Sequence[int], thresholds: Sequence[float | None], *, removable: bool
) -> Iterator[SelectionScheme]:
    """Every scheme with exits at `points`, or at some of them where they are removable.

    Where these are more than `_SCHEMES`, thresholds are left out evenly until they are not.
    """
    kept = [threshold for threshold in thresholds if threshold is not None]
    none = [None] if removable else []
    while len(kept) > 1 and len(kept + none) ** len(points) > _SCHEMES:
        kept = kept[::2]
    choices = [[*kept, *none] if point in points else [None] for point in range(exit_points)]
    return map(SelectionScheme, itertools.product(*choices))


def _single_exit_front(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """One evaluation for each backbone that no other dominates by its last exit, by rising MACs."""
    backbones: dict[str, Evaluation] = {}
    for evaluation in evaluations:
        if evaluation.metrics is not None:
            backbones.setdefault(evaluation.candidate.backbone.id, evaluation)
    single = [(m.backbone_macs, m.backbone_accuracy, e) for e in backbones.values() if (m := e.metrics)]
    if not single:
        return []
    best = non_dominated(np.array([[macs, -accuracy] for macs, accuracy, _ in single]))
    return [e for _, _, e in sorted(itertools.compress(single, best), key=lambda item: item[0])]


def _values(evaluations: Sequence[Evaluation], objectives: Sequence[Objective]) -> npt.NDArray[np.float64]:
    return np.array([minimised(objectives, e.metrics) for e in evaluations if e.metrics is not None])


def _farthest(
    rest: Sequence[Evaluation], chosen: Sequence[Evaluation], objectives: Sequence[Objective]
) -> int:
    """The index in `rest` whose nearest chosen one is farthest, each objective scaled to the span of all."""
    at, taken = _values(rest, objectives), _values(chosen, objectives)
    span = np.ptp(np.vstack([at, taken]), axis=0)
    gaps = np.abs(at[:, None] - taken[None]) / np.where(span > 0, span, 1.0)
    return int(np.sqrt((gaps**2).sum(-1)).min(1).argmax())
