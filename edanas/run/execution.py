"""One run, from its settings to its result; or the rest of one that was cut."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from edanas.core.archive import Archive
from edanas.core.devices import threads_of
from edanas.core.engine import CONVERGED, MAX_EVALS, TIME_LIMIT, Engine, SearchSetup
from edanas.core.errors import CandidateError, Interrupted, RunError
from edanas.core.machine import computing
from edanas.core.progress import Progress
from edanas.core.runfolder import RunLock
from edanas.core.settings import Settings
from edanas.core.types import Candidate
from edanas.plugins.blame import blamed
from edanas.plugins.registry import Registry
from edanas.report.result import Result
from edanas.report.writing import write_report
from edanas.run.compose import Composition, compose, make_loggers
from edanas.run.finishing import finish_results, first_candidates, searched_schemes
from edanas.run.folder import RunData

FIRST = "first"
"""The archive's note with the genomes that the initial archive begins with."""


def run(
    registry: Registry,
    settings: Settings,
    folder: Path,
    progress: Progress,
    *,
    overwrite: bool = False,
    verbose: bool = False,
) -> Result:
    """Run or resume the search that `settings` describe in `folder`; see `search`.

    Raises:
        EdanasError: Something the user can put right.
        Interrupted: After Ctrl-C; the same call goes on from there.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; expected a folder for the run, which may not exist yet")
    data = RunData(folder, settings)
    # What is wrong with options or images is found before there is a folder, and before a run is discarded.
    loggers = make_loggers(registry, settings)
    made = None if data.exists() and not overwrite else _compose(registry, settings, data, progress)
    with RunLock(folder), computing(threads_of(settings)), blamed(registry):
        if overwrite:
            data.discard()
        with contextlib.closing(data.open_archive(made.evaluator if made else None)) as archive:
            if data.finished():
                result = Result.read(folder)
                progress.say(f"{folder} holds this run, {_end(result)}; nothing is left to do")
                return result
            progress.say(f"Folder: {folder}")
            data.write_inputs()
            with _explained(folder), registry.host.joined(loggers):
                made = made or _compose(registry, settings, data, progress)
                data.note_files(archive, made.evaluator, loggers.values())
                return _run(registry, made, data, archive, progress, verbose=verbose)


def _end(result: Result) -> str:
    stopped = result.data.get("stopped")
    if stopped in (MAX_EVALS, TIME_LIMIT):
        return f"finished within its budget (with another search.{stopped} it goes on)"
    if stopped == CONVERGED:
        return "finished when its hypervolume stood still (with another search.patience it goes on)"
    return "finished"


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Add to what ends a run how to go on."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted(
            f"Interrupted; what was done is kept in {folder}. To go on: the same command with --out {folder}"
        ) from None
    except CandidateError as error:
        raise RunError(
            f"{error}. What failed is recorded in {folder}: when the cause is mended, run with --overwrite"
        ) from error


def _compose(registry: Registry, settings: Settings, data: RunData, progress: Progress) -> Composition:
    with data.timed("reading the data"), blamed(registry):
        made = compose(registry, settings, data.folder, progress)
        if data.exists():
            return made
        return replace(made, problem=replace(made.problem, first=first_candidates(made)))


def _first(made: Composition, archive: Archive) -> tuple[Candidate, ...]:
    """What the initial archive begins with; noted, since the older run may change while this one is cut."""
    space = made.workbench.space
    noted = archive.meta().get(FIRST)
    if noted is None:
        first = made.problem.first or first_candidates(made)
        noted = [space.encode(candidate).tolist() for candidate in first]
        archive.set_meta(FIRST, noted)
    return tuple(space.decode(np.array(genome, dtype=np.int64)) for genome in noted)


def _run(
    registry: Registry,
    made: Composition,
    data: RunData,
    archive: Archive,
    progress: Progress,
    *,
    verbose: bool,
) -> Result:
    settings = made.workbench.settings
    for remark in made.remarks:
        progress.say(remark)
    data.bind_inputs(archive, made.workbench.space, made.workbench.parts)
    made.strategy.start(replace(made.problem, first=_first(made, archive)))
    notify = data.notifier(registry.host.notify, progress.say if verbose else None)
    registry.host.notify("edanas_run_started", settings=data.plain_settings(), folder=data.folder)
    with data.timed("preparing the evaluation"):
        made.evaluator.prepare(progress)
    setup = SearchSetup(
        made.workbench.space,
        made.strategy,
        made.evaluator,
        made.executor,
        made.objectives,
        settings.search,
        made.fronts,
        made.limits,
    )
    engine = Engine(setup, archive, notify, progress)
    with data.timed("searching"):
        outcome = engine.run()
    with data.timed("finishing the results"):
        searched = searched_schemes(made, outcome, archive)
        front, static, failures = finish_results(made, outcome, searched, archive, progress)
    content = data.content(made, outcome, searched, front, static, failures)
    write_report(data.folder, content)
    registry.host.notify("edanas_run_finished", result=content, folder=data.folder)
    return Result.read(data.folder)
