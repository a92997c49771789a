"""Output of `edanas run --dry-run`: the settings and the estimated cost."""

from typing import Any

import typer

from edanas.core.config import to_toml
from edanas.core.durations import duration_text
from edanas.core.settings import Settings
from edanas.core.visible import visible


def show_estimate(estimate: dict[str, Any], settings: Settings) -> None:
    """Print the settings as TOML, then the estimate.

    Args:
        estimate: The values that `edanas.run.estimate.estimate` returned, by name.
        settings: The settings of the run.
    """
    typer.echo(visible(to_toml(settings), lines=True))
    for name, value in estimate.items():
        if name in ("settings", "remarks") or (name == "unknown" and value is None):
            continue
        typer.echo(visible(f"{name.replace('_', ' ')}: {_figure(name, value)}"))
    for remark in estimate["remarks"]:
        typer.echo(visible(remark))


def _figure(name: str, value: Any) -> str:
    """Return an estimated value as text: MACs in millions, seconds without decimals."""
    if value is None:
        return "unknown until the data is there"
    if "macs" in name:
        return f"{value / 1e6:,.2f}M"
    if "seconds" in name:
        return f"about {duration_text(value)}"
    return f"{value:,}" if isinstance(value, int) else str(value)
