"""Texts and tables of the HTML page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edanas.core.result_row import ResultRow
from edanas.report.choice import calibrated, dominated_note, dominating, highlights
from edanas.report.formatting import (
    CONVENTION,
    NONE,
    exit_thresholds,
    exits_text,
    mega,
    percent,
    thresholds_text,
    utilization_text,
)
from edanas.report.html.markup import named, table, text
from edanas.report.plain import NOTE, verdict
from edanas.report.result import Result
from edanas.report.rivals import backbone_accuracy_text, comparison_text
from edanas.report.tables import COLUMNS, NO_EARLY_EXIT, plain_cells

READING = (
    "Thresholds and utilization have one entry for each exit point of the network, with a dash for no exit. "
    f"The last entry of the utilization is for the last exit. {COLUMNS}"
)
"""Explanation of two columns, for the note below the tables."""

HEADINGS = (
    "early exits",
    "test accuracy %",
    "95% interval",
    "validation accuracy %",
    "ADA_MACS M",
    "executed MACs M",
    "% of backb.",
    "% of single",
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
    "change, percentage points",
    "calibration executed MACs M",
    "validation executed MACs M",
    "change, %",
)


PLAIN = (
    "network",
    "test accuracy %",
    "95% interval",
    "validation accuracy %",
    "MACs M",
    "parameters",
    "as accurate of the search",
    "weights",
)


def data_name(settings: Mapping[str, Any]) -> str:
    """Return the name of the run's data set, or the last component of the path of its images."""
    data = settings.get("data", "a run")
    if isinstance(data, Mapping):
        data = data.get("path") or data.get("name") or "a run"
    return Path(str(data)).name or str(data)


def facts(result: Result) -> str:
    """Return one line on the run: bundle, seed, number of candidates, end of the search, time, classes."""
    data = result.data
    entries = [f"bundle {named(result.settings.get('plugin', NONE))}", f"seed {result.seed}"]
    if "evaluations" in data:
        failed = f", {text(data['failed'])} of them failed" if data.get("failed") else ""
        noun = "candidate" if data["evaluations"] == 1 else "candidates"
        entries.append(f"{text(data['evaluations'])} {noun}{failed}")
    if data.get("stopped"):
        entries.append(f"search ended: {named(str(data['stopped']).replace('_', ' '))}")
    if data.get("seconds"):
        entries.append(f"duration: {sum(data['seconds'].values()) / 60:.1f} minutes")
    if data.get("classes"):
        entries.append(f"{len(data['classes'])} classes: {_shortened(data['classes'])}")
    return f'<p class="facts">{" · ".join(entries)}</p>'


def _shortened(names: Sequence[object], most: int = 12) -> str:
    """Return the first `most` names, separated by commas."""
    return ", ".join(map(named, names[:most])) + (", ..." if len(names) > most else "")


def conclusions(result: Result, early: Sequence[ResultRow], single: Sequence[ResultRow]) -> str:
    """Return the test accuracy and cost of two early-exit networks: the most accurate and the cheapest.

    The two networks are chosen on the validation part; see `highlights`.

    Args:
        result: The result of the run.
        early: The early-exit networks.
        single: The single-exit networks, to compare with.
    """
    chosen = highlights(early)
    if not chosen:
        return f"<p>{NO_EARLY_EXIT if single else 'The search found no early-exit network.'}</p>"
    rows = {row.id: row for row in (chosen["accurate"], chosen["cheap"])}.values()
    lines = "".join(f"<li>{_conclusion(row, single)}</li>" for row in rows)
    samples = (result.data.get("samples") or {}).get("test")
    tested = "Tested once" + (f", on {int(samples)} samples that were used for no choice" if samples else "")
    outcome = verdict(result.plain, (*early, *single))
    lines += f"<li>{text(outcome)}</li>" if outcome else ""
    return f'<ul class="conclusions">{lines}</ul><p class="note">{tested}.</p>'


def _conclusion(row: ResultRow, singles: Sequence[ResultRow]) -> str:
    """Return sentences on an early-exit network and the best single-exit network with its accuracy."""
    return (
        f"<b>{percent(row.test_accuracy)}%</b> test accuracy at <b>{mega(row.executed_macs)}M</b> "
        f"executed MACs with {exits_text(row.exits)}: {percent(row.relative_cost, 0)}% of the cost of its "
        f"backbone, which reaches {percent(row.backbone_test_accuracy)}%. "
        f"{text(comparison_text(row, singles))}"
    )


