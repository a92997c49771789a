"""`edanas export MODEL --to onnx`: a finished network in other forms, each checked after writing."""

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from edanas.core.machine import computing, usable_cores
from edanas.model.exporting import Exported
from edanas.model.exporting import export as export_network


def export(
    model: Annotated[Path, typer.Argument(help="A network's .safetensors or .json file.")],
    *,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="An exporter's name; may be repeated. `edanas plugins` lists them. [default: onnx]"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to. [default: where MODEL is]")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Labelled images to check with and to set 8-bit scales by: a data set's name, or a folder "
            "of class folders. [default: the data of the run that the network is from]"
        ),
    ] = None,
) -> None:
    """Write a network in other forms, and check that each does what the network does."""
    with computing(min(torch.get_num_threads(), usable_cores())):
        found = export_network(model, to or ["onnx"], out, data)
    console = Console()
    for each in found:
        for line in _lines(each):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(found: Exported) -> list[str]:
    sizes = [path.stat().st_size for path in found.files]
    lines = [f"{found.name}: {len(sizes)} file{'s' * (len(sizes) > 1)}, {_size(sum(sizes))}"]
    lines += [f"  {path} {_size(size)}" for path, size in zip(found.files, sizes, strict=True)]
    lines.append(
        f"  {found.check.sentence() if found.check else 'not checked: this form is not run by itself'}"
    )
    return [*lines, f"  {found.summary}"] if found.summary else lines


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
