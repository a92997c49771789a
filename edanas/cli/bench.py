"""`edanas bench MODEL...`: latency and memory of networks on this machine, in torch and in exported forms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edanas.cli.shared_options import LabelledData, Part, SkipUnreadable


def bench(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL...",
            help="Network files (.safetensors or .json), or run folders; a run folder stands "
            "for all its networks.",
        ),
    ],
    *,
    data: LabelledData = None,
    part: Part = None,
    forms: Annotated[
        list[str] | None,
        typer.Option(
            help="Form to measure: `torch`, `torch-frozen`, `torch-compiled` or the name of an "
            "exporter; separate several by commas, or repeat the option. Default: `torch`, "
            "`torch-frozen`, and every exported file beside the network."
        ),
    ] = None,
    batch_sizes: Annotated[
        list[str] | None,
        typer.Option(
            help="Batch size in samples; separate several by commas, or repeat the option. Default: 1,32,256."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="Number of CPU threads that each form may use.")] = 1,
    samples: Annotated[
        int,
        typer.Option(help="Largest number of samples to classify; they are drawn at random from the data."),
    ] = 256,
    repeats: Annotated[
        int,
        typer.Option(help="Number of repetitions; in each repetition, every form classifies all samples."),
    ] = 5,
    skip_unreadable: SkipUnreadable = False,
    memory: Annotated[bool, typer.Option(help="Also measure the peak memory of each form.")] = True,
    to_json: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="JSON file to write all measurements to. Default: no file."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Plot file to write (.svg, .png or .pdf): the speed-up of each form, and the "
            "time of each exit. Default: no plot."
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="Device of the torch forms: `auto`, `cpu`, `cuda` or `cuda:N`, N being the "
            "number of a GPU. Other forms run on the CPU."
        ),
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Random seed for the choice and the order of the samples.")] = 0,
) -> None:
    """Measure latency and memory of networks, and compare the time and the multiply-adds that exits save."""
    from edanas.benchmark.bench import bench as run_bench
    from edanas.cli.targets import check_file, check_plot
    from edanas.cli.views.bench import bench_json, draw_bench, show_bench
    from edanas.core.runfolder import replace_file
    from edanas.run.console import ConsoleProgress

    sizes = _batch_sizes(batch_sizes)
    check_plot(plot)
    check_file("--json", to_json)
    result = run_bench(
        models,
        data,
        part=part,
        forms=_split(forms) if forms else None,
        batch_sizes=sizes,
        threads=threads,
        samples=samples,
        repeats=repeats,
        memory=memory,
        device=device,
        seed=seed,
        skip_unreadable=skip_unreadable,
        progress=ConsoleProgress(),
    )
    files = []
    if to_json is not None:
        replace_file(to_json, f"{bench_json(result)}\n".encode())
        files.append(to_json)
    if plot is not None:
        files.append(draw_bench(result, plot))
    show_bench(result, files)


def _split(texts: Sequence[str]) -> list[str]:
    return [word for text in texts for word in text.replace(",", " ").split()]


def _batch_sizes(texts: Sequence[str] | None) -> Sequence[int]:
    from edanas.benchmark.bench import BATCH_SIZES
    from edanas.core.errors import ConfigError

    if not texts:
        return BATCH_SIZES
    words = _split(texts)
    wrong = [word for word in words if not word.isdecimal() or not int(word)]
    if wrong or not words:
        raise ConfigError(
            f"--batch-sizes: found '{(wrong or [''])[0]}'; allowed: whole numbers of 1 or more, e.g. 1,32"
        )
    return [int(word) for word in words]