def networks_table(caption: str, rows: Sequence[ResultRow]) -> str:
    """Return a table of finished networks with accuracies, costs and thresholds.

    Args:
        caption: Description of the table for screen readers.
        rows: The networks.
    """
    if not rows:
        return "<p>None.</p>"
    dominated = dominating([row for row in rows if row.exits])
    cells = (_cells(row, is_dominated=row.id in dominated) for row in rows)
    note = dominated_note([row for row in rows if row.exits])
    lines = f'<p class="note">{text(note)}</p>' if note else ""
    return table(caption, HEADINGS, cells, "figures") + lines


def plain(result: Result) -> str:
    """Return a table of the plain networks, with the cheapest searched network as accurate as each of them.

    The result is empty if the run trained no plain network.
    """
    if not result.plain:
        return ""
    rows = [
        [
            text(row.id),
            percent(row.test_accuracy),
            _interval(row),
            percent(row.validation_accuracy),
            mega(row.executed_macs),
            f"{row.params:,}",
            text(cells[7]),
            _link(row),
        ]
        for row, cells in zip(result.plain, plain_cells(result), strict=True)
    ]
    name = "Plain networks"
    return f'<h3>{name}</h3>{table(name, PLAIN, rows, "figures")}<p class="note">{text(NOTE)}</p>'


def calibration(rows: Sequence[ResultRow]) -> str:
    """Return a table of accuracy and cost on the calibration part and on the validation part.

    The result is empty if no thresholds were set on the calibration part.
    """
    known = calibrated(rows)
    if not known:
        return ""
    name = "Generalisation gap of the thresholds"
    return (
        f"<h3>{name}</h3>{table(name, CALIBRATION, map(_gap_cells, known), 'figures')}"
        '<p class="note">Thresholds were set on the calibration part. If the accuracy on the validation part '
        "is lower by more than chance, the thresholds are overfitted.</p>"
    )


def _gap_cells(row: ResultRow) -> list[str]:
    """Return the cells of a network's line, one for each of `CALIBRATION`."""
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
    """Return a note that defines MACs and explains the columns of the tables."""
    return f'<p class="note">{text(f"{CONVENTION} {READING}")}</p>'


def _cells(row: ResultRow, *, is_dominated: bool) -> list[str]:
    """Return the cells of a network's line, one for each of `HEADINGS`; dominated networks have a `*`."""
    values = (
        f"{row.exits}{'*' * is_dominated}",
        percent(row.test_accuracy),
        _interval(row),
        percent(row.validation_accuracy),
        mega(row.ada_macs),
        mega(row.executed_macs),
        percent(row.relative_cost, 0),
        percent(row.rival_cost, 0) if row.is_cheaper or not row.exits else "no gain",
        backbone_accuracy_text(row),
        mega(row.backbone_macs),
        f"{row.params:,}",
        thresholds_text(exit_thresholds(row)),
        utilization_text(row),
    )
    return [*map(text, values), _link(row)]


def _interval(row: ResultRow) -> str:
    """Return the 95% interval of the test accuracy in percent, or a dash if it is not known."""
    return f"{percent(row.test_ci[0])} to {percent(row.test_ci[1])}" if row.test_ci else NONE


def _link(row: ResultRow) -> str:
    """Return a link to the network's file, or a dash if there is none."""
    return f'<a href="{text(quote(str(row.model)))}">file</a>' if row.model else NONE


def remarks(data: Mapping[str, Any]) -> str:
    """Return the remarks on the data, and the duration of each part of the run in seconds."""
    lines = [str(remark) for remark in data.get("remarks") or ()]
    lines += [f"{part}: {seconds:.0f} s" for part, seconds in (data.get("seconds") or {}).items()]
    if not lines:
        return ""
    return f"<h2>Remarks</h2><ul>{''.join(f'<li>{named(line)}</li>' for line in lines)}</ul>"


def settings(values: Mapping[str, Any]) -> str:
    """Return all settings as a TOML file, which repeats the run."""
    return (
        "<p>To repeat the run, save these settings to a file: <code>edanas run --config FILE.toml</code>. "
        '<button type="button" id="copy" hidden>Copy</button> <span id="copied" role="status"></span></p>'
        f'<pre id="settings" tabindex="0" aria-label="Settings as TOML">{text(_toml(values))}</pre>'
    )


def _toml(values: Mapping[str, Any]) -> str:
    """Return the settings as TOML, or as JSON if they contain `null`."""
    import tomli_w

    try:
        return tomli_w.dumps(values)
    except TypeError:
        # TOML has no null, but the result of another program may contain it.
        return json.dumps(values, indent=2)
