"""Summaries of a table, as text or as a dictionary of JSON types."""

from dataclasses import asdict
from typing import Any

from edanas.tables.estimate_quality import FEWEST, Quality
from edanas.tables.reader import Table


def summary_dict(table: Table, quality: Quality | None) -> dict[str, Any]:
    """Return a summary as a dictionary of JSON types: the file, the description and the quality of estimates.

    Args:
        table: The table, opened from a file.
        quality: Errors of estimates for backbones outside the table; `None` = not measured.
    """
    return {
        "path": str(table.path),
        "sha256": table.digest,
        "bytes": table.path.stat().st_size,
        **table.description.to_dict(),
        "outside": None if quality is None else asdict(quality),
    }


def summary_text(table: Table, quality: Quality | None) -> str:
    """Return a summary as lines of text.

    Args:
        table: The table, opened from a file.
        quality: Errors of estimates for backbones outside the table; `None` = not measured.
    """
    about = table.description
    size = f"{len(table):,} of {about.space_size:,} backbones"
    lines = [
        f"Table: {table.path} ({table.path.stat().st_size / 1e6:.1f} MB, SHA-256 {table.digest})",
        f"Holds: {'all ' if about.exhaustive else ''}{size}; "
        + ", ".join(f"{count:,} {part} samples" for part, count in about.parts.items()),
    ]
    if about.failed:
        lines.append(f"Missing: {len(about.failed):,} backbones, which could not be profiled")
        lines.append(f"First error: {about.failed[0]['error']}")
    if quality is not None:
        lines.append(f"Backbones outside the table: {quality}")
    elif not about.exhaustive:
        lines.append(
            "Backbones outside the table: errors of estimates were not measured; a table needs "
            f"{FEWEST} or more backbones for this"
        )
    return "\n".join(lines)
