"""Output of `edanas plugins`: tables of extensions and of broken plugins."""

from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from edanas.cli.views.output import output_console, print_line
from edanas.core.visible import visible

_WIDTH = 160


def show_plugins(state: dict[str, Any]) -> None:
    """Print the extensions, broken plugins and conflicts that `edanas.cli.plugins.survey` returned."""
    console = output_console(_WIDTH)
    columns = {"kind": "Kind", "name": "Name", "owner": "Owner", "version": "Version", "doc": "Description"}
    console.print(_table(state["entries"], **columns))
    if state["broken"]:
        title = f"{len(state['broken'])} broken plugin{'s' * (len(state['broken']) > 1)}"
        columns = {"name": "Plugin", "owner": "Owner", "version": "Version", "cause": "Cause"}
        console.print(_table(state["broken"], title, **columns))
    for conflict in state["conflicts"]:
        print_line(console, f"Conflict: {conflict['message']}")


def _table(rows: list[dict[str, str]], title: str | None = None, **columns: str) -> Table:
    table = Table(*columns.values(), title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(escape(visible(row[key])) for key in columns))
    return table
