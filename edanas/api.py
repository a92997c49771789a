"""What Python code calls: `search` and `load`. The commands are thin covers over these."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from edanas.compose import Composition, compose, layered_settings, make_loggers, named_device, threads_of
from edanas.core.archive import Archive
from edanas.core.config import Layer, parse_assignment, read_toml
from edanas.core.contracts import StagedBackbone
from edanas.core.costs import exit_points, trace
from edanas.core.engine import CONVERGED, MAX_EVALS, TIME_LIMIT, Engine, SearchOutcome
from edanas.core.errors import (
    DISK_FULL,
    CandidateError,
    EdanasError,
    Interrupted,
    PluginError,
    RunError,
    WeightsError,
)
from edanas.core.machine import computing
from edanas.core.progress import Progress, Silent
from edanas.core.runfolder import RunLock
from edanas.core.settings import Settings
from edanas.core.types import CONTINUOUS, Backbone, Candidate, Evaluation, Task
from edanas.deploy.loading import load_network
from edanas.evaluation.finish import Finisher
from edanas.evaluation.selection import (
    choose_results,
    choose_static,
    with_all_schemes,
    with_every_number_of_exits,
)
from edanas.exits.eenn import EENN
from edanas.plugins.manager import explain, load_plugins
from edanas.plugins.registry import Registry
from edanas.report.result import Result
from edanas.report.writing import write_report
from edanas.rundata import RunData, fresh_folder
from edanas.warmstart import best_of

SETTINGS_NAME = "the arguments"


def search(
    data: str | None = None,
    plugin: str | None = None,
    *,
    out: str | Path | None = None,
    seed: int | None = None,
    preset: str | None = None,
    device: str | None = None,
    evaluation: str | None = None,
    max_evals: int | None = None,
    time_limit: float | None = None,
    weights: str | None = None,
    warm_start: str | Path | None = None,
    settings: Mapping[str, Any] | Sequence[str] = (),
    config: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    verbose: bool = False,
) -> Result:
    """Search for early-exit networks, train those that come back, and write everything to a folder.

    Running it again with the same `out` goes on where the last run was cut, and reads back a finished one.

    Args:
        data: A data set's name, or the path of a folder of class folders; `digits` if nothing says otherwise.
        plugin: The bundle.
        out: The run's folder; a new one below `edanas-runs/` if left out.
        seed: Everything random follows from it.
        preset: A layer of the bundle, e.g. `quick`, `paper`, `best`.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        evaluation: `shared` or `finetune`.
        max_evals: Stop after so many candidates.
        time_limit: Stop the search after so many seconds.
        weights: Supernet weights: a file, or a name that the provider can download.
        warm_start: The folder of an older run on the same space, whose Pareto set is evaluated first.
        settings: Further settings, as a mapping or as `key=value` texts.
        config: A TOML file of settings.
        overwrite: Discard what `out` holds.
        progress: Where to show bars; nothing is shown if left out.
        verbose: Show a line for each candidate there too, once it is recorded.

    Raises:
        EdanasError: Something the user can put right; see the message.
    """
    flags = {
        "data": data,
        "plugin": plugin,
        "seed": seed,
        "preset": preset,
        "device": device,
        "evaluation": evaluation,
        "search.max_evals": max_evals,
        "search.time_limit": time_limit,
        "weights": weights,
        "warm_start": None if warm_start is None else str(warm_start),
    }
    progress = progress or Silent()
    registry = Registry(load_plugins(progress.say))
    resolved = layered_settings(registry, layers(flags, settings, config))
    return run(
        registry,
        resolved,
        fresh_folder(resolved) if out is None else Path(out),
        progress,
        overwrite=overwrite,
        verbose=verbose,
    )


def layers(
    flags: Mapping[str, Any],
    settings: Mapping[str, Any] | Sequence[str] = (),
    config: str | Path | None = None,
) -> list[Layer]:
    """A user's settings in the order in which they count: a file, assignments, then flags not `None`.

    Raises:
        ConfigError: The file cannot be read, or an assignment is not `key=value`.
    """
    found: list[Layer] = []
    if config is not None:
        found.append((str(config), read_toml(Path(config))))
    if isinstance(settings, Mapping):
        found.append(("settings", settings))
    else:
        found.extend(("--set", parse_assignment(text)) for text in settings)
    found.append((SETTINGS_NAME, {name: value for name, value in flags.items() if value is not None}))
    return found


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
    with RunLock(folder), computing(threads_of(settings)):
        if overwrite:
            data.discard()
        with contextlib.closing(data.open_archive()) as archive:
            if data.finished():
                result = Result.read(folder)
                progress.say(f"{folder} holds this run, {_end(result)}; nothing is left to do")
                return result
            progress.say(f"Folder: {folder}")
            data.write_inputs()
            with _explained(folder), blamed(registry), registry.host.joined(loggers):
                made = made or _compose(registry, settings, data, progress)
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


@contextlib.contextmanager
def blamed(registry: Registry) -> Iterator[None]:
    """Turn what a plugin raises, and nobody expects, into an error that names the plugin.

    Raises:
        PluginError: Instead of any exception that came out of a plugin's package, or through it.
    """
    try:
        yield
    except EdanasError:
        raise
    except Exception as error:
        culprit = registry.host.culprit(error)
        if culprit is None or (isinstance(error, OSError) and error.errno in DISK_FULL):
            raise
        raise PluginError(f"plugin {culprit} raised {explain(error)}") from error


def _compose(registry: Registry, settings: Settings, data: RunData, progress: Progress) -> Composition:
    with data.timed("reading the data"), blamed(registry):
        return compose(registry, settings, data.folder, progress)


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
    made.strategy.start(replace(made.problem, first=_first(made)))
    notify = data.notifier(registry.host.notify, progress.say if verbose else None)
    registry.host.notify("edanas_run_started", settings=data.plain_settings(), folder=data.folder)
    with data.timed("preparing the evaluation"):
        made.evaluator.prepare(progress)
    engine = Engine(
        made.workbench.space,
        made.strategy,
        made.evaluator,
        made.executor,
        archive,
        made.objectives,
        settings.search,
        notify,
        progress,
        made.fronts,
    )
    with data.timed("searching"):
        outcome = engine.run()
    with data.timed("finishing the results"):
        searched = _searched(made, outcome, archive)
        front, static, failures = _finish(made, outcome, searched, archive, progress)
    content = data.content(made, outcome, searched, front, static, failures)
    write_report(data.folder, content)
    registry.host.notify("edanas_run_finished", result=content, folder=data.folder)
    return Result.read(data.folder)


def _first(made: Composition) -> tuple[Candidate, ...]:
    """What the initial archive begins with: an older run's best, where the settings name one."""
    settings = made.workbench.settings
    if not settings.warm_start:
        return ()
    run = Path(settings.warm_start).expanduser()
    return best_of(run, made.workbench.space, made.objectives, settings)


