"""`edanas new-plugin NAME`: a plugin package to begin with, whose tests pass."""

from pathlib import Path
from typing import Annotated

import typer


def new_plugin(
    name: Annotated[str, typer.Argument(help="The name of the package, e.g. edanas-agreement.")],
    *,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="A kind of extension, e.g. objective or search-strategy; may be repeated. "
            "[default: confidence-criterion]"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to. [default: a folder named NAME]")
    ] = None,
) -> None:
    """Write a plugin package that works: an entry point, an implementation of each kind, and its tests."""
    from edanas.plugins.manager import load_plugins
    from edanas.plugins.registry import Registry
    from edanas.scaffolding import NewPackage, choices

    package = NewPackage(name, choices(kind or ()))
    package.check_free(Registry(load_plugins()))
    folder = out or Path(name)
    for path in package.write(folder):
        typer.echo(path)
    typer.echo(f"To install it: pip install -e {folder}    To test it: pip install pytest && pytest {folder}")
