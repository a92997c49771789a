"""Texts and tables of the page."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from edanas.core.result_row import ResultRow
from edanas.report.choice import calibrated, highlights, rival
from edanas.report.formatting import (
    CONVENTION,
    NONE,
    exits_text,
    mega,
    percent,
    thresholds_text,
    utilization_text,
)
from edanas.report.html.markup import named, table, text
from edanas.report.result import Result

READING = "Thresholds and utilization stand by exit point, with a dash for no exit."

HEADINGS = (
    "early exits",
    "test accuracy %",
    "95% interval",
    "validation accuracy %",
    "ADA_MACS M",
    "executed MACs M",
    "% of backbone",
    "backbone accuracy %",
    "backbone MACs M",
    "parameters",
    "thresholds",
    "utilization %",
    "weights",
)

CALIBRATION = (
    "network",
    "calibration accuracy %",
    "validation accuracy %",
    "change, points",
    "calibration executed MACs M",
    "validation executed MACs M",
    "change, %",
)


def data_name(settings: Mapping[str, Any]) -> str:
    """Return the name of the run's data set, or the images' folder."""
    data = settings.get("data", "a run")
    if isinstance(data, Mapping):
        return str(data.get("path") or data.get("name") or "a run")
    return str(data)


def facts(result: Result) -> str:
    """Return one line with the run's main facts."""
    data = result.data
    entries = [f"bundle {named(result.settings.get('plugin', NONE))}", f"seed {result.seed}"]
    if "evaluations" in data:
        failed = f", {text(data['failed'])} of them failed" if data.get("failed") else ""
        entries.append(f"{text(data['evaluations'])} candidates{failed}")
    if data.get("stopped"):
        entries.append(f"search ended: {named(str(data['stopped']).replace('_', ' '))}")
    if data.get("seconds"):
        entries.append(f"{sum(data['seconds'].values()) / 60:.1f} minutes in all")
    if data.get("classes"):
        entries.append(f"{len(data['classes'])} classes: {_shortened(data['classes'])}")
    return f'<p class="facts">{" · ".join(entries)}</p>'


def _shortened(names: Sequence[object], most: int = 12) -> str:
    return ", ".join(map(named, names[:most])) + (", ..." if len(names) > most else "")


def conclusions(result: Result, early: Sequence[ResultRow], single: Sequence[ResultRow]) -> str:
    """Return the test figures of the most accurate and the cheapest network, by the validation part."""
    chosen = highlights(early)
    if not chosen:
        return "<p>The search found no early-exit network.</p>"
    rows = {row.id: row for row in (chosen["accurate"], chosen["cheap"])}.values()
    lines = "".join(f"<li>{_conclusion(row, rival(row, single))}</li>" for row in rows)
    images = (result.data.get("samples") or {}).get("test")
    tested = "Tested once" + (f", on {int(images)} images that no choice was based on" if images else "")
    return f'<ul class="conclusions">{lines}</ul><p class="note">{tested}.</p>'


def _conclusion(row: ResultRow, single: ResultRow | None) -> str:
    line = (
        f"<b>{percent(row.test_accuracy)}%</b> test accuracy at <b>{mega(row.executed_macs)}M</b> "
        f"executed MACs with {exits_text(row.exits)}: {percent(row.relative_cost, 0)}% of what its "
        f"backbone costs, which reaches {percent(row.backbone_test_accuracy)}%."
    )
    if single is None:
        return f"{line} No single-exit network of the search is as cheap."
    return (
        f"{line} At no higher cost the best single-exit network of the search reaches "
        f"{percent(single.test_accuracy)}% ({mega(single.executed_macs)}M)."
    )


def networks_table(caption: str, rows: Sequence[ResultRow]) -> str:
    """Return a table with all figures of finished networks."""
    if not rows:
        return "<p>None.</p>"
    return table(caption, HEADINGS, map(_cells, rows), "figures")


def calibration(rows: Sequence[ResultRow]) -> str:
    """Return a table of the thresholds' figures on the calibration part and on the validation part."""
    known = calibrated(rows)
    if not known:
        return ""
    name = "Generalisation gap of the thresholds"
    return (
        f"<h3>{name}</h3>{table(name, CALIBRATION, map(_gap_cells, known), 'figures')}"
        '<p class="note">Thresholds were set on the calibration part, and not on the validation part. A loss '
        "of accuracy between the two beyond chance means that the thresholds are overfitted.</p>"
    )


def _gap_cells(row: ResultRow) -> list[str]:
    before, after = row.calibration_accuracy or 0.0, row.validation_accuracy
    macs_before, macs_after = row.calibration_executed_macs or 0.0, row.macs_for_choice
    return [
        exits_text(row.exits),
        percent(before),
        percent(after),
        f"{100 * (after - before):+.1f}",
        mega(macs_before),
        mega(macs_after),
        f"{100 * (macs_after / macs_before - 1):+.1f}",
    ]


def convention() -> str:
    """Return the definition of MACs, and how to read the tables."""
    return f'<p class="note">{text(f"{CONVENTION} {READING}")}</p>'


def _cells(row: ResultRow) -> list[str]:
    values = (
        row.exits,
        percent(row.test_accuracy),
        f"{percent(row.test_ci[0])} to {percent(row.test_ci[1])}" if row.test_ci else NONE,
        percent(row.validation_accuracy),
        mega(row.ada_macs),
        mega(row.executed_macs),
        percent(row.relative_cost, 0),
        percent(row.backbone_test_accuracy),
        mega(row.backbone_macs),
        f"{row.params:,}",
        thresholds_text(row.thresholds),
        utilization_text(row),
    )
    link = f'<a href="{text(quote(str(row.model)))}">file</a>' if row.model else NONE
    return [*map(text, values), link]


def remarks(data: Mapping[str, Any]) -> str:
    """Return the remarks on the data, and the seconds of each part of the run."""
    lines = [str(remark) for remark in data.get("remarks") or ()]
    lines += [f"{part}: {seconds:.0f} s" for part, seconds in (data.get("seconds") or {}).items()]
    if not lines:
        return ""
    return f"<h2>Remarks</h2><ul>{''.join(f'<li>{named(line)}</li>' for line in lines)}</ul>"


def settings(values: Mapping[str, Any]) -> str:
    """Return all settings, as a file that repeats the run."""
    return (
        "<p>Saved in a file, these settings repeat the run: <code>edanas run --config FILE.toml</code>. "
        '<button type="button" id="copy" hidden>Copy</button> <span id="copied" role="status"></span></p>'
        f'<pre id="settings" tabindex="0" aria-label="Settings as TOML">{text(_toml(values))}</pre>'
    )


def _toml(values: Mapping[str, Any]) -> str:
    import tomli_w

    try:
        return tomli_w.dumps(values)
    except TypeError:
        # TOML has no null, which a result of another program may hold.
        return json.dumps(values, indent=2)
