"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Argument(help="Network file, .safetensors or .json.")]

LabelledData = Annotated[
    str | None,
    typer.Option(
        help="Labelled samples: the name of a data set, e.g. `digits`, or the path of a "
        "folder with one folder for each class. Default: the data of the run that "
        "wrote the network."
    ),
]

Part = Annotated[
    str | None,
    typer.Option(
        help="Part of the data: `train`, `calibration`, `validation`, `test` or `all`. "
        "Default: `calibration` of the run's data; of other data, all samples outside "
        "its `train` part."
    ),
]

SkipUnreadable = Annotated[
    bool,
    typer.Option(
        "--skip-unreadable", help="Skip files that cannot be read, instead of stopping with an error."
    ),
]

Device = Annotated[
    str,
    typer.Option(
        help="Device to compute on: `auto`, `cpu`, `cuda` or `cuda:N`, N being the number of a GPU."
    ),
]

TimeLimit = Annotated[
    float | None,
    typer.Option(
        help="Time limit of this call in seconds. The state of the training is kept; run "
        "the same command again to resume it. Default: no limit."
    ),
]

JsonInsteadOfText = Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of text.")]
