"""`edanas export MODEL --to onnx`: a finished network in other forms, each checked after it is written."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[Path, typer.Argument(help="The .safetensors or .json file of a network.")],
    *,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="The name of an exporter; may be repeated. `edanas plugins` lists them. [default: onnx]"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to. [default: the folder of MODEL]")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Labelled images for the check and for 8-bit scales: the name of a data set, or a folder "
            "of class folders. [default: the data of the run that the network is from]"
        ),
    ] = None,
) -> None:
    """Write a network in other forms, and check that each form classifies as the network does."""
    import torch

    from edanas.cli.views.export import show_exports
    from edanas.core.machine import computing, usable_cores
    from edanas.model.exporting import export as export_network

    with computing(min(torch.get_num_threads(), usable_cores())):
        exports = export_network(model, to or ["onnx"], out, data)
    show_exports(exports)
