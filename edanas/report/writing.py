"""Writing of the files of a finished run: `result.json`, `pareto.csv`, plots and the HTML page."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edanas.core.errors import RunError
from edanas.core.runfolder import replace_file
from edanas.core.visible import csv_cell
from edanas.report.history import RunHistory, read_history
from edanas.report.result import Result

PARETO, PAGE = "pareto.csv", "report.html"
"""Names of the files with the Pareto set and with the HTML page."""
PLOTS = ("pareto.svg", "pareto.png")
"""Names of the files with the plot `front`."""
FURTHER = {"pairs": "pairs.svg", "parallel": "parallel.svg"}
"""Kind of plot -> file name, for the additional plots of a run with more than two objectives."""


def write_report(folder: Path, content: Mapping[str, Any]) -> Result:
    """Write `result.json`, `pareto.csv`, the plots and `report.html`, and return the result.

    `result.json` is written last. If it exists, the other files are complete.

    Args:
        folder: The run folder.
        content: The content of `result.json`.

    Raises:
        RunError: `content` lacks a required entry (see `Result`), or a file cannot be written.
        EdanasError: A plot cannot be written.
    """
    write_views(Result(folder, content))
    return Result.write(folder, content)


def write_views(result: Result) -> None:
    """Write the files that show a result to readers: `pareto.csv`, the plots and `report.html`.

    Args:
        result: The result; the files are written to its folder.

    Raises:
        RunError: `pareto.csv` or `report.html` cannot be written.
        EdanasError: A plot cannot be written.
    """
    from edanas.report import plots
    from edanas.report.html import render

    folder = result.folder
    figure = plots.draw(result.data)
    replace_file(folder / PARETO, _pareto_text(result).encode())
    replace_file(folder / PAGE, render(result, _history(folder)).encode())
    for name in PLOTS:
        plots.save(figure, folder / name)
    if len(result.data.get("objectives") or []) > 2 and result.data.get("values"):
        for kind, name in FURTHER.items():
            result.plot(folder / name, kind)


def _history(folder: Path) -> RunHistory | None:
    """Return the run's history; `None` if the archive or the log cannot be read."""
    try:
        return read_history(folder)
    except RunError:
        return None


def _pareto_text(result: Result) -> str:
    """Return the Pareto set of the archive as CSV, one candidate per line. Lists and tables are JSON text."""
    rows = [
        {
            key: json.dumps(value) if isinstance(value, (list, dict)) else csv_cell(value)
            for key, value in row.items()
        }
        for row in result.pareto
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["id"])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
