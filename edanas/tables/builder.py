"""Building of a table, from settings or from a run with a trained supernet."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from edanas.core.config import read_toml
from edanas.core.devices import threads_of
from edanas.core.errors import ConfigError, Interrupted, RunError, TableError
from edanas.core.idle_stages import image_stages_of
from edanas.core.machine import computing
from edanas.core.progress import Progress
from edanas.core.runfolder import CONFIG, RunLock
from edanas.core.settings import Settings
from edanas.plugins.blame import blamed
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import Composition, compose
from edanas.run.console import default_progress
from edanas.run.layers import layered_settings
from edanas.run.options import RunOptions
from edanas.run.provenance import digest_of_parts, environment
from edanas.tables.backbone_choice import choose_backbones
from edanas.tables.file_format import HELD_OUT, SEARCHED, Description
from edanas.tables.journal import Journal
from edanas.tables.reader import Table
from edanas.tables.row_profiler import RowProfiler
from edanas.tables.table_request import (
    ROWS,
    TableRequest,
    changed_settings,
    check_images,
    decisive_settings,
    supernet_digest,
)
from edanas.tables.table_writer import TableWriter


def build(
    data: str | None = None,
    plugin: str | None = None,
    *,
    out: str | Path,
    backbones: int,
    run: str | Path | None = None,
    held_out: str = HELD_OUT[0],
    seed: int | None = None,
    preset: str | None = None,
    device: str | None = None,
    weights: str | None = None,
    settings: Mapping[str, Any] | Sequence[str] = (),
    config: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Table:
    """Train a supernet, profile many of its backbones, and write a table of the exit profiles.

    After an interruption, the same call continues the work. The folder `OUT.work` beside the table holds the
    trained supernet and the rows of an unfinished table. The rows are deleted when the table is written; the
    supernet stays.

    Args:
        data: The data set; the default comes from the settings. `edanas.search` describes the values of
            `data`, `plugin`, `seed`, `preset`, `device`, `weights`, `settings` and `config` in detail.
        plugin: Name of a bundle, the named settings of a plugin for a whole run.
        out: Path of the table's file.
        backbones: Largest number of backbones in the table. A space with fewer backbones is profiled as a
            whole.
        run: Folder of a run; its settings and its trained supernet are used. `None`, the default, trains a
            supernet.
        held_out: Name of the second part of the data to profile on: `calibration`, the default, or `test`.
            The first part is `validation`, on which a search judges candidates.
        seed: Determines all randomness, including the choice of backbones.
        preset: Name of a layer of settings in the bundle.
        device: Device on which the networks run.
        weights: Initial weights of the supernet.
        settings: Further settings, as a dictionary or as texts of the form `NAME=VALUE`.
        config: Path of a TOML file with settings.
        overwrite: True discards an existing table and an unfinished table. A supernet that was trained with
            the same settings is kept.
        progress: Displays progress bars; the default is the same as for `edanas.search`.

    Returns:
        The table, opened from its file.

    Raises:
        EdanasError: A setting, a file or the data is invalid; the message says how to correct the error.
        Interrupted: Ctrl-C was pressed; the same call continues the work.

    Example:
        >>> table = build("digits", "mbv3-sm", out="digits.safetensors", backbones=50)  # doctest: +SKIP
        >>> build(out="table.safetensors", backbones=0)
        Traceback (most recent call last):
        edanas.core.errors.TableError: backbones: found 0; allowed: 1 or more
    """
    progress = progress or default_progress()
    registry = Registry(load_plugins(progress.say))
    options = RunOptions(
        data=data,
        plugin=plugin,
        seed=seed,
        preset=preset,
        device=device,
        weights=weights,
        settings=settings,
        config=config,
    )
    source = None if run is None else Path(run)
    chosen = settings_for(registry, options.layers(), source, progress)
    request = TableRequest(chosen, Path(out), backbones, source, held_out)
    return tabulate(registry, request, progress, overwrite=overwrite)


def settings_for(registry: Registry, layers: Sequence[Any], run: Path | None, progress: Progress) -> Settings:
    """Return the settings for a table: the user's layers, on top of the settings of a run.

    Args:
        registry: The registered plugins.
        layers: Layers of settings; a later layer overrides earlier layers.
        run: Folder of the run; `None` = no run, so that the settings come from the layers alone.
        progress: Shows messages about the settings.

    Raises:
        RunError: `run` holds no run.
        TableError: A layer changes a setting that determines the run's exit profiles.
        ConfigError: A layer is invalid.
    """
    if run is None:
        return layered_settings(registry, layers, progress.say)
    if not (run / CONFIG).exists():
        raise RunError(
            f"{run}: holds no run ({CONFIG} is missing); expected a folder that `edanas run` wrote"
        )
    base = (str(run / CONFIG), read_toml(run / CONFIG))
    settings = layered_settings(registry, [base, *layers])
    lines = changed_settings(decisive_settings(layered_settings(registry, [base])), settings)
    if lines:
        raise TableError(
            f"{run}: the table uses the supernet of this run, so these settings must not change: "
            f"{'; '.join(lines)}"
        )
    return settings


def tabulate(
    registry: Registry, request: TableRequest, progress: Progress, *, overwrite: bool = False
) -> Table:
    """Return the requested table: open it if it exists, otherwise build it or finish its rows.

    Args:
        registry: The registered plugins.
        request: The settings, the file and the number of backbones.
        progress: Displays progress bars and messages.
        overwrite: As for `build`.

    Raises:
        EdanasError: A setting, a file or the data is invalid; the message says how to correct the error.
        Interrupted: Ctrl-C was pressed; the same call continues the work.
    """
    if request.out.exists() and not overwrite:
        return _open_existing(request, progress)
    if request.run is not None:
        supernet_digest(request.run)
    with blamed(registry):
        composition = compose(registry, request.settings, request.supernet, progress)
    if not composition.evaluator.removable:
        raise ConfigError(
            f"evaluation: found '{request.settings.evaluation.name}', with criterion "
            f"'{request.settings.criterion.name}' and inference '{request.settings.inference.name}'. Weights "
            "or predictions then depend on the set of placed exits, but a table needs one network for all "
            "selection schemes. Allowed: evaluation 'shared', with a criterion and an inference rule that "
            "use no earlier exits"
        )
    if composition.workbench.classifier.variables(1):
        raise ConfigError(
            f"classifier: found '{request.settings.classifier.name}', whose heads are searched, but a table "
            "holds one head for each exit point; allowed: a classifier without variables, e.g. pool-linear"
        )
    with (
        RunLock(request.work),
        computing(threads_of(request.settings)),
        blamed(registry),
        _resumable(request),
    ):
        images = digest_of_parts(composition.workbench.parts)
        if request.run is not None:
            check_images(request.run, images)
        if overwrite:
            request.discard(images)
        request.bind(images)
        _build(request, composition, images, progress)
    return Table.open(request.out)


def _open_existing(request: TableRequest, progress: Progress) -> Table:
    """Return the table in the existing file.

    Raises:
        TableError: The existing table does not match the request.
    """
    table = Table.open(request.out)
    lines = request.differences(table.description.provenance)
    requested = min(request.backbones, table.description.space_size)
    existing = len(table) + len(table.description.failed)
    if existing != requested:
        lines.append(f"backbones: was {existing}, now {requested}")
    if lines:
        raise TableError(
            f"{request.out}: holds a table of another request. Changed: {'; '.join(lines)}. Choose another "
            "--out, or --overwrite to discard the table (a supernet of the same settings is not trained "
            "again)"
        )
    progress.say(f"{request.out}: already complete; the file holds the requested table")
    return table


@contextmanager
def _resumable(request: TableRequest) -> Iterator[None]:
    """Turn an interruption inside the block into a message that says how to continue.

    Raises:
        Interrupted: Ctrl-C was pressed in the block.
    """
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted(
            f"Interrupted; the work so far is in {request.work}. To continue, run the same command again"
        ) from None


def _build(request: TableRequest, composition: Composition, images: str, progress: Progress) -> None:
    bench = composition.workbench
    for remark in composition.remarks:
        progress.say(remark)
    composition.evaluator.prepare(progress)
    description = _describe(request, composition, images)
    genomes = choose_backbones(description.backbone_space(), request.backbones, bench.seed("table"))
    parts = {name: getattr(bench.parts, name) for name in description.parts}
    profiler = RowProfiler(
        composition.evaluator, description.exit_points, bench.parts.task.in_channels, parts
    )
    with closing(Journal(request.work / ROWS, description.provenance)) as journal:
        TableWriter(description, genomes, journal, profiler, composition.executor, progress).run(request.out)
    with suppress(OSError):  # after the table is written, the rows are no longer needed
        (request.work / ROWS).unlink()


def _describe(request: TableRequest, composition: Composition, images: str) -> Description:
    """Return the description of the requested table; its number of backbones is a placeholder, 1.

    `TableWriter` sets the number when all backbones are profiled.
    """
    settings, provider, data = request.settings, composition.workbench.provider, composition.workbench.parts
    current = environment(settings)
    draft = Description(
        backbones=1,
        variables=provider.variables(),
        exit_points=provider.exit_points,
        thresholds=settings.thresholds,
        criterion={"name": settings.criterion.name, "options": dict(settings.criterion.options)},
        parts={name: len(getattr(data, name)) for name in (SEARCHED, request.held_out)},
        exhaustive=False,
        space_size=1,
        classes=data.train.classes,
        provenance={
            **request.identity(),
            "versions": current["versions"],
            "device": current["device"],
            "threads": current["threads"],
            "data": images,
            "supernet": supernet_digest(request.supernet),
        },
    )
    space = draft.backbone_space()
    stages, _ = composition.workbench.segments(space.smallest())
    return replace(draft, space_size=space.size(), image_stages=image_stages_of(stages))
