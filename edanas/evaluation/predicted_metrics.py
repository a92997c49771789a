"""Metrics of a candidate from a predicted outcome of its exits, by arithmetic on counted costs."""

from collections.abc import Callable, Sequence
from threading import Lock

from edanas.core.contracts import Evaluator, Objective
from edanas.core.feasible import Feasibility
from edanas.core.objective_values import minimised
from edanas.core.types import Candidate, Metrics, Outcome
from edanas.evaluation.workbench import Workbench
from edanas.thresholds.schemes import Measure

Judge = Callable[[Candidate, Outcome], Metrics]


def measure_of(objectives: Sequence[Objective]) -> Measure:
    """Return the MACs that thresholds trade against accuracy: ADA_MACS if no objective uses executed MACs."""
    return "ada" if {each.macs for each in objectives if each.macs} == {"ada"} else "executed"


def judge_of(workbench: Workbench, evaluator: Evaluator) -> Judge | None:
    """Return the function that turns a predicted outcome into metrics.

    `None` if the evaluation has none, or if backbones must be built for their costs, which would take longer
    than the rest of an iteration.
    """
    if not all(meter.counted for meter in workbench.meters):
        return None
    task, smallest = workbench.parts.task, workbench.space.smallest()
    if not evaluator.judges or workbench.provider.costs(smallest, task) is None:
        return None
    lock = Lock()

    def judge(candidate: Candidate, outcome: Outcome) -> Metrics:
        # Surrogates are fitted in several threads, and the evaluation may cache costs.
        with lock:
            return evaluator.judge(candidate, outcome)

    return judge


def count_costs(judge: Judge | None) -> Callable[[Candidate], Metrics] | None:
    """Return the function from a candidate's structure to metrics with exact costs, for `Feasibility`."""
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
    """Return the function from a predicted outcome to minimised objectives and excesses of constraints.

    It is `judge` of `SearchProblem`.
    """
    if judge is None:
        return None

    def numbers(candidate: Candidate, outcome: Outcome) -> Sequence[float]:
        metrics = judge(candidate, outcome)
        return [*minimised(objectives, metrics), *limits.excesses(candidate, metrics)]

    return numbers