def _searched(made: Composition, outcome: SearchOutcome, archive: Archive) -> list[Evaluation]:
    """What the search can choose among: its archive or, where thresholds are continuous, all trade-offs."""
    if made.fronts is None:
        return list(outcome.evaluations)
    found: list[Evaluation] = []
    for evaluation in outcome.evaluations:
        profile = archive.get_profile(evaluation.candidate.id) if evaluation.ok else None
        if profile is not None:
            found += made.fronts.evaluations(evaluation, profile)
    return found


def _finish(
    made: Composition,
    outcome: SearchOutcome,
    searched: Sequence[Evaluation],
    archive: Archive,
    progress: Progress,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, str]]]:
    """The rows of the early-exit and of the single-exit networks, and what could not be finished.

    Raises:
        RunError: There were early-exit networks to finish, and each one failed.
    """
    finisher = Finisher(made.workbench, made.evaluator, made.exporters)
    settings, pool = made.workbench.settings, list(searched)
    scoring = made.evaluator, archive.get_profile
    if settings.thresholds == CONTINUOUS:
        pool = with_every_number_of_exits(pool, outcome.evaluations, made.objectives, *scoring)
    elif settings.final_thresholds != "searched":
        pool = with_all_schemes(pool, made.objectives, settings.thresholds, *scoring)
    chosen = choose_results(pool, made.objectives, settings.search.results)
    front, failures = finisher.finish([e.candidate for e in chosen], "Fine-tuning the results", progress)
    if failures and not front:
        (cause, times), *_ = Counter(failure["error"] for failure in failures).most_common(1)
        raise RunError(
            f"none of the {len(failures)} early-exit networks could be finished; the most frequent reason "
            f"({times} times) is {cause}. What the search found is kept in {made.workbench.folder}: when the "
            "cause is mended, run the same again"
        )
    promised = {e.candidate.id: e.metrics.accuracy for e in chosen if e.metrics is not None}
    rivals = [(promised[row["id"]], row["validation_executed_macs"]) for row in front]
    single = choose_static(outcome.evaluations, rivals)
    static, more = finisher.finish(single, "Fine-tuning single-exit networks to compare with", progress)
    return front, static, failures + more


def load(
    path: str | Path,
    device: str = "cpu",
    *,
    freeze: bool = False,
    compile: bool | str = False,  # noqa: A002 - torch's word
) -> EENN:
    """A finished network: call it on images, or its `predict`, to get labels, exits taken and confidences.

    Args:
        path: The `.safetensors` or `.json` file of a result, in its run's folder `models`.
        device: Where to put it.
        freeze: Make it faster for inference, where its answers may differ by rounding; see `EENN.freeze`.
        compile: Freeze it, and compile its parts; see `EENN.freeze`.

    Raises:
        WeightsError: A file is missing or damaged, or the two do not belong together.
        ConfigError: A plugin that the network was made with is not installed, the device is not there, or
            `torch.compile` does not work here.
    """
    place = named_device(device)
    registry = Registry(load_plugins())
    network = load_network(Path(path), lambda description: _rebuild(registry, description))
    placed = cast(EENN, network.to(place))
    return placed.freeze(compile=compile) if freeze or compile else placed


def _rebuild(registry: Registry, description: Mapping[str, Any]) -> EENN:
    """The network of a description, with fresh weights."""

    def named(kind: str, key: str) -> Any:
        return registry.create(kind, description[key]["name"], description[key]["options"])

    try:
        task = Task(description["in_channels"], description["num_classes"])
        backbone: StagedBackbone = named("supernet provider", "supernet").build(
            Backbone.of(description["backbone"]), task
        )
        points = exit_points(trace(backbone, task.in_channels)[0])
        classifier = named("exit classifier", "classifier")
        heads = {at: classifier.build(points[at], task.num_classes) for at in description["heads"]}
        network = EENN(
            backbone,
            heads,
            tuple(description["thresholds"]),
            named("confidence criterion", "criterion"),
            description["mean"],
            description["std"],
            description["classes"],
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"the network's description is incomplete or damaged: {error!r}") from error
    network.description = dict(description)
    return network
