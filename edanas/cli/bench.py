"""`edanas bench MODEL...`: what networks take on this machine, in torch and in every form exported."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edanas.benchmark.bench import BATCH_SIZES
from edanas.benchmark.bench import bench as measure
from edanas.cli.bench_view import draw, plain, show
from edanas.cli.progress import ConsoleProgress
from edanas.cli.targets import check_file, check_plot
from edanas.core.errors import ConfigError
from edanas.core.runfolder import replace_file


def bench(
    models: Annotated[
        list[Path], typer.Argument(metavar="MODEL...", help="Networks' files, or folders of runs.")
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
            "data, of other data all but what it names train]"
        ),
    ] = None,
    forms: Annotated[
        list[str] | None,
        typer.Option(
            help="`torch`, `torch-frozen`, `torch-compiled` or an exporter's name; several by commas, or "
            "repeated. [default: torch, torch-frozen, and what lies beside MODEL]"
        ),
    ] = None,
    batch_sizes: Annotated[
        list[str] | None,
        typer.Option(help="Images at once; several by commas, or repeated. [default: 1,32,256]"),
    ] = None,
    threads: Annotated[int, typer.Option(help="How many each form may use.")] = 1,
    samples: Annotated[int, typer.Option(help="Images, at most.")] = 256,
    repeats: Annotated[int, typer.Option(help="How often each side answers all images.")] = 5,
    memory: Annotated[bool, typer.Option(help="Ask how much memory each form takes.")] = True,
    to_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures there.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a plot there: .svg, .png or .pdf.")] = None,
    device: Annotated[str, typer.Option(help="`auto`, `cpu`, `cuda` or `cuda:N`, for torch.")] = "auto",
    seed: Annotated[int, typer.Option(help="Draws and orders the images.")] = 0,
) -> None:
    """Measure latency and memory, against the backbone alone and what multiply-adds promise."""
    sizes = _numbers(batch_sizes)
    check_plot(plot)
    check_file("--json", to_json)
    found = measure(
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
        replace_file(to_json, f"{json.dumps(plain(found), indent=2)}\n".encode())
        files.append(to_json)
    if plot is not None:
        files.append(draw(found, plot))
    show(found, files)


def _split(texts: Sequence[str]) -> list[str]:
    return [word for text in texts for word in text.replace(",", " ").split()]


def _numbers(texts: Sequence[str] | None) -> Sequence[int]:
    words = _split(texts) if texts else list(map(str, BATCH_SIZES))
    wrong = [word for word in words if not word.isdecimal() or not int(word)]
    if wrong or not words:
        raise ConfigError(
            f"--batch-sizes: found '{(wrong or [''])[0]}'; allowed: whole numbers of 1 or more, as 1,32"
        )
    return [int(word) for word in words]
