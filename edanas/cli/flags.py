"""Flags that several commands share: what makes the settings of a run."""

from pathlib import Path
from typing import Annotated

import typer

Plugin = Annotated[str | None, typer.Option(help="The bundle, e.g. mbv3-sm.")]
Data = Annotated[
    str | None,
    typer.Option(help="`digits`, a torchvision set's name, or the path of a folder of class folders."),
]
Download = Annotated[bool, typer.Option("--download", help="Let a torchvision set be downloaded.")]
Seed = Annotated[int | None, typer.Option(help="Everything random follows from it.")]
Preset = Annotated[
    str | None,
    typer.Option(
        help="`quick`, `paper`, `best`, `cifar` or `auto`. [default: `auto` for a folder, else `quick`]"
    ),
]
Device = Annotated[str | None, typer.Option(help="`auto`, `cpu`, `cuda` or `cuda:N`.")]
Weights = Annotated[str | None, typer.Option(help="Supernet weights: a file, or a zoo name.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="Any setting, as key=value; may be repeated.")
]
Config = Annotated[Path | None, typer.Option(help="A TOML file of settings.")]
