"""`edanas plugins`: what is installed, who owns it, and what is broken."""

import json
import sys
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edanas.core.hookspecs import SPEC_VERSION
from edanas.plugins.manager import PluginHost, load_plugins
from edanas.plugins.registry import catalog

_LOG_WIDTH = 160
"""Columns where there is no terminal to ask."""


def plugins(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every extension by kind, name, owner and version, then the plugins that are broken and why."""
    found = survey(load_plugins())
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console = Console() if sys.stdout.isatty() else Console(width=_LOG_WIDTH)
    columns = {"kind": "Kind", "name": "Name", "owner": "Owner", "version": "Version", "doc": "What it is"}
    console.print(_table(found["entries"], **columns))
    if found["broken"]:
        title = f"{len(found['broken'])} broken"
        columns = {"name": "Plugin", "owner": "Owner", "version": "Version", "cause": "Cause"}
        console.print(_table(found["broken"], title, **columns))
    for conflict in found["conflicts"]:
        console.print(f"Conflict: {conflict['message']}", markup=False, highlight=False, soft_wrap=True)


def survey(host: PluginHost) -> dict[str, Any]:
    """What `host` has, as plain values: entries, broken plugins, and names that two plugins claim."""
    offers = catalog(host)
    return {
        "spec_version": SPEC_VERSION,
        "entries": [
            {
                "kind": entry.kind,
                "name": entry.name,
                "owner": entry.owner,
                "version": entry.version,
                "doc": entry.doc,
                "plugin": entry.plugin.name,
            }
            for entry in offers.entries
        ],
        "broken": [
            {
                "name": broken.plugin.name,
                "owner": broken.plugin.owner,
                "version": broken.plugin.version,
                "cause": broken.cause,
            }
            for broken in host.broken
        ],
        "conflicts": [
            {
                "kind": conflict.first.kind,
                "name": conflict.first.name,
                "owners": [conflict.first.owner, conflict.second.owner],
                "message": conflict.message(host),
            }
            for conflict in offers.conflicts
        ],
    }


def _table(rows: list[dict[str, str]], title: str | None = None, **columns: str) -> Table:
    table = Table(*columns.values(), title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(escape(row[key]) for key in columns))
    return table
