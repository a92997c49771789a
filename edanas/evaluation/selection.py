"""Which of the evaluated candidates come back."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Objective
from edanas.core.pareto import minimised, non_dominated, trade_off
from edanas.core.types import Candidate, Evaluation, SelectionScheme


def pareto_set(evaluations: Sequence[Evaluation], objectives: Sequence[Objective]) -> list[Evaluation]:
    """The evaluations that no other one dominates, by rising second objective; failed ones are left out."""
    good = [e for e in evaluations if e.metrics is not None]
    if not good:
        return []
    values = _values(good, objectives)
    front = np.flatnonzero(non_dominated(values))
    return [good[i] for i in front[np.argsort(values[front, 1], kind="stable")]]


def choose_results(
    evaluations: Sequence[Evaluation], objectives: Sequence[Objective], count: int
) -> list[Evaluation]:
    """The candidates to finish: for each number of exits the best trade-off (Section V-B of the paper).

    A number of exits that no successful candidate has is passed over. Where `count` asks for more, the Pareto
    set's early-exit members follow, those first that lie farthest from what is chosen; where it asks for
    fewer, the larger numbers of exits are left out.
    """
    good = [e for e in evaluations if e.metrics is not None and e.candidate.scheme.exits > 0]
    chosen = []
    for exits in sorted({e.candidate.scheme.exits for e in good}):
        group = pareto_set([e for e in good if e.candidate.scheme.exits == exits], objectives)
        chosen.append(group[trade_off(_values(group, objectives))])
    rest = [e for e in pareto_set(good, objectives) if e not in chosen]
    while len(chosen) < count and rest:
        farthest = _farthest(rest, chosen, objectives)
        chosen.append(rest.pop(farthest))
    return chosen[:count]


def choose_static(
    evaluations: Sequence[Evaluation], rivals: Sequence[tuple[float, float]]
) -> list[Candidate]:
    """Single-exit networks of the same search to set beside early-exit ones.

    Every evaluated backbone is a single-exit network too, with its last exit's accuracy and its own MACs. Of
    those that no other dominates, each rival is given the most accurate at its cost, and the cheapest that is
    as accurate.

    Args:
        evaluations: The archive.
        rivals: Accuracy and executed MACs of each early-exit network, on the validation part.

    Returns:
        Distinct candidates without exits, by rising MACs.
    """
    backbones: dict[str, Evaluation] = {}
    for evaluation in evaluations:
        if evaluation.metrics is not None:
            backbones.setdefault(evaluation.candidate.backbone.id, evaluation)
    pool = list(backbones.values())
    if not pool:
        return []
    singles = [e.metrics for e in pool if e.metrics is not None]
    points = np.array([[1 - m.backbone_accuracy, m.backbone_macs] for m in singles])
    front = sorted(map(int, np.flatnonzero(non_dominated(points))), key=lambda i: singles[i].backbone_macs)
    chosen: set[int] = set()
    for accuracy, executed in rivals:
        affordable = [i for i in front if singles[i].backbone_macs <= executed]
        as_good = [i for i in front if singles[i].backbone_accuracy >= accuracy]
        chosen.add(affordable[-1] if affordable else front[0])
        chosen.add(as_good[0] if as_good else front[-1])
    nothing = SelectionScheme((None,) * len(pool[0].candidate.scheme.thresholds))
    by_cost = sorted(chosen, key=lambda i: singles[i].backbone_macs)
    return [Candidate(pool[i].candidate.backbone, nothing) for i in by_cost]


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
