"""A run as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

Whatever a user or a data set may have named goes through `escape`; the style sheet follows the reader's
choice of light or dark, and tables scroll within themselves on a narrow screen.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import tomli_w

from edanas.report.result import Result
from edanas.report.style import STYLE
from edanas.report.words import (
    CONVENTION,
    NONE,
    Row,
    headline,
    in_words,
    mega,
    percent,
    relative_cost,
    rival,
    shares,
    thresholds,
)

PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""

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


def render(result: Result, plot_svg: str) -> str:
    """The page.

    Args:
        result: A finished run.
        plot_svg: An `<svg>` element, as `plots.inline_svg` makes it; taken as it is.
    """
    front = sorted(result.front, key=lambda row: int(row["exits"]))
    single = sorted(result.static_front, key=lambda row: float(row["executed_macs"]))
    title = f"edanas: {_data_name(result.settings)}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _facts(result),
        *_conclusions(front, single),
        f'<figure class="wide" role="img" aria-label="Accuracy against executed MACs">{plot_svg}</figure>',
        "<h2>Early-exit networks</h2>",
        _table(front),
        "<h2>Where images leave</h2>",
        *(_bar(row) for row in front),
        "<h2>Single-exit networks of the same search</h2>",
        _table(single),
        f"<p class=note>{escape(f'{CONVENTION} {READING}')}</p>",
        *_remarks(result.data),
        "<h2>Settings</h2>",
        "<p>These repeat the run, saved in a file: <code>edanas run --config FILE.toml</code>.</p>",
        f"<pre>{escape(_toml(result.settings))}</pre>",
    ]
    return PAGE.format(title=escape(title), style=STYLE, body="\n".join(parts))


def _data_name(settings: Mapping[str, Any]) -> str:
    data = settings.get("data", "a run")
    if isinstance(data, Mapping):
        return str(data.get("path") or data.get("name") or "a run")
    return str(data)


def _facts(result: Result) -> str:
    """One line on the run."""
    data = result.data
    facts = [f"bundle {result.settings.get('plugin', NONE)}", f"seed {result.seed}"]
    if "evaluations" in data:
        failed = f", {data['failed']} of them failed" if data.get("failed") else ""
        facts.append(f"{data['evaluations']} candidates{failed}")
    if data.get("stopped"):
        facts.append(f"search ended: {str(data['stopped']).replace('_', ' ')}")
    if data.get("seconds"):
        facts.append(f"{sum(data['seconds'].values()) / 60:.1f} minutes in all")
    if data.get("classes"):
        facts.append(f"{len(data['classes'])} classes: {_shortened(data['classes'])}")
    return f"<p class=facts>{' · '.join(escape(str(fact)) for fact in facts)}</p>"


def _shortened(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


def _conclusions(front: Sequence[Row], single: Sequence[Row]) -> list[str]:
    chosen = headline(front)
    if not chosen:
        return ["<p>The search found no early-exit network.</p>"]
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
    return ["<ul>", *lines, "</ul>"]


def _table(rows: Sequence[Row]) -> str:
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th scope=col>{escape(each)}</th>" for each in HEADINGS)
    body = "\n".join("<tr>" + "".join(_cells(row)) + "</tr>" for row in rows)
    return (
        '<div class="wide"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _cells(row: Row) -> Iterable[str]:
    interval = row.get("test_ci")
    values = [
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
    ]
    yield from (f"<td>{escape(str(value))}</td>" for value in values)
    model = row.get("model")
    yield f'<td><a href="{quote(str(model))}">file</a></td>' if model else f"<td>{NONE}</td>"


def _bar(row: Row) -> str:
    """How many images leave at each exit, as a bar; beside it each exit's accuracy on those."""
    accuracies = row.get("exit_accuracy") or [None] * len(row["utilization"])
    last = len(row["utilization"]) - 1
    pieces, notes = [], []
    for number, (share, accuracy) in enumerate(zip(row["utilization"], accuracies, strict=False)):
        if number < last and row["thresholds"][number] is None:
            continue
        name = "last exit" if number == last else f"exit {number + 1}"
        kind = "last" if number == last else f"e{number % 4}"
        text = f"{percent(share, 0)}%" if share >= 0.06 else ""
        if share > 0:
            style = f"width:{100 * share:.2f}%"
            pieces.append(f'<span class="{kind}" style="{style}" title="{name}">{text}</span>')
        reached = "" if accuracy is None else f", {percent(accuracy)}% right"
        notes.append(f'<span class="key {kind}"></span>{name}: {percent(share)}%{reached}')
    caption = f"{in_words(row['exits'])}: {percent(row['test_accuracy'])}% at {mega(row['executed_macs'])}M"
    return (
        f"<div class=leave><p>{caption}</p><div class=bar>{''.join(pieces)}</div>"
        f"<p class=note>{' &nbsp; '.join(notes)}</p></div>"
    )


def _remarks(data: Mapping[str, Any]) -> list[str]:
    lines = [str(remark) for remark in data.get("remarks") or ()]
    lines += [f"{part}: {seconds:.0f} s" for part, seconds in (data.get("seconds") or {}).items()]
    if not lines:
        return []
    return ["<h2>Remarks</h2>", "<ul>", *(f"<li>{escape(line)}</li>" for line in lines), "</ul>"]


def _toml(settings: Mapping[str, Any]) -> str:
    try:
        return tomli_w.dumps(settings)
    except TypeError:
        # A null, which TOML cannot hold: another program wrote this result.
        return json.dumps(settings, indent=2)
