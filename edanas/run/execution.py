"""The execution of a new or resumed run, from its settings to its result."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from edanas.core.archive import Archive
from edanas.core.asynchronous import AsynchronousEngine
from edanas.core.config import to_plain
from edanas.core.devices import threads_of
from edanas.core.engine import CONVERGED, MAX_EPOCHS, MAX_EVALS, TIME_LIMIT, Engine, SearchSetup
from edanas.core.errors import CandidateError, EdanasError, InfeasibleError, Interrupted, RunError
from edanas.core.machine import computing
from edanas.core.progress import Progress
from edanas.core.runfolder import RunLock
from edanas.core.settings import Settings
from edanas.core.types import Candidate
from edanas.plugins.blame import blamed
from edanas.plugins.registry import Registry
from edanas.report.comparison import PLAIN_PART
from edanas.report.history import LOG, searches_backbones
from edanas.report.result import Result
from edanas.report.writing import write_report
from edanas.run.announcement import long_run_sentence
from edanas.run.binding import bind_inputs
from edanas.run.compose import Composition, compose, make_loggers
from edanas.run.estimate import expected_seconds
from edanas.run.event_log import logged, repair_log
from edanas.run.finishing import (
    finish_plain,
    finish_results,
    searchable_schemes,
    trimmed_candidates,
    warm_start_candidates,
)
from edanas.run.folder import RunFolder
from edanas.run.helping import help_training
from edanas.run.memory_limits import with_layers
from edanas.run.plugin_files import note_plugin_files
from edanas.run.result_content import FinishedRun, result_content
from edanas.run.steps import RunSteps
from edanas.run.time_plan import TimePlan
from edanas.run.timed_training import search_in_time, train_in_time
from edanas.run.watchdog import WatchedProgress
from edanas.training.ranks import joined, present

FIRST = "first"
"""The key in the archive for the genomes of the first candidates of the initial archive."""


class _PartTimes:
    """The duration of each part of a run in seconds, with that of interrupted calls in the run folder."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self.seconds, self.earlier = folder, dict[str, float](), 0.0
        self.is_recorded = False

    def record(self) -> None:
        """Read the duration of earlier calls, and write the total after each part from now on."""
        self.earlier, self.is_recorded = self.folder.read_seconds(), True

    @contextlib.contextmanager
    def timed(self, part: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] = round(time.monotonic() - start, 2)
            if self.is_recorded:
                self.folder.write_seconds(self.total())

    def total(self) -> float:
        """Return the seconds of all finished or interrupted parts, over all calls of the run."""
        return self.earlier + sum(self.seconds.values())


def run(
    registry: Registry,
    settings: Settings,
    folder: Path,
    progress: Progress,
    *,
    overwrite: bool = False,
    verbose: bool = False,
    started: float | None = None,
) -> Result:
    """Run or resume a search in a folder; see `edanas.search`.

    In processes that torchrun starts, all of them train the supernet, and the others than the first then end.

    Args:
        registry: The extensions by kind and name.
        settings: All settings of the run, from `layered_settings`.
        folder: The run folder.
        progress: The display of progress.
        overwrite: Discard the run that the folder holds.
        verbose: Show a line for each candidate once it is recorded.
        started: The start of the run on the clock of `time.monotonic`, from which its time limit counts; the
            time of the call by default.

    Raises:
        EdanasError: The user can correct the error; its message says how.
        Interrupted: After Ctrl-C; the same call resumes the run.
    """
    started = time.monotonic() if started is None else started
    with joined(settings.device) as ranks, WatchedProgress(progress).watching() as watched:
        if not ranks.leads:
            help_training(registry, settings, folder, ranks)
        return _run(
            registry, settings, folder, watched, overwrite=overwrite, verbose=verbose, started=started
        )


def _run(
    registry: Registry,
    settings: Settings,
    folder: Path,
    progress: WatchedProgress,
    *,
    overwrite: bool,
    verbose: bool,
    started: float,
) -> Result:
    """Run or resume a search; see `run`."""
    run_folder = RunFolder(folder, settings)
    if folder.exists() and not folder.is_dir():
        run_folder.check()
    times = _PartTimes(run_folder)
    # Errors in options or images are raised before the folder is made, and before a run is discarded.
    loggers = make_loggers(registry, settings)
    composition = None
    if overwrite or not run_folder.has_run():
        with computing(threads_of(settings)):
            composition = _ready(_compose(registry, run_folder, progress, times))
    with RunLock(folder), computing(threads_of(settings)), blamed(registry):
        if overwrite:
            run_folder.discard()
        evaluator = composition.evaluator if composition else None
        run_folder.tidy()
        with contextlib.closing(run_folder.open_archive(evaluator)) as archive:
            if damage := repair_log(folder, archive):
                progress.say(f"{folder / LOG}: {damage}; the log is written again from the archive")
            if run_folder.is_finished(progress.say):
                result = Result.read(folder)
                run_folder.restore_inputs(result, progress.say)
                _check_inputs(registry, run_folder, archive, progress, times)
                progress.say(f"{folder}: already complete; the run {_how_it_ended(result)}")
                return result
            progress.say(f"Folder: {folder}")
            run_folder.write_inputs()
            times.record()
            with _with_advice(folder), registry.host.joined(loggers):
                composition = composition or _ready(_compose(registry, run_folder, progress, times))
                progress.detail = composition.executor.waiting_for
                note_plugin_files(archive, composition.evaluator, loggers.values())
                closed = contextlib.closing(composition.executor)
                with closed, _planned(TimePlan.of_run(folder, settings, started)) as plan:
                    return _execute(registry, composition, archive, progress, times, plan, verbose=verbose)


