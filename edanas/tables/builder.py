"""Building a table: the settings of a run, or a finished run, and a number of backbones."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from edanas.core.config import read_toml
from edanas.core.devices import threads_of
from edanas.core.errors import ConfigError, Interrupted, RunError, TableError
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
    """Train a supernet, profile many of its backbones once, and write the table; a cut building goes on.

    What is in the making lies in the folder `OUT.work` beside the table: the supernet, which stays, and the
    rows, which go when the table is written.

    Args:
        data: As for `edanas.search`, like all that is not explained here.
        plugin: The bundle.
        out: The table's file.
        backbones: How many at most; all of them where the space has no more.
        run: The folder of a run, whose settings and trained supernet are taken.
        held_out: The second part to profile on, `calibration` or `test`, for judging what a search found.
        seed: Everything random follows from it, the choice of backbones too.
        preset: A layer of the bundle.
        device: Where networks run.
        weights: Supernet weights to begin with.
        settings: Further settings.
        config: A TOML file of settings.
        overwrite: Discard the table and what is in the making, but for a supernet of the same settings.
        progress: Where to show bars; by default as for `edanas.search`.

    Raises:
        EdanasError: Something the user can put right; see the message.
        Interrupted: After Ctrl-C; the same call goes on from there.
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
    order = TableRequest(chosen, Path(out), backbones, source, held_out)
    return tabulate(registry, order, progress, overwrite=overwrite)


def settings_for(registry: Registry, given: Sequence[Any], run: Path | None, progress: Progress) -> Settings:
    """The settings that a user's layers make, over those of a run where one is named.

    Raises:
        RunError: The folder holds no run.
        TableError: A layer contradicts the run in what exit profiles follow from.
        ConfigError: A layer is wrong.
    """
    if run is None:
        return layered_settings(registry, given, progress.say)
    if not (run / CONFIG).exists():
        raise RunError(
            f"{run}: holds no run ({CONFIG} is missing); expected the folder of one, as `edanas run` makes"
        )
    base = (str(run / CONFIG), read_toml(run / CONFIG))
    settings = layered_settings(registry, [base, *given])
    lines = changed_settings(decisive_settings(layered_settings(registry, [base])), settings)
    if lines:
        raise TableError(
            f"{run}: the table is of this run's supernet, and other settings do not go with it: "
            f"{'; '.join(lines)}"
        )
    return settings


def tabulate(
    registry: Registry, order: TableRequest, progress: Progress, *, overwrite: bool = False
) -> Table:
    """Build or finish the table that `order` describes; see `build`.

    Raises:
        EdanasError: Something the user can put right.
    """
    if order.out.exists() and not overwrite:
        return _present(order, progress)
    if order.run is not None:
        supernet_digest(order.run)
    with blamed(registry):
        made = compose(registry, order.settings, order.supernet, progress)
    if not made.evaluator.removable:
        raise ConfigError(
            f"evaluation: with '{order.settings.evaluation.name}', criterion "
            f"'{order.settings.criterion.name}' and inference '{order.settings.inference.name}' each set of "
            "exits has weights, or answers, of its own; a table needs one network that answers for all "
            "selection schemes: evaluation 'shared', and exits that do not look back at earlier ones"
        )
    with RunLock(order.work), computing(threads_of(order.settings)), blamed(registry), _resumable(order):
        images = digest_of_parts(made.workbench.parts)
        if order.run is not None:
            check_images(order.run, images)
        if overwrite:
            order.discard(images)
        order.bind(images)
        _build(order, made, images, progress)
    return Table.open(order.out)


def _present(order: TableRequest, progress: Progress) -> Table:
    """The table that is there already, if it is the one that is wanted."""
    table = Table.open(order.out)
    lines = order.changed_settings(table.description.provenance)
    wanted = min(order.backbones, table.description.space_size)
    found = len(table) + len(table.description.failed)
    if found != wanted:
        lines.append(f"backbones: was {found}, now {wanted}")
    if lines:
        raise TableError(
            f"{order.out}: holds another table. Changed: {'; '.join(lines)}. Choose another --out, or "
            "--overwrite to discard it (a supernet of the same settings is not trained again)"
        )
    progress.say(f"{order.out} holds this table; nothing is left to do")
    return table


@contextmanager
def _resumable(order: TableRequest) -> Iterator[None]:
    """Add to what ends a building how to go on."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted(
            f"Interrupted; what was done is kept in {order.work}. To go on: the same command again"
        ) from None


def _build(order: TableRequest, made: Composition, images: str, progress: Progress) -> None:
    bench = made.workbench
    for remark in made.remarks:
        progress.say(remark)
    made.evaluator.prepare(progress)
    description = _describe(order, made, images)
    genomes = choose_backbones(description.backbone_space(), order.backbones, bench.seed("table"))
    parts = {name: getattr(bench.parts, name) for name in description.parts}
    profiler = RowProfiler(made.evaluator, description.exit_points, bench.parts.task.in_channels, parts)
    with closing(Journal(order.work / ROWS, description.provenance)) as journal:
        TableWriter(description, genomes, journal, profiler, made.executor, progress).run(order.out)
    with suppress(OSError):  # the table is written: what was in the making is only in the way
        (order.work / ROWS).unlink()


def _describe(order: TableRequest, made: Composition, images: str) -> Description:
    """The table that is wanted, before a backbone is profiled."""
    settings, provider, data = order.settings, made.workbench.provider, made.workbench.parts
    made_with = environment(settings)
    draft = Description(
        backbones=1,
        variables=provider.variables(),
        exit_points=provider.exit_points,
        thresholds=settings.thresholds,
        criterion={"name": settings.criterion.name, "options": dict(settings.criterion.options)},
        parts={name: len(getattr(data, name)) for name in (SEARCHED, order.held_out)},
        exhaustive=False,
        space_size=1,
        classes=data.train.classes,
        provenance={
            **order.asked(),
            "versions": made_with["versions"],
            "device": made_with["device"],
            "threads": made_with["threads"],
            "data": images,
            "supernet": supernet_digest(order.supernet),
        },
    )
    return replace(draft, space_size=draft.backbone_space().size())
