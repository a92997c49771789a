"""The end of a run: the choice of candidates, their training and test, and the files of the networks."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

from edanas.core.archive import Archive
from edanas.core.engine import SearchOutcome
from edanas.core.errors import InfeasibleError, RunError
from edanas.core.feasible import Feasibility
from edanas.core.machine import user_path
from edanas.core.progress import Progress
from edanas.core.result_row import ResultRow
from edanas.core.types import Candidate, Evaluation, SelectionScheme
from edanas.evaluation.final_thresholds import budget_shortfall
from edanas.evaluation.finish_time import FinishTime, least_training
from edanas.evaluation.own_backbones import own_backbones, with_own_backbones
from edanas.evaluation.result_choice import choose_results
from edanas.evaluation.selection import (
    choose_static,
    pareto_set,
    single_exit_front,
    with_all_schemes,
    with_every_number_of_exits,
    with_exact_fronts,
)
from edanas.evaluation.trimming import Trimmer, distinct, without_copies
from edanas.report.history import PLAIN_FINISHED
from edanas.report.rivals import with_rivals
from edanas.run.compose import Composition
from edanas.run.memory_limits import most_memory
from edanas.run.optuna_study import is_storage, study_candidates
from edanas.run.steps import RunSteps
from edanas.run.time_plan import TimePlan
from edanas.run.warm_start import best_candidates

_WRITING = 0.5
"""Expected seconds for the files of one network, until the first is written."""

_ALONE = "Training the backbones of the results alone"
"""Label of the progress bar of these networks."""

_NEAREST = 3
"""The number of candidates that the message lists when no candidate satisfies the constraints."""


@dataclass(frozen=True)
class FinishedNetworks:
    """The networks of a run, trained, tested and written.

    Args:
        front: The rows of the early-exit networks.
        static: The rows of the single-exit networks: results whose early exits no sample uses, then networks
            to compare with.
        failures: For each candidate that could not be finished, its `id` and the `error`.
        plain: The rows of the plain dense networks, from the cheapest; empty by default.
    """

    front: Sequence[ResultRow]
    static: Sequence[ResultRow]
    failures: Sequence[dict[str, str]]
    plain: Sequence[ResultRow] = ()


def warm_start_candidates(composition: Composition) -> tuple[Candidate, ...]:
    """Return the best candidates of the older run or study in the setting `warm_start`; empty if not set.

    Raises:
        RunError: The folder or storage holds no run, a run on another space, or no successful evaluation.
    """
    workbench = composition.workbench
    if not workbench.settings.warm_start:
        return ()
    if is_storage(workbench.settings.warm_start):
        return study_candidates(workbench.settings.warm_start, workbench.space, workbench.settings)
    older_run = user_path(workbench.settings.warm_start)
    return best_candidates(
        older_run, workbench.space, composition.objectives, workbench.settings, composition.fronts
    )


def searchable_schemes(
    composition: Composition, outcome: SearchOutcome, archive: Archive
) -> list[Evaluation]:
    """Return the evaluated candidates that results are chosen from.

    They are all candidates of the archive. With continuous thresholds, the archive holds backbones, and the
    candidates are each backbone with each of its Pareto-optimal selection schemes.
    """
    if composition.fronts is None:
        return list(outcome.evaluations)
    trade_offs: list[Evaluation] = []
    for evaluation in outcome.evaluations:
        profile = archive.get_profile(evaluation.candidate.id) if evaluation.ok else None
        if profile is not None:
            trade_offs += composition.fronts.evaluations(evaluation, profile)
    return trade_offs


def finish_results(
    composition: Composition,
    outcome: SearchOutcome,
    searched: Sequence[Evaluation],
    archive: Archive,
    progress: Progress,
    plan: TimePlan | None,
    steps: RunSteps,
) -> FinishedNetworks:
    """Choose candidates, and train, test and write them, with single-exit networks for comparison.

    Args:
        composition: The objects of the run.
        outcome: The outcome of the search.
        searched: The evaluated candidates to choose from, from `searchable_schemes`.
        archive: The archive of the run, which holds the exit profiles.
        progress: The display of progress.
        plan: The plan of a run with a time limit; `None` = the settings determine the length.
        steps: The steps of the run.

    Raises:
        RunError: No early-exit network could be finished.
        InfeasibleError: No candidate satisfies the constraints.
    """
    workbench, objectives = composition.workbench, composition.objectives
    timing, counts = _finish_time(plan, composition, outcome)
    finish = partial(steps.finisher.finish, progress=progress, executor=steps.executor, timing=timing)
    # Results lose the exits that too few samples use, so they are chosen without these exits.
    count = len(workbench.parts.validation)
    trimmer = _trimmer(composition, outcome, archive, int(workbench.settings.min_exit_share * count) / count)
    pool = _choices(composition, outcome, searched, archive, trimmer)
    if pool and not any(e.feasible for e in pool):
        raise InfeasibleError(_infeasible_message(pool, composition))
    chosen = choose_results(pool, objectives, counts[0])
    candidates = [e.candidate for e in chosen]
    if message := budget_shortfall(workbench, composition.setter, candidates):
        raise RunError(
            f"{message}, in the cheapest result. The results of the search are kept in {workbench.folder}; "
            "raise the budget, then run the same command again"
        )
    drops = _accuracy_drops(chosen)
    singles = []
    if workbench.settings.search.compare:
        singles = _with_violations(trimmer.single_exits(), composition.limits)
    if timing is not None:
        figures = [(m.accuracy, m.executed_macs) for e in chosen if (m := e.metrics)]
        later = choose_static(singles, figures, counts[1])
        later += candidates if workbench.settings.finetune.backbones else []
        timing.later = [steps.finisher.work(each) for each in later]
    front, failures = finish(candidates, "Fine-tuning the results", drops=drops)
    if failures and not front:
        (cause, times), *_ = Counter(failure["error"] for failure in failures).most_common(1)
        raise RunError(
            f"none of the {len(failures)} early-exit networks could be finished; the most frequent reason "
            f"({times} times) is {cause}. The results of the search are kept in {workbench.folder}; correct "
            "the cause, then run the same command again"
        )
    front = without_copies(front)
    early, collapsed = ([row for row in front if bool(row.exits) is has_exits] for has_exits in (True, False))
    accuracies = {e.candidate.id: e.metrics.accuracy for e in chosen if e.metrics is not None}
    rivals = [(accuracies[row.id], row.macs_for_choice) for row in early]
    single = choose_static(singles, rivals, counts[1])
    bare = own_backbones(early) if workbench.settings.finetune.backbones else []
    single = [each for each in single if each not in bare]
    if timing is not None:
        timing.later = [steps.finisher.work(each) for each in single]
    alone, lost = finish(bare, _ALONE) if bare else ([], [])
    if timing is not None:
        timing.later = []
    static, further = finish(single, "Fine-tuning single-exit networks to compare with")
    static = [*alone, *static]
    static = [*without_copies(collapsed, static), *static]
    early = with_own_backbones(early, alone)
    return FinishedNetworks(with_rivals(early, static), static, [*failures, *lost, *further])


def _choices(
    composition: Composition,
    outcome: SearchOutcome,
    searched: Sequence[Evaluation],
    archive: Archive,
    trimmer: Trimmer,
) -> list[Evaluation]:
    """Return the candidates that results are chosen from: those of the search with further thresholds."""
    workbench, objectives = composition.workbench, composition.objectives
    pool = list(searched)
    scoring = composition.evaluator, archive.get_profile
    thresholds = workbench.space.thresholds
    if isinstance(thresholds, str):  # continuous
        pool = with_every_number_of_exits(pool, outcome.evaluations, objectives, *scoring)
    elif composition.setter.resets:
        variables = workbench.variables if workbench.space.cuts else ()
        pool = with_all_schemes(pool, objectives, thresholds, *scoring, variables)
        pool = [each for each in pool if each.candidate in workbench.space]
        pool = _with_exact_fronts(composition, pool, trimmer, archive)
    return distinct(_with_violations(trimmer.trim(pool), composition.limits))


def _with_exact_fronts(
    composition: Composition, pool: Sequence[Evaluation], trimmer: Trimmer, archive: Archive
) -> list[Evaluation]:
    """Return candidates, extended by the exact threshold fronts of the best backbones, whole or cut.

    The fronts have only exits that the space allows.
    """
    singles = single_exit_front(trimmer.single_exits())
    best = trimmer.sources([*pareto_set(pool, composition.objectives), *singles])
    every = with_exact_fronts(pool, best, composition.evaluator, archive.get_profile)
    space = composition.workbench.space
    allowed = next((each for each in space.thresholds if isinstance(each, float)), None)

    def is_allowed(candidate: Candidate) -> bool:
        thresholds = (None if each is None else allowed for each in candidate.scheme.thresholds)
        return Candidate(candidate.backbone, SelectionScheme(tuple(thresholds))) in space

    return [*pool, *(each for each in every[len(pool) :] if is_allowed(each.candidate))]


def trimmed_candidates(
    composition: Composition, outcome: SearchOutcome, searched: Sequence[Evaluation], archive: Archive
) -> list[Evaluation]:
    """Return the evaluated candidates without the exits and stages that no validation sample uses.

    The arguments are those of `finish_results`.
    """
    trimmed = _trimmer(composition, outcome, archive).trim(searched)
    return _with_violations(trimmed, composition.limits)


def _trimmer(
    composition: Composition, outcome: SearchOutcome, archive: Archive, share: float = 0.0
) -> Trimmer:
    variables = composition.workbench.variables
    form = composition.workbench.space.canonical_backbone
    return Trimmer(composition.evaluator, outcome.evaluations, archive.get_profile, variables, form, share)


def finish_plain(
    composition: Composition,
    networks: FinishedNetworks,
    elapsed: float,
    progress: Progress,
    notify: Callable[..., None],
    plan: TimePlan | None,
    steps: RunSteps,
) -> FinishedNetworks:
    """Train, judge and write the plain networks of a run, and return the networks with them.

    Args:
        composition: The objects of the run.
        networks: The finished networks of the search.
        elapsed: Duration of the run so far, in seconds.
        progress: The display of progress.
        notify: Called with the event `edanas_plain_network_finished` for each network that this call
            finishes.
        plan: The plan of a run with a time limit; `None` = none.
        steps: The steps of the run.

    Raises:
        RunError: A file of the plain networks cannot be read or written.
    """
    if not composition.workbench.settings.baseline.epochs:
        return networks

    def report(row: ResultRow) -> None:
        notify(PLAIN_FINISHED, row=row.to_json())

    rows, failures = steps.plain.finish(elapsed, progress, report, plan, steps.executor)
    return replace(networks, plain=rows, failures=[*networks.failures, *failures])


def _finish_time(
    plan: TimePlan | None, composition: Composition, outcome: SearchOutcome
) -> tuple[FinishTime | None, tuple[int, int]]:
    """Return the division of the remaining time, and the largest numbers of early-exit and other networks.

    A network passes through calibration, validation and test part; the search has measured such passes.
    """
    settings, parts = composition.workbench.settings, composition.workbench.parts
    results, kinds = settings.search.results, 1 + settings.search.compare + settings.finetune.backbones
    if plan is None:
        return None, (results, results)
    samples = sum(len(part) for part in (parts.validation, parts.calibration, parts.test))
    passes = max(len(parts.validation), composition.evaluator.passes()[1])
    seconds = median(each.seconds for each in outcome.evaluations) / passes
    baseline = settings.baseline
    # The plain networks are trained last.
    plain = baseline.share * plan.limit if baseline.epochs and not plan.fixed else 0.0
    timing = FinishTime(
        lambda: plan.remaining() - plain,
        plan.network_pace,
        _WRITING + seconds * samples,
        composition.executor.workers,
    )

    space = composition.workbench.space.whole()
    is_trained = composition.evaluator.trains_supernet and space.largest() == space.smallest()
    training = least_training(settings.finetune.epochs, seconds * len(parts.train), single=is_trained)

    def affordable() -> list[int]:
        networks = timing.affordable(kinds * results, training)
        return [min(results, -(-networks // kinds)), max(1, networks // kinds)]

    early, single = (int(count) for count in plan.decided("results", affordable))
    return timing, (early, single)


def _accuracy_drops(chosen: Sequence[Evaluation]) -> dict[str, float]:
    """Return how much less accurate each chosen candidate is than its backbone, by id of the candidate.

    Calibration takes the drop as the accuracy that the thresholds may give up. Without a drop, calibration
    would make every network about as accurate as its last exit, and the cheap networks of the front would be
    lost.
    """
    measured = ((e.candidate.id, e.metrics) for e in chosen if e.metrics is not None)
    return {name: max(0.0, m.backbone_accuracy - m.accuracy) for name, m in measured}


def _with_violations(pool: Sequence[Evaluation], limits: Feasibility) -> list[Evaluation]:
    """Return the candidates with their constraint violations, which evaluations from exit profiles lack."""
    return [replace(e, violation=limits.violation(e.candidate, e.metrics)) if e.metrics else e for e in pool]


def _infeasible_message(pool: Sequence[Evaluation], composition: Composition) -> str:
    measured = sorted((e for e in pool if e.ok), key=lambda e: (e.violation, e.candidate.id))
    nearest = [
        f"{e.candidate.id}: {'; '.join(composition.limits.breaches(e.candidate, e.metrics))}"
        for e in measured[:_NEAREST]
    ]
    layers = []
    if measured and composition.limits.breaks_memory(measured[0].candidate, measured[0].metrics):
        layers = [most_memory(composition.workbench, measured[0].candidate)]
    return "\n".join(
        (
            f"none of {len(measured)} candidates satisfies the constraints. The nearest candidates:",
            *nearest,
            *layers,
            f"All evaluations are kept in {composition.workbench.folder}; a run with other constraints needs "
            "another folder",
        )
    )
