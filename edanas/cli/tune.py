"""`edanas tune MODEL`: new thresholds for a finished network, within a budget, without training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

_MODEL_ENDINGS, _PLOT = (".safetensors", ".json"), ".svg"


def tune(
    model: Annotated[Path, typer.Argument(help="The .safetensors or .json file of a network.")],
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
            "data; of other data, all but its train part]"
        ),
    ] = None,
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(help="Images or folders of a drifted stream, without labels. May be repeated."),
    ] = None,
    max_macs: Annotated[
        str | None, typer.Option(help="The largest average number of MACs for an image, e.g. 5M.")
    ] = None,
    min_accuracy: Annotated[str | None, typer.Option(help="The smallest accuracy, e.g. 0.9 or 90%.")] = None,
    max_latency: Annotated[
        str | None,
        typer.Option(help="The longest average time for an image on this machine, e.g. 3ms."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images in a batch when latency is measured.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="The name of the new network. [default: MODEL-tuned beside MODEL]"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Let --out replace existing files, even MODEL itself.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="The plot of the trade-off, .svg, .png or .pdf. [default: the new network's name, .svg]"
        ),
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Skip unlabelled images that cannot be read.")
    ] = False,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda` or `cuda:N`.")] = "auto",
    seed: Annotated[
        int, typer.Option(help="The seed of the splits behind the estimates for new images.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Set new thresholds within a budget, and estimate accuracy and cost on new images."""
    import torch

    from edanas.api import load
    from edanas.cli.views.tune import draw_tuning, show_tuning
    from edanas.core.errors import DataError
    from edanas.core.machine import computing, usable_cores
    from edanas.model.retuning import collect_confidences, retune
    from edanas.model.tuning import tune as tune_network
    from edanas.run.console import ConsoleProgress
    from edanas.thresholds.budgets import parse_budget

    parse_budget(max_macs, min_accuracy, max_latency)
    _check_combination(unlabelled, data, part, min_accuracy, plot)
    endings = _MODEL_ENDINGS if unlabelled or plot else (*_MODEL_ENDINGS, _PLOT)
    stem = _output_stem(model, out, endings, overwrite=overwrite)
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
            tuning = retune(
                network,
                confidences,
                max_macs=max_macs,
                max_latency=max_latency,
                batch_size=batch_size,
                seed=seed,
            )
        else:
            tuning = tune_network(
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
    files = tuning.write(stem)
    if tuning.front is not None:
        files.append(draw_tuning(tuning, figure))
    remarks = [
        *tuning.remarks,
        *([f"{len(skipped)} images cannot be read and were skipped."] if skipped else []),
    ]
    show_tuning(tuning, files, remarks, as_json=as_json)


def _check_combination(
    unlabelled: list[Path] | None,
    data: str | None,
    part: str | None,
    min_accuracy: str | None,
    plot: Path | None,
) -> None:
    """Refuse flags that contradict each other, before anything is computed."""
    from edanas.cli.targets import check_plot
    from edanas.core.errors import ConfigError

    for name, value in (
        ("--data", data),
        ("--part", part),
        ("--min-accuracy", min_accuracy),
        ("--plot", plot),
    ):
        if unlabelled and value is not None:
            raise ConfigError(
                f"{name}: found with --unlabelled; without labels, only the cost can be limited"
            )
    check_plot(plot)


def _output_stem(model: Path, out: Path | None, endings: Sequence[str], *, overwrite: bool) -> Path:
    """Return the path to write to, without an ending; without `--out`, a name that is free."""
    import itertools

    from edanas.core.errors import ConfigError, RunError

    original = model.with_suffix("") if model.suffix in _MODEL_ENDINGS else model
    if out is None:
        if overwrite:
            raise ConfigError("--overwrite: found without --out; expected --out, whose files it replaces")
        numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        stems = (original.with_name(f"{original.name}-tuned{number}") for number in numbers)
        return next(stem for stem in stems if not _existing(stem, endings))
    if out.suffix and out.suffix not in _MODEL_ENDINGS:
        raise ConfigError(
            f"--out: '{out.name}' ends in '{out.suffix}'; allowed: .json, .safetensors or nothing"
        )
    stem = out.with_suffix("")
    if not stem.absolute().parent.is_dir():
        raise RunError(f"--out: {stem.absolute().parent}: no such folder")
    if not overwrite and (files := _existing(stem, endings)):
        replaced = "the original" if stem.absolute() == original.absolute() else "it"
        raise RunError(f"--out: {files[0]} exists; choose another name, or --overwrite to replace {replaced}")
    return stem


def _existing(stem: Path, endings: Sequence[str]) -> list[Path]:
    return [path for end in endings if (path := stem.with_name(f"{stem.name}{end}")).exists()]
