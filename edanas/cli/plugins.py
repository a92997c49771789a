"""`edanas plugins`: installed extensions, their owners, and broken plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edanas.plugins.manager import PluginHost


def plugins(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the list as JSON instead of tables.")
    ] = False,
) -> None:
    """List all extensions with kind, name, owner and version, then all broken plugins with the cause."""
    from edanas.plugins.manager import load_plugins

    state = survey(load_plugins())
    if as_json:
        import json

        typer.echo(json.dumps(state, indent=2))
    else:
        from edanas.cli.views.plugins import show_plugins

        show_plugins(state)


def survey(host: PluginHost) -> dict[str, Any]:
    """Return the extensions, the broken plugins and the name conflicts in `host` as a JSON object."""
    from edanas.core.hookspecs import SPEC_VERSION
    from edanas.plugins.registry import catalog

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
