"""What a candidate would be worth if its exits behaved like an outcome: arithmetic on counted costs."""

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
    """What thresholds trade against accuracy: ADA_MACS where objectives follow these alone."""
    return "ada" if {each.macs for each in objectives if each.macs} == {"ada"} else "executed"


def judge_of(workbench: Workbench, evaluator: Evaluator) -> Judge | None:
    """What turns a predicted outcome into metrics.

    `None` where the evaluation cannot, or where a backbone must be built to be counted or measured: that
    takes longer than all the rest of an iteration.
    """
    if not all(meter.counted for meter in workbench.meters):
        return None
    task, smallest = workbench.parts.task, workbench.space.smallest()
    if not evaluator.judges or workbench.provider.costs(smallest, task) is None:
        return None
    one_at_a_time = Lock()

    def judge(candidate: Candidate, outcome: Outcome) -> Metrics:
        # Surrogates are fitted in several threads, and whoever evaluates may remember what it counted.
        with one_at_a_time:
            return evaluator.judge(candidate, outcome)

    return judge


def counting(judge: Judge | None) -> Callable[[Candidate], Metrics] | None:
    """What gives metrics with exact costs from a candidate's structure alone, as `Feasibility` takes it."""
    if judge is None:
        return None

    def counted(candidate: Candidate) -> Metrics:
        points = len(candidate.scheme.thresholds)
        shares = (*((0.0,) * points), 1.0)
        return judge(candidate, Outcome(0.0, shares, (*((None,) * points), 0.0), 0.0))

    return counted


def in_numbers(
    judge: Judge | None, objectives: Sequence[Objective], limits: Feasibility
) -> Callable[[Candidate, Outcome], Sequence[float]] | None:
    """What gives the objectives' minimised values and the measured constraints' excesses.

    As `SearchProblem` takes it.
    """
    if judge is None:
        return None

    def numbers(candidate: Candidate, outcome: Outcome) -> Sequence[float]:
        metrics = judge(candidate, outcome)
        return [*minimised(objectives, metrics), *limits.excesses(candidate, metrics)]

    return numbers
