"""`edanas tune MODEL`: new thresholds for a finished network within a budget, without training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edanas.cli.shared_options import Device, LabelledData, Model, Part, SkipUnreadable

_MODEL_ENDINGS, _PLOT = (".safetensors", ".json"), ".svg"


def tune(
    model: Model,
    *,
    data: LabelledData = None,
    part: Part = None,
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(
            help="File or folder without labels, of a stream whose samples have drifted; "
            "replaces --data. May be repeated."
        ),
    ] = None,
    max_macs: Annotated[
        str | None,
        typer.Option(
            help="Budget: the largest number of executed MACs of a sample on average, e.g. 5M. "
            "Exactly one budget is required."
        ),
    ] = None,
    min_accuracy: Annotated[
        str | None, typer.Option(help="Budget: the lowest accuracy, e.g. 0.9 or 90%.")
    ] = None,
    max_latency: Annotated[
        str | None,
        typer.Option(help="Budget: the longest time for a sample on average on this machine, e.g. 3ms."),
    ] = None,
    max_drop: Annotated[
        str | None,
        typer.Option(
            help="Budget: the largest drop of accuracy against the last exit, e.g. 1%, which new "
            "samples of the same kind keep with the probability --confidence."
        ),
    ] = None,
    confidence: Annotated[
        str | None, typer.Option(help="Probability that --max-drop is kept. Default: 95%.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Batch size in samples for measuring latency.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Name of the new network's files, with or without .json or .safetensors. "
            "Default: the name of the network with `-tuned`, in the same folder."
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace existing files of the name --out, even the network itself."
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Plot file to write (.svg, .png or .pdf): accuracy against cost for all "
            "thresholds. Default: an .svg file with the name of the new network."
        ),
    ] = None,
    keep_stages: Annotated[
        bool,
        typer.Option(
            "--keep-stages",
            help="Leave exits and stages that no sample uses in the new network, e.g. to tune it again "
            "for a larger budget.",
        ),
    ] = False,
    skip_unreadable: SkipUnreadable = False,
    device: Device = "auto",
    seed: Annotated[
        int, typer.Option(help="Random seed of the data splits behind the estimates for new samples.")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON instead of a table.")
    ] = False,
) -> None:
    """Set a network's thresholds within a budget, and estimate its accuracy and cost on new images."""
    import torch

    from edanas.api import load
    from edanas.cli.views.tune import draw_tuning, show_tuning
    from edanas.core.errors import DataError
    from edanas.core.machine import computing, usable_cores
    from edanas.model.retuning import collect_confidences, retune
    from edanas.model.tuning import tune as tune_network
    from edanas.run.console import ConsoleProgress
    from edanas.thresholds.budgets import parse_budget

    parse_budget(max_macs, min_accuracy, max_latency, max_drop, confidence)
    _check_combination(unlabelled, data, part, min_accuracy, max_drop, plot)
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
                keep_stages=keep_stages,
            )
        else:
            tuning = tune_network(
                model,
                data,
                part=part,
                max_macs=max_macs,
                min_accuracy=min_accuracy,
                max_latency=max_latency,
                max_drop=max_drop,
                confidence=confidence,
                batch_size=batch_size,
                device=device,
                seed=seed,
                keep_stages=keep_stages,
                skip_unreadable=skip_unreadable,
            )
    files = tuning.write(stem)
    if tuning.front is not None:
        files.append(draw_tuning(tuning, figure))
    remarks = [
        *tuning.remarks,
        *([f"Files skipped because they cannot be read: {len(skipped)}."] if skipped else []),
    ]
    show_tuning(tuning, files, remarks, as_json=as_json)


def _check_combination(
    unlabelled: list[Path] | None,
    data: str | None,
    part: str | None,
    min_accuracy: str | None,
    max_drop: str | None,
    plot: Path | None,
) -> None:
    """Check that the flags fit together, before anything is computed.

    Raises:
        ConfigError: `--unlabelled` is combined with a flag that needs labels, or the plot has a wrong ending.
        RunError: The plot cannot be written.
    """
    from edanas.cli.targets import check_plot
    from edanas.core.errors import ConfigError

    for name, value in (
        ("--data", data),
        ("--part", part),
        ("--min-accuracy", min_accuracy),
        ("--max-drop", max_drop),
        ("--plot", plot),
    ):
        if unlabelled and value is not None:
            raise ConfigError(
                f"{name}: found with --unlabelled, whose samples have no labels; allowed: --max-macs or "
                f"--max-latency, without {name}"
            )
    check_plot(plot)


def _output_stem(model: Path, out: Path | None, endings: Sequence[str], *, overwrite: bool) -> Path:
    """Return the path of the new network's files without an ending.

    Without `out`, it is the first of `NAME-tuned`, `NAME-tuned-2` and so on that does not exist, NAME being
    the path of the network.

    Raises:
        ConfigError: `out` has another ending than `endings` allow, or `overwrite` is set without `out`.
        RunError: The folder does not exist, or a file exists and `overwrite` is not set.
    """
    import itertools

    from edanas.core.errors import ConfigError, RunError

    original = model.with_suffix("") if model.suffix in _MODEL_ENDINGS else model
    if out is None:
        if overwrite:
            raise ConfigError(
                "--overwrite: found without --out; expected also --out, the name of the files to replace"
            )
        numbers = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        stems = (original.with_name(f"{original.name}-tuned{number}") for number in numbers)
        return next(stem for stem in stems if not _existing(stem, endings))
    if out.suffix and out.suffix not in _MODEL_ENDINGS:
        raise ConfigError(
            f"--out: '{out.name}' ends in '{out.suffix}'; allowed: .json, .safetensors or no ending"
        )
    stem = out.with_suffix("")
    if not stem.absolute().parent.is_dir():
        raise RunError(f"--out: {stem.absolute().parent}: no such folder")
    if not overwrite and (files := _existing(stem, endings)):
        replaced = "the network itself" if stem.absolute() == original.absolute() else "the existing files"
        raise RunError(f"--out: {files[0]} exists; choose another name, or --overwrite to replace {replaced}")
    return stem


def _existing(stem: Path, endings: Sequence[str]) -> list[Path]:
    return [path for end in endings if (path := stem.with_name(f"{stem.name}{end}")).exists()]
