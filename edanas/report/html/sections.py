"""Text and tables of the page."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import tomli_w

from edanas.report.html.markup import named, table, text
from edanas.report.result import Result
from edanas.report.words import (
    CONVENTION,
    NONE,
    Row,
    headline,
    in_words,
    mega,
    percent,
    promising,
    relative_cost,
    rival,
    shares,
    thresholds,
)

READING = "Thresholds and utilization go by exit point, a dash where no exit stands."

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

PROMISES = (
    "network",
    "promised accuracy %",
    "kept accuracy %",
    "change, points",
    "promised executed MACs M",
    "kept executed MACs M",
    "change, %",
)


def data_name(settings: Mapping[str, Any]) -> str:
    """What the run was on: the data set's name, or the images' folder."""
    data = settings.get("data", "a run")
    if isinstance(data, Mapping):
        return str(data.get("path") or data.get("name") or "a run")
    return str(data)


def facts(result: Result) -> str:
    """One line on the run."""
    data = result.data
    found = [f"bundle {named(result.settings.get('plugin', NONE))}", f"seed {result.seed}"]
    if "evaluations" in data:
        failed = f", {text(data['failed'])} of them failed" if data.get("failed") else ""
        found.append(f"{text(data['evaluations'])} candidates{failed}")
    if data.get("stopped"):
        found.append(f"search ended: {named(str(data['stopped']).replace('_', ' '))}")
    if data.get("seconds"):
        found.append(f"{sum(data['seconds'].values()) / 60:.1f} minutes in all")
    if data.get("classes"):
        found.append(f"{len(data['classes'])} classes: {_shortened(data['classes'])}")
    return f'<p class="facts">{" · ".join(found)}</p>'


def _shortened(names: Sequence[object], most: int = 12) -> str:
    return ", ".join(map(named, names[:most])) + (", ..." if len(names) > most else "")


def conclusions(result: Result, front: Sequence[Row], single: Sequence[Row]) -> str:
    """What the test part said of the networks that the validation part speaks for."""
    chosen = headline(front)
    if not chosen:
        return "<p>The search found no early-exit network.</p>"
    lines = []
    for row in {id(row): row for row in (chosen["accurate"], chosen["cheap"])}.values():
        line = (
            f"<b>{percent(row['test_accuracy'])}%</b> test accuracy at <b>{mega(row['executed_macs'])}M</b> "
            f"executed MACs with {in_words(row['exits'])}: {percent(relative_cost(row), 0)}% of what its "
            f"backbone costs, which reaches {percent(row['backbone_test_accuracy'])}%."
        )
        beside = rival(row, single)
        if beside is None:
            line += " No single-exit network of the search is as cheap."
        else:
            line += (
                f" At no higher cost the best single-exit network of the search reaches "
                f"{percent(beside['test_accuracy'])}% ({mega(beside['executed_macs'])}M)."
            )
        lines.append(f"<li>{line}</li>")
    tested = (result.data.get("samples") or {}).get("test")
    looked = (
        f"{int(tested)} images that nothing was chosen by, looked at once" if tested else "Looked at once"
    )
    return f'<ul class="conclusions">{"".join(lines)}</ul><p class="note">{looked}.</p>'


def networks_table(caption: str, rows: Sequence[Row]) -> str:
    """All figures of finished networks."""
    if not rows:
        return "<p>None.</p>"
    return table(caption, HEADINGS, map(_cells, rows), "figures")


def promises(rows: Sequence[Row]) -> str:
    """What thresholds reached where they were set, and elsewhere; nothing where that is not known."""
    found = promising(rows)
    if not found:
        return ""
    name = "What thresholds promised and kept"
    cells = [
        [
            in_words(row["exits"]),
            percent(row["calibration_accuracy"]),
            percent(row["validation_accuracy"]),
            f"{100 * (row['validation_accuracy'] - row['calibration_accuracy']):+.1f}",
            mega(row["calibration_executed_macs"]),
            mega(row["validation_executed_macs"]),
            f"{100 * (row['validation_executed_macs'] / row['calibration_executed_macs'] - 1):+.1f}",
        ]
        for row in found
    ]
    return (
        f"<h3>{name}</h3>{table(name, PROMISES, cells, 'figures')}"
        '<p class="note">Thresholds were set on the calibration part: what they reach there they promise. '
        "The validation part, on which they were not set, says what they keep. Accuracy that is lost between "
        "the two is thresholds fitted too closely, as far as it is more than chance.</p>"
    )


def convention() -> str:
    """How MACs are counted, and how the tables are read."""
    return f'<p class="note">{text(f"{CONVENTION} {READING}")}</p>'


def _cells(row: Row) -> list[str]:
    interval = row.get("test_ci")
    values = (
        row["exits"],
        percent(row["test_accuracy"]),
        f"{percent(interval[0])} to {percent(interval[1])}" if interval else NONE,
        percent(row["validation_accuracy"]),
        mega(row["ada_macs"]),
        mega(row["executed_macs"]),
        percent(relative_cost(row), 0),
        percent(row["backbone_test_accuracy"]),
        mega(row["backbone_macs"]),
        f"{row['params']:,}",
        thresholds(row),
        shares(row),
    )
    model = row.get("model")
    link = f'<a href="{text(quote(str(model)))}">file</a>' if model else NONE
    return [*map(text, values), link]


def remarks(data: Mapping[str, Any]) -> str:
    """What was done to the images, and how long each part took."""
    lines = [str(remark) for remark in data.get("remarks") or ()]
    lines += [f"{part}: {seconds:.0f} s" for part, seconds in (data.get("seconds") or {}).items()]
    if not lines:
        return ""
    return f"<h2>Remarks</h2><ul>{''.join(f'<li>{named(line)}</li>' for line in lines)}</ul>"


def settings(values: Mapping[str, Any]) -> str:
    """All settings, as a file that repeats the run."""
    return (
        "<p>These repeat the run, saved in a file: <code>edanas run --config FILE.toml</code>. "
        '<button type="button" id="copy" hidden>Copy</button> <span id="copied" role="status"></span></p>'
        f'<pre id="settings" tabindex="0" aria-label="Settings as TOML">{text(_toml(values))}</pre>'
    )


def _toml(values: Mapping[str, Any]) -> str:
    try:
        return tomli_w.dumps(values)
    except TypeError:
        # A null, which TOML cannot hold: another program wrote this result.
        return json.dumps(values, indent=2)
