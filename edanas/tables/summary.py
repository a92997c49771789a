"""Summaries of a table, as text or in JSON's types."""

from dataclasses import asdict
from typing import Any

from edanas.tables.estimate_quality import FEWEST, Quality
from edanas.tables.reader import Table


def summary_dict(table: Table, quality: Quality | None) -> dict[str, Any]:
    """Return the summary in JSON's types: file, description, and the quality of estimates."""
    return {
        "path": str(table.path),
        "sha256": table.digest,
        "bytes": table.path.stat().st_size,
        **table.description.to_dict(),
        "outside": None if quality is None else asdict(quality),
    }


def summary_text(table: Table, quality: Quality | None) -> str:
    """Return the summary as text."""
    about = table.description
    size = f"{len(table):,} of {about.space_size:,} backbones"
    lines = [
        f"Table: {table.path} ({table.path.stat().st_size / 1e6:.1f} MB, SHA-256 {table.digest})",
        f"Holds: {'all ' if about.exhaustive else ''}{size}; "
        + ", ".join(f"{count:,} {part} samples" for part, count in about.parts.items()),
    ]
    if about.failed:
        lines.append(f"Left out, since they could not be profiled: {len(about.failed):,} backbones")
        lines.append(f"The first error: {about.failed[0]['error']}")
    if quality is not None:
        lines.append(f"Outside: {quality}")
    elif not about.exhaustive:
        lines.append(f"Outside: not measured, with fewer than {FEWEST} backbones")
    return "\n".join(lines)
