"""What a search gave, made into networks that are trained, tested and written."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edanas.core.archive import Archive
from edanas.core.engine import SearchOutcome
from edanas.core.errors import InfeasibleError, RunError
from edanas.core.feasible import Feasibility
from edanas.core.progress import Progress
from edanas.core.result_row import ResultRow
from edanas.core.types import CONTINUOUS, Candidate, Evaluation
from edanas.evaluation.finish import Finisher
from edanas.evaluation.selection import (
    choose_results,
    choose_static,
    with_all_schemes,
    with_every_number_of_exits,
)
from edanas.run.compose import Composition
from edanas.run.warm_start import best_of

_TOLD = 3
"""How many of the nearest candidates are told where nothing keeps the constraints."""


def first_candidates(made: Composition) -> tuple[Candidate, ...]:
    """What the initial archive begins with: an older run's best, where the settings name one."""
    settings = made.workbench.settings
    if not settings.warm_start:
        return ()
    run = Path(settings.warm_start).expanduser()
    return best_of(run, made.workbench.space, made.objectives, settings, made.fronts)


def searched_schemes(made: Composition, outcome: SearchOutcome, archive: Archive) -> list[Evaluation]:
    """What the search can choose among: its archive or, where thresholds are continuous, all trade-offs."""
    if made.fronts is None:
        return list(outcome.evaluations)
    found: list[Evaluation] = []
    for evaluation in outcome.evaluations:
        profile = archive.get_profile(evaluation.candidate.id) if evaluation.ok else None
        if profile is not None:
            found += made.fronts.evaluations(evaluation, profile)
    return found


def _drops(made: Composition, chosen: Sequence[Evaluation]) -> dict[str, float]:
    """What a chosen trade-off gives up against its backbone, where thresholds are continuous.

    Calibration sets the thresholds anew; without this it would make every network as accurate as its last
    exit, and the cheap end of the front would be lost.
    """
    if made.fronts is None:
        return {}
    measured = ((e.candidate.id, e.metrics) for e in chosen if e.metrics is not None)
    return {name: max(0.0, m.backbone_accuracy - m.accuracy) for name, m in measured}


def _judged(pool: Sequence[Evaluation], limits: Feasibility) -> list[Evaluation]:
    """The pool with what each breaks: schemes that were scored from exit profiles are not judged yet."""
    return [replace(e, violation=limits.violation(e.candidate, e.metrics)) if e.metrics else e for e in pool]


def _nearest(pool: Sequence[Evaluation], made: Composition) -> str:
    """What to tell where nothing keeps the constraints."""
    measured = sorted((e for e in pool if e.ok), key=lambda e: (e.violation, e.candidate.id))
    broken = [made.limits.breaches(e.candidate, e.metrics) for e in measured[:_TOLD]]
    told = [f"{e.candidate.id}: {'; '.join(each)}" for e, each in zip(measured, broken, strict=False)]
    return "\n".join(
        (
            f"none of {len(measured)} candidates keeps the constraints. What came nearest:",
            *told,
            f"What was evaluated is kept in {made.workbench.folder}; other constraints need another folder",
        )
    )


def finish_results(
    made: Composition,
    outcome: SearchOutcome,
    searched: Sequence[Evaluation],
    archive: Archive,
    progress: Progress,
) -> tuple[list[ResultRow], list[ResultRow], list[dict[str, str]]]:
    """The rows of the early-exit and of the single-exit networks, and what could not be finished.

    Raises:
        RunError: There were early-exit networks to finish, and each one failed.
        InfeasibleError: No candidate keeps the constraints.
    """
    finisher = Finisher(made.workbench, made.evaluator, made.setter, made.exporters, made.limits)
    settings, pool = made.workbench.settings, list(searched)
    scoring = made.evaluator, archive.get_profile
    if settings.thresholds == CONTINUOUS:
        pool = with_every_number_of_exits(pool, outcome.evaluations, made.objectives, *scoring)
    elif made.setter.resets:
        pool = with_all_schemes(pool, made.objectives, settings.thresholds, *scoring)
        pool = [each for each in pool if each.candidate in made.workbench.space]
    pool = _judged(pool, made.limits)
    if pool and not any(e.feasible for e in pool):
        raise InfeasibleError(_nearest(pool, made))
    chosen = choose_results(pool, made.objectives, settings.search.results)
    candidates = [e.candidate for e in chosen]
    front, failures = finisher.finish(candidates, "Fine-tuning the results", progress, _drops(made, chosen))
    if failures and not front:
        (cause, times), *_ = Counter(failure["error"] for failure in failures).most_common(1)
        raise RunError(
            f"none of the {len(failures)} early-exit networks could be finished; the most frequent reason "
            f"({times} times) is {cause}. What the search found is kept in {made.workbench.folder}: when the "
            "cause is mended, run the same again"
        )
    promised = {e.candidate.id: e.metrics.accuracy for e in chosen if e.metrics is not None}
    rivals = [(promised[row.id], row.macs_for_choice) for row in front]
    single = choose_static(outcome.evaluations, rivals, settings.search.results)
    static, more = finisher.finish(single, "Fine-tuning single-exit networks to compare with", progress)
    return front, static, failures + more
