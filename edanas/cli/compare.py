"""`edanas compare RUN...`: a table of the methods of several runs, with the spread over seeds."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Folders of finished runs on the same samples. Runs that differ only in the "
            "seed form one method. NAME=FOLDER names the method; other methods are named "
            "after the settings that differ."
        ),
    ],
    *,
    at: Annotated[
        list[str] | None,
        typer.Option(
            help="Bound on executed MACs, e.g. 1.5M; adds a column with the accuracy that each "
            "method reaches within the bound. May be repeated. Default: no bound."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Plot file to write (.svg, .png or .pdf): the test accuracy that each method "
            "attains within executed MACs. Default: no plot."
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="JSON file to write all results to, by method and by run. Default: no file."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="CSV file to write, with one line for each run. Default: no file.")
    ] = None,
) -> None:
    """Compare runs: accuracy, costs, hypervolume and time of each method, with the spread over seeds."""
    from edanas.cli.targets import check_file, check_plot
    from edanas.cli.views.compare import show_comparison
    from edanas.core.runfolder import replace_file
    from edanas.core.visible import csv_cell
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
        replace_file(csv, comparison.to_dataframe().map(csv_cell).to_csv(index=False).encode())
    show_comparison(comparison, [path for path in (plot, json, csv) if path])


def _method_and_folder(run: str) -> tuple[str | None, Path]:
    """Return the name and the folder in `NAME=FOLDER`, or `None` and the folder in `FOLDER`.

    The name of an existing folder may contain `=`.

    Raises:
        ConfigError: The name or the folder is empty.
    """
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
