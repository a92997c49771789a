"""Metrics of a candidate from a predicted outcome (accuracies and utilization) and counted costs.

No network runs.
"""

import functools
import math
from collections.abc import Callable, Sequence
from threading import Lock

from edanas.core.contracts import Evaluator, Objective
from edanas.core.errors import CostError
from edanas.core.feasible import Feasibility
from edanas.core.network_memory import lacks_footprints
from edanas.core.objective_values import minimised
from edanas.core.types import Candidate, Metrics, Outcome
from edanas.evaluation.workbench import Workbench
from edanas.thresholds.schemes import Measure

Judge = Callable[[Candidate, Outcome], Metrics]
"""Function from a candidate and a predicted outcome to metrics; see `Evaluator.judge`."""


def measure_of(objectives: Sequence[Objective]) -> Measure:
    """Return the kind of MACs that continuous thresholds trade against accuracy.

    Args:
        objectives: The run's objectives; `macs` of an objective is `ada`, `executed` or empty.

    Returns:
        `ada` if at least one objective uses ADA_MACS and none uses executed MACs; otherwise `executed`.
    """
    return "ada" if {each.macs for each in objectives if each.macs} == {"ada"} else "executed"


def judge_of(workbench: Workbench, evaluator: Evaluator) -> Judge | None:
    """Return the function that computes metrics from a predicted outcome.

    Returns:
        The function. `None` if the evaluation mode has no `judge`, or if a backbone must be built or measured
        to know its costs. Building or measuring takes longer than the rest of an iteration.
    """
    if not all(meter.counted for meter in workbench.meters):
        return None
    task, smallest = workbench.parts.task, workbench.space.whole().smallest()
    costs = workbench.provider.costs(workbench.built(smallest), task)
    if not evaluator.judges or costs is None:
        return None
    if workbench.footprints and lacks_footprints((*costs[0], costs[1])):
        return None
    lock = Lock()

    def judge(candidate: Candidate, outcome: Outcome) -> Metrics:
        # Surrogates are fitted in several threads, and the evaluation mode may cache costs.
        with lock:
            return evaluator.judge(candidate, outcome)

    return judge


def count_costs(judge: Judge | None) -> Callable[[Candidate], Metrics] | None:
    """Return the function that computes exact costs of a candidate, for `counted` of `Feasibility`.

    The metrics have the exact costs that follow from the candidate's structure. Their accuracies are 0, and
    their utilization assumes that all samples exit at the last exit.

    Args:
        judge: The result of `judge_of`. If it is `None`, this function returns `None`.
    """
    if judge is None:
        return None

    def counted(candidate: Candidate) -> Metrics:
        points = len(candidate.scheme.thresholds)
        shares = (*((0.0,) * points), 1.0)
        return judge(candidate, Outcome(0.0, shares, (*((None,) * points), 0.0), 0.0))

    return counted


def predict_objectives(
    judge: Judge | None, objectives: Sequence[Objective], limits: Feasibility
) -> Callable[[Candidate, Outcome], Sequence[float]] | None:
    """Return the function that predicts objectives and excesses of constraints, for `SearchProblem.judge`.

    Args:
        judge: The result of `judge_of`. If it is `None`, this function returns `None`.
        objectives: The run's objectives.
        limits: The run's constraints.

    Returns:
        A function from a candidate and a predicted outcome to one list. The list has the value of each
        objective, to be minimised, then the excess of each constraint that an evaluation decides. A number
        that the metrics do not determine is NaN, such as the accuracies of classes.
    """
    if judge is None:
        return None

    def numbers(candidate: Candidate, outcome: Outcome) -> Sequence[float]:
        metrics = judge(candidate, outcome)
        values = [functools.partial(_objective_value, each, metrics) for each in objectives]
        excesses = [functools.partial(each.excess, candidate, metrics) for each in limits.measured]
        return [_known(value) for value in (*values, *excesses)]

    return numbers


def _objective_value(objective: Objective, metrics: Metrics) -> float:
    return math.nan if objective.by_class else minimised([objective], metrics)[0]


def _known(value: Callable[[], float]) -> float:
    """Return a value, or NaN if the metrics lack a part of it."""
    try:
        return value()
    except CostError:
        return math.nan
