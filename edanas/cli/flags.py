"""Flags that several commands share: the options of a run."""

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edanas.run.options import RunOptions

_FLAGS: dict[str, tuple[Any, Any]] = {
    "plugin": (Annotated[str | None, typer.Option(help="The bundle, e.g. mbv3-sm.")], None),
    "data": (
        Annotated[
            str | None,
            typer.Option(
                help="`digits`, a torchvision set's name, or the path of a folder of class folders."
            ),
        ],
        None,
    ),
    "download": (
        Annotated[bool, typer.Option("--download", help="Allow the download of a torchvision set.")],
        False,
    ),
    "seed": (Annotated[int | None, typer.Option(help="The seed of all random numbers.")], None),
    "preset": (
        Annotated[
            str | None,
            typer.Option(
                help="`quick`, `paper`, `best`, `cifar` or `auto`. "
                "[default: `auto` for a folder, else `quick`]"
            ),
        ],
        None,
    ),
    "device": (Annotated[str | None, typer.Option(help="`auto`, `cpu`, `cuda` or `cuda:N`.")], None),
    "evaluation": (Annotated[str | None, typer.Option(help="`shared` or `finetune`.")], None),
    "weights": (
        Annotated[str | None, typer.Option(help="Supernet weights: a file, or a name to download.")],
        None,
    ),
    "warm_start": (
        Annotated[
            Path | None,
            typer.Option(help="The folder of an older run, whose Pareto set is evaluated first."),
        ],
        None,
    ),
    "max_evals": (
        Annotated[int | None, typer.Option(help="Stop after this number of candidates.")],
        None,
    ),
    "time_limit": (
        Annotated[float | None, typer.Option(help="Stop the search after this many seconds.")],
        None,
    ),
    "settings": (
        Annotated[
            list[str] | None, typer.Option("--set", help="Any setting, as key=value; may be repeated.")
        ],
        None,
    ),
    "config": (Annotated[Path | None, typer.Option(help="A TOML file of settings.")], None),
}
"""Annotation and default of each flag, by its field of `RunOptions`, in the order of the help."""

SEARCH_ONLY = ("evaluation", "warm_start", "max_evals", "time_limit")
"""Fields that only a search has."""

SUPERNET_FIELDS = tuple(name for name in _FLAGS if name not in SEARCH_ONLY)
"""Fields that a command which only trains a supernet has."""


def with_run_options(
    names: Sequence[str] = tuple(_FLAGS), first: Sequence[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command: put flags in the place of its parameter `options`, and pass a `RunOptions` there.

    Args:
        names: The fields of `RunOptions` that the command has flags for.
        first: Those of them whose flags precede the command's own in the help.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        parameters = [_flag(name) for name in first]
        for parameter in inspect.signature(command).parameters.values():
            if parameter.name == "options":
                parameters += [_flag(name) for name in names if name not in first]
            else:
                parameters.append(parameter)

        @functools.wraps(command)
        def run_command(**values: Any) -> None:
            options = RunOptions(**{name: values.pop(name) for name in names})
            command(options=options, **values)

        run_command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run_command.__annotations__ = {each.name: each.annotation for each in parameters}
        return run_command

    return decorate


def _flag(name: str) -> inspect.Parameter:
    annotation, default = _FLAGS[name]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
