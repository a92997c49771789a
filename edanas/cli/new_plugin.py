"""`edanas new-plugin NAME`: the files of a new plugin package, whose tests pass."""

from pathlib import Path
from typing import Annotated

import typer


def new_plugin(
    name: Annotated[str, typer.Argument(help="Name of the package to write, e.g. `edanas-agreement`.")],
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="Kind of extension to include, e.g. `objective` or `search-strategy`. May be "
            "repeated. Default: `confidence-criterion`."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write the package to, empty or new. Default: a new folder with the "
            "name of the package."
        ),
    ] = None,
) -> None:
    """Write a new plugin package: an entry point, and a working extension of each kind with its tests."""
    from edanas.core.visible import visible
    from edanas.plugins.manager import load_plugins
    from edanas.plugins.registry import Registry
    from edanas.scaffolding import NewPackage, choices

    package = NewPackage(name, choices(kind or ()))
    package.check_free(Registry(load_plugins()))
    folder = out or Path(name)
    for path in package.write(folder):
        typer.echo(visible(path))
    typer.echo(
        f"To install the package: pip install -e {visible(folder)}\n"
        f"To test the package: pip install pytest && pytest {visible(folder)}"
    )