def _ready(composition: Composition) -> Composition:
    """Return the composition, after a check that its executor can send work to workers."""
    composition.executor.check()
    return composition


@contextlib.contextmanager
def _planned(plan: TimePlan | None) -> Iterator[TimePlan | None]:
    """Yield the plan, and store the time that the run has taken at its end, however it ends."""
    try:
        yield plan
    finally:
        if plan is not None:
            plan.save()


def _check_inputs(
    registry: Registry, run_folder: RunFolder, archive: Archive, progress: Progress, times: _PartTimes
) -> None:
    """Compare the inputs of a finished run with the present inputs.

    Raises:
        RunError: An input differs, e.g. an image was added.
    """
    try:
        composition = _compose(registry, run_folder, progress, times)
    except EdanasError as error:
        progress.say(f"{run_folder.path}: the inputs were not compared with those of the run: {error}")
        return
    workbench = composition.workbench
    bind_inputs(run_folder.path, workbench.settings, archive, workbench.space, workbench.parts)


def _how_it_ended(result: Result) -> str:
    stopped = result.data.get("stopped")
    if stopped in (MAX_EVALS, MAX_EPOCHS, TIME_LIMIT):
        setting = f"search.{stopped}"
        if stopped == TIME_LIMIT and result.data["settings"].get("time_limit"):
            setting = TIME_LIMIT
        return f"finished within its budget (another {setting} resumes it)"
    if stopped == CONVERGED:
        return "finished when its hypervolume stopped rising (another search.patience resumes it)"
    return "finished"


@contextlib.contextmanager
def _with_advice(folder: Path) -> Iterator[None]:
    """Add advice on how to resume the run to the message of an error that ends it."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted(
            f"Interrupted; the results so far are kept in {folder}. To resume, run the same command with "
            f"--out {folder}"
        ) from None
    except CandidateError as error:
        raise RunError(
            f"{error}. The failures are recorded in {folder}; correct the cause, then run with --overwrite"
        ) from error


def _compose(registry: Registry, run_folder: RunFolder, progress: Progress, times: _PartTimes) -> Composition:
    with times.timed("reading the data"), blamed(registry):
        composition = compose(registry, run_folder.settings, run_folder.path, progress)
        if run_folder.has_run():
            return composition
        first = warm_start_candidates(composition)
        return replace(composition, problem=replace(composition.problem, first=first))


def _first_candidates(composition: Composition, archive: Archive) -> tuple[Candidate, ...]:
    """Return the first candidates of the initial archive, which a warm start takes from an older run.

    They are stored in the archive, because the older run may have changed when this run is resumed.
    """
    space = composition.workbench.space
    genomes = archive.meta().get(FIRST)
    if genomes is None:
        first = composition.problem.first or warm_start_candidates(composition)
        genomes = [space.encode(candidate).tolist() for candidate in first]
        archive.set_meta(FIRST, genomes)
    return tuple(space.decode(np.array(genome, dtype=np.int64)) for genome in genomes)


def _plain_time(plan: TimePlan | None, times: _PartTimes) -> float:
    """Return the time of which the plain networks get a share: the run so far, or its time limit."""
    return times.total() if plan is None or plan.fixed else plan.limit


def _execute(
    registry: Registry,
    composition: Composition,
    archive: Archive,
    progress: Progress,
    times: _PartTimes,
    plan: TimePlan | None,
    *,
    verbose: bool,
) -> Result:
    """Run the search, finish the networks, and write and return the result."""
    workbench, host = composition.workbench, registry.host
    settings, folder = workbench.settings, workbench.folder
    plain_settings = to_plain(settings)
    for remark in composition.remarks:
        progress.say(remark)
    bind_inputs(folder, settings, archive, workbench.space, workbench.parts)
    composition.strategy.start(replace(composition.problem, first=_first_candidates(composition, archive)))
    say = progress.say if verbose else None
    notify = logged(host.notify, folder, say, backbones=searches_backbones(plain_settings))
    if plan is None and (sentence := long_run_sentence(expected_seconds(composition, settings))):
        progress.say(sentence)
    host.notify("edanas_run_started", settings=plain_settings, folder=folder)
    composition.executor.start()
    with times.timed("preparing the evaluation"):
        if plan is not None:
            train_in_time(plan, composition, progress)
        composition.evaluator.prepare(progress)
        present().release()
    steps = RunSteps(composition, progress)
    setup = SearchSetup(
        workbench.space,
        composition.strategy,
        steps.attempt,
        steps.executor,
        composition.objectives,
        settings.search if plan is None else search_in_time(plan, composition),
        composition.fronts,
        composition.limits,
    )
    kind = AsynchronousEngine if AsynchronousEngine.continues(setup, archive) else Engine
    engine = kind(setup, archive, notify, progress)
    with times.timed("searching"):
        try:
            outcome = engine.run()
        except InfeasibleError as error:
            raise with_layers(error, workbench, composition.limits) from None
    if plan is not None:
        plan.searched(len(outcome.evaluations))
    with times.timed("finishing the results"):
        searched = searchable_schemes(composition, outcome, archive)
        networks = finish_results(composition, outcome, searched, archive, progress, plan, steps)
        searched = trimmed_candidates(composition, outcome, searched, archive)
    with times.timed(PLAIN_PART):
        networks = finish_plain(
            composition, networks, _plain_time(plan, times), progress, notify, plan, steps
        )
    content = result_content(FinishedRun(composition, outcome, searched, networks, times.seconds))
    for remark in content["remarks"][len(composition.remarks) :]:
        progress.say(remark)
    write_report(folder, content)
    host.notify("edanas_run_finished", result=content, folder=folder)
    return Result.read(folder)
