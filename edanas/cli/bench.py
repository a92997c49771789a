"""`edanas bench MODEL...`: latency and memory of networks on this machine, in torch and in exported forms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer


def bench(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="Files of networks, or folders of runs.")
    ],
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
    forms: Annotated[
        list[str] | None,
        typer.Option(
            help="`torch`, `torch-frozen`, `torch-compiled` or the name of an exporter; several by commas, "
            "or repeated. [default: torch, torch-frozen, and the exported files beside MODEL]"
        ),
    ] = None,
    batch_sizes: Annotated[
        list[str] | None,
        typer.Option(help="Images in a batch; several by commas, or repeated. [default: 1,32,256]"),
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads that each form may use.")] = 1,
    samples: Annotated[int, typer.Option(help="The largest number of images.")] = 256,
    repeats: Annotated[int, typer.Option(help="Repetitions: each form classifies all images in each.")] = 5,
    memory: Annotated[bool, typer.Option(help="Measure the memory that each form takes.")] = True,
    to_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures to this file.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a plot to this .svg, .png or .pdf file.")] = None,
    device: Annotated[
        str, typer.Option(help="`auto`, `cpu`, `cuda` or `cuda:N`, for the forms in torch.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="The seed of the choice and the order of images.")] = 0,
) -> None:
    """Measure latency and memory, and compare them with the backbone alone and with multiply-adds."""
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
            f"--batch-sizes: found '{(wrong or [''])[0]}'; allowed: whole numbers of 1 or more, as 1,32"
        )
    return [int(word) for word in words]
