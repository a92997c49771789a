"""`edanas tune MODEL`: new thresholds for a finished network, within a budget, without training."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from edanas.api import load
from edanas.cli.progress import ConsoleProgress
from edanas.cli.targets import check_plot
from edanas.cli.tune_view import draw, plain, show
from edanas.core.errors import ConfigError, DataError, RunError
from edanas.core.machine import computing, usable_cores
from edanas.model.retuning import collect_confidences, retune
from edanas.model.tuning import tune as tune_network
from edanas.thresholds.budgets import parse_budget

_MODEL_ENDINGS, _PLOT = (".safetensors", ".json"), ".svg"


def tune(
    model: Annotated[Path, typer.Argument(help="A network's .safetensors or .json file.")],
    *,
    data: Annotated[
        str | None,
        typer.Option(
            help="Labelled samples: `digits`, another set's name, or a folder of class folders. "
            "[default: the data of the run that the network is from]"
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            help="`train`, `calibration`, `validation`, `test` or `all`. [default: calibration of the run's "
            "data, of other data all but what it names train]"
        ),
    ] = None,
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(help="Images or folders of a drifted stream, without labels. May be repeated."),
    ] = None,
    max_macs: Annotated[str | None, typer.Option(help="Most MACs for an image on average, e.g. 5M.")] = None,
    min_accuracy: Annotated[str | None, typer.Option(help="Least accuracy, e.g. 0.9 or 90%.")] = None,
    max_latency: Annotated[
        str | None, typer.Option(help="Most time for an image on average, here, e.g. 3ms.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images at once when the latency is measured.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="The new network's name. [default: MODEL-tuned beside MODEL]")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Let --out replace what is there, even MODEL itself.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="The trade-off's plot, .svg, .png or .pdf. [default: the new network's name, .svg]"
        ),
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Pass over unlabelled images that cannot be read.")
    ] = False,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda` or `cuda:N`.")] = "auto",
    seed: Annotated[int, typer.Option(help="How samples are divided to tell what to expect.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Set new thresholds for a budget, and tell what to expect on new images."""
    parse_budget(max_macs, min_accuracy, max_latency)
    _check(unlabelled, data, part, min_accuracy, plot)
    endings = _MODEL_ENDINGS if unlabelled or plot else (*_MODEL_ENDINGS, _PLOT)
    stem = _stem(model, out, endings, overwrite=overwrite)
    figure = stem.with_name(f"{stem.name}{_PLOT}") if plot is None else plot
    progress = ConsoleProgress()
    skipped: list[DataError] = []
    with computing(min(torch.get_num_threads(), usable_cores())):
        if unlabelled:
            network = load(model, device)
            confidences = collect_confidences(
                network,
                unlabelled,
                progress=progress,
                on_unreadable=skipped.append if skip_unreadable else None,
            )
            done = retune(
                network,
                confidences,
                max_macs=max_macs,
                max_latency=max_latency,
                batch_size=batch_size,
                seed=seed,
            )
        else:
            done = tune_network(
                model,
                data,
                part=part,
                max_macs=max_macs,
                min_accuracy=min_accuracy,
                max_latency=max_latency,
                batch_size=batch_size,
                device=device,
                seed=seed,
            )
    files = done.write(stem)
    if done.front is not None:
        files.append(draw(done, figure))
    remarks = [
        *done.remarks,
        *([f"{len(skipped)} images cannot be read and were skipped."] if skipped else []),
    ]
    if as_json:
        typer.echo(json.dumps(plain(done, files, remarks), indent=2))
        return
    show(done, files, remarks)


def _check(
    unlabelled: list[Path] | None,
    data: str | None,
    part: str | None,
    min_accuracy: str | None,
    plot: Path | None,
) -> None:
    """Refuse what does not go together, before anything is computed."""
    for name, value in (
        ("--data", data),
        ("--part", part),
        ("--min-accuracy", min_accuracy),
        ("--plot", plot),
    ):
        if unlabelled and value is not None:
            raise ConfigError(f"{name}: found with --unlabelled; without labels, only a cost can be held")
    check_plot(plot)


def _stem(model: Path, out: Path | None, endings: Sequence[str], *, overwrite: bool) -> Path:
    """Where to write, without an ending; by default a name that is free."""
    original = model.with_suffix("") if model.suffix in _MODEL_ENDINGS else model
    if out is None:
        if overwrite:
            raise ConfigError("--overwrite: found without --out; expected --out, which it lets replace files")
        names = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        stems = (original.with_name(f"{original.name}-tuned{name}") for name in names)
        return next(stem for stem in stems if not _there(stem, endings))
    if out.suffix and out.suffix not in _MODEL_ENDINGS:
        raise ConfigError(
            f"--out: '{out.name}' ends in '{out.suffix}'; allowed: .json, .safetensors or nothing"
        )
    stem = out.with_suffix("")
    if not stem.absolute().parent.is_dir():
        raise RunError(f"--out: {stem.absolute().parent}: no such folder")
    if not overwrite and (taken := _there(stem, endings)):
        what = "the original" if stem.absolute() == original.absolute() else "it"
        raise RunError(f"--out: {taken[0]} exists; choose another name, or say --overwrite to replace {what}")
    return stem


def _there(stem: Path, endings: Sequence[str]) -> list[Path]:
    return [path for end in endings if (path := stem.with_name(f"{stem.name}{end}")).exists()]
