"""`edanas export MODEL --to onnx`: the files of a finished network in other forms, and their check."""

from pathlib import Path
from typing import Annotated

import typer

from edanas.cli.shared_options import Model, SkipUnreadable


def export(
    model: Model,
    *,
    to: Annotated[
        list[str] | None,
        typer.Option(
            help="Exporter of the form to write, e.g. `onnx`; `edanas plugins` lists all "
            "exporters. May be repeated. Default: `onnx`."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to. Default: the folder of the network file.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Labelled samples for the check and for the scales of 8-bit numbers: the name "
            "of a data set, e.g. `digits`, or the path of a folder with one folder for "
            "each class. Default: the data of the run that wrote the network."
        ),
    ] = None,
    skip_unreadable: SkipUnreadable = False,
) -> None:
    """Write a network in other forms, and check that each form predicts the same classes as the network."""
    import torch

    from edanas.cli.views.export import show_exports
    from edanas.core.machine import computing, usable_cores
    from edanas.model.exporting import export as export_network

    with computing(min(torch.get_num_threads(), usable_cores())):
        exports = export_network(model, to or ["onnx"], out, data, skip_unreadable=skip_unreadable)
    show_exports(exports)
