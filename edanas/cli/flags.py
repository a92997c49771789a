"""Flags for the options of a run, which several commands share."""

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edanas.run.options import RunOptions

_FLAGS: dict[str, tuple[Any, Any]] = {
    "plugin": (
        Annotated[
            str | None,
            typer.Option(
                help="Bundle of settings to start from, e.g. `mbv3-sm`; `edanas plugins` lists all "
                "bundles. Default: `mbv3-sm`."
            ),
        ],
        None,
    ),
    "data": (
        Annotated[
            str | None,
            typer.Option(
                help="Data set: a name, e.g. `digits` or that of a torchvision data set, or a path: a folder "
                "with one folder for each class, an `.npz` file, a CSV file of paths and labels, or a "
                "folder of parquet files. Default: the data set of the bundle, `digits` for `mbv3-sm`."
            ),
        ],
        None,
    ),
    "group": (
        Annotated[
            str | None,
            typer.Option(
                help="Column of a table, array of an `.npz` file, or pattern in the names of files, with the "
                "group of each sample, e.g. its speaker; all samples of a group are in one part. Default: "
                "no groups."
            ),
        ],
        None,
    ),
    "download": (
        Annotated[bool, typer.Option("--download", help="Allow the download of a torchvision data set.")],
        False,
    ),
    "skip_unreadable": (
        Annotated[
            bool,
            typer.Option(
                "--skip-unreadable",
                help="Skip files of a folder that cannot be read, instead of stopping with an error.",
            ),
        ],
        False,
    ),
    "allow_duplicates": (
        Annotated[
            bool,
            typer.Option(
                "--allow-duplicates",
                help="Do not report samples that are in two parts or two classes at once.",
            ),
        ],
        False,
    ),
    "seed": (
        Annotated[int | None, typer.Option(help="Seed of all random numbers, 0 or more. Default: 0.")],
        None,
    ),
    "preset": (
        Annotated[
            str | None,
            typer.Option(
                help="Preset of the bundle, e.g. `quick`, `paper`, `best`, `cifar` or `auto`. "
                "Default: `auto` for a folder of images if the bundle has this preset, "
                "otherwise the bundle's first preset, e.g. `quick`."
            ),
        ],
        None,
    ),
    "device": (
        Annotated[
            str | None,
            typer.Option(
                help="Device to compute on: `auto`, `cpu`, `cuda` or `cuda:N`, N being the number "
                "of a GPU. Default: `auto`."
            ),
        ],
        None,
    ),
    "evaluation": (
        Annotated[
            str | None,
            typer.Option(
                help="Evaluation mode for candidates, e.g. `shared` (weights of one trained "
                "supernet) or `finetune` (a short training of each candidate). Default: the "
                "mode of the preset, `shared` for `quick`."
            ),
        ],
        None,
    ),
    "weights": (
        Annotated[
            str | None,
            typer.Option(
                help="Supernet weights to begin with: the path of a file, or a name that the "
                "supernet's provider can download. Default: no weights."
            ),
        ],
        None,
    ),
    "warm_start": (
        Annotated[
            str | None,
            typer.Option(
                help="Folder of an older run on the same search space, or a study of Optuna as "
                "`sqlite:///FILE#STUDY`; its Pareto set is evaluated first. Default: none."
            ),
        ],
        None,
    ),
    "max_evals": (
        Annotated[
            int | None,
            typer.Option(
                help="Largest number of candidates to evaluate in the whole search. Default: no limit."
            ),
        ],
        None,
    ),
    "time_limit": (
        Annotated[
            float | None,
            typer.Option(
                help="Time limit of the whole run in seconds: supernet, search, fine-tuning and report. "
                "Default: 1800 for a folder of images without a preset, otherwise no limit. The setting "
                "`search.time_limit` limits the search alone."
            ),
        ],
        None,
    ),
    "max_ram": (
        Annotated[
            str | None,
            typer.Option(
                help="Largest RAM of every network on a microcontroller, in bytes, e.g. `64k`: the peak of "
                "its int8 activations. Default: no limit."
            ),
        ],
        None,
    ),
    "max_flash": (
        Annotated[
            str | None,
            typer.Option(
                help="Largest flash of every network on a microcontroller, in bytes, e.g. `256k`: its int8 "
                "weights. Default: no limit."
            ),
        ],
        None,
    ),
    "device_profile": (
        Annotated[
            str | None,
            typer.Option(
                help="Microcontroller for which latency and energy are estimated: a name, e.g. "
                "`cortex-m4-80mhz`, or a TOML file. Default: none."
            ),
        ],
        None,
    ),
    "settings": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--set", help="Any other setting, as KEY=VALUE, e.g. training.epochs=20. May be repeated."
            ),
        ],
        None,
    ),
    "config": (
        Annotated[
            Path | None,
            typer.Option(
                help="TOML file of settings; options of the command line override it. Default: no file."
            ),
        ],
        None,
    ),
}
"""The annotation and the default of each flag, by field of `RunOptions`, in the order of the help."""

SEARCH_ONLY = (
    *("evaluation", "warm_start", "max_evals", "time_limit"),
    *("max_ram", "max_flash", "device_profile"),
)
"""The fields of `RunOptions` that affect only a search: `run` has flags for them."""

SUPERNET_FIELDS = tuple(name for name in _FLAGS if name not in SEARCH_ONLY)
"""The fields of `RunOptions` that `train-supernet` and `tabulate` have flags for."""


def with_run_options(
    names: Sequence[str] = tuple(_FLAGS), first: Sequence[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator of commands that replaces the parameter `options` by flags.

    The decorated command collects the values of the flags in a `RunOptions`, and passes it as `options`.

    Args:
        names: The fields of `RunOptions` that become flags; all by default.
        first: The fields among `names` whose flags stand first in the help; by default, all flags stand in
            the place of `options`.
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
