"""The files that a finished run leaves for people and for tools."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edanas.core.errors import RunError
from edanas.core.runfolder import writing
from edanas.report import plots
from edanas.report.history import History, read_history
from edanas.report.html import render
from edanas.report.result import Result

PARETO, PAGE = "pareto.csv", "report.html"
PLOTS = ("pareto.svg", "pareto.png")
FURTHER = {"pairs": "pairs.svg", "parallel": "parallel.svg"}
"""Plots that a run with more than two objectives leaves besides."""


def write_report(folder: Path, content: Mapping[str, Any]) -> Result:
    """Write `result.json`, `pareto.csv`, the plots and `report.html`.

    The result comes last: where it is there, everything else is.

    Args:
        folder: The run's folder.
        content: What `result.json` is to hold.

    Raises:
        RunError: A file cannot be written, or `content` has not the right shape.
    """
    write_views(Result(folder, content))
    return Result.write(folder, content)


def write_views(result: Result) -> None:
    """Write what shows a result: `pareto.csv`, the plots and `report.html`.

    Raises:
        RunError: A file cannot be written.
    """
    folder = result.folder
    figure = plots.draw(result.data)
    with writing(folder / PARETO):
        _write_pareto(folder / PARETO, result)
    page = render(result, _history(folder))
    with writing(folder / PAGE):
        (folder / PAGE).write_text(page, encoding="utf-8")
    for name in PLOTS:
        plots.save(figure, folder / name)
    if len(result.data.get("objectives") or []) > 2 and result.data.get("values"):
        for kind, name in FURTHER.items():
            result.plot(folder / name, kind)


def _history(folder: Path) -> History | None:
    """What the archive adds; a result is shown also where the archive is damaged, or of another version."""
    try:
        return read_history(folder)
    except RunError:
        return None


def _write_pareto(path: Path, result: Result) -> None:
    """The archive's Pareto set, a candidate a line; lists and tables as JSON in their cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = [
            {k: json.dumps(v) if isinstance(v, (list, dict)) else v for k, v in row.items()}
            for row in result.pareto
        ]
        writer = csv.DictWriter(file, fieldnames=list(rows[0]) if rows else ["id"])
        writer.writeheader()
        writer.writerows(rows)
