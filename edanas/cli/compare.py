"""`edanas compare RUN...`: several runs on the same images side by side, with the spread over seeds."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Folders of finished runs. NAME=FOLDER sets the name of the method, which is otherwise made "
            "of the settings that differ."
        ),
    ],
    *,
    at: Annotated[
        list[str] | None,
        typer.Option(
            help="Show the accuracy within this number of executed MACs, e.g. 1.5M. May be repeated."
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the front of each method to this .svg, .png or .pdf file.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write all figures, by method and by run, to this file.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write one line for each run to this file.")] = None,
) -> None:
    """Compare runs: accuracy, costs, hypervolume and time of each method, with the spread over seeds."""
    from edanas.cli.targets import check_file, check_plot
    from edanas.cli.views.compare import show_comparison
    from edanas.core.runfolder import replace_file
    from edanas.report.comparison import compare as compare_runs

    names, folders = zip(*(_method_and_folder(run) for run in runs), strict=True)
    check_plot(plot)
    check_file("--json", json)
    check_file("--csv", csv)
    comparison = compare_runs(folders, names, [_macs(each) for each in at or []])
    if plot:
        comparison.plot(plot)
    if json:
        replace_file(json, comparison.to_json().encode())
    if csv:
        replace_file(csv, comparison.to_dataframe().to_csv(index=False).encode())
    show_comparison(comparison, [path for path in (plot, json, csv) if path])


def _method_and_folder(run: str) -> tuple[str | None, Path]:
    """Split `NAME=FOLDER`; the name is `None` where there is none. A folder may have `=` in its name."""
    from edanas.core.errors import ConfigError

    name, equals, folder = run.partition("=")
    if not equals or Path(run).exists():
        return None, Path(run)
    if not name or not folder:
        raise ConfigError(f"RUN: found '{run}'; expected a folder, or NAME=FOLDER")
    return name, Path(folder)


def _macs(text: str) -> float:
    from edanas.core.errors import ConfigError
    from edanas.thresholds.budgets import parse_budget

    try:
        return parse_budget(max_macs=text).limit
    except ConfigError as error:
        raise ConfigError(str(error).replace("max_macs", "--at", 1)) from error
