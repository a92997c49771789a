"""How the search went: hypervolume and surrogates by iteration, failures."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from edanas.report.history import Quality, Step, qualities
from edanas.report.html.charts import Chart, Point, spread
from edanas.report.html.markup import named, table, text

_IDS = 12
"""Names of candidates listed for one reason to fail."""
_LONG = 300
"""Characters of a reason that are shown."""


def hypervolume(values: Sequence[float], steps: Sequence[Step]) -> str:
    """The hypervolume's growth, as a chart."""
    if not values:
        return ""
    evaluated = {step.iteration: step.evaluated for step in steps}
    chart = Chart(
        (0, max(len(values) - 1, 1)),
        spread(min(values), max(values)),
        "iteration",
        "hypervolume",
        whole=True,
        height=300,
    )
    points = list(enumerate(values))
    marks = [chart.line(points, "plain")]
    for at, value in points:
        known = f", {evaluated[at]} candidates so far" if at in evaluated else ""
        marks.append(
            chart.point(Point(at, value, f"iteration {at}: hypervolume {value:.4f}{known}", "plain"))
        )
    label = f"Hypervolume by iteration, from {values[0]:.3f} to {values[-1]:.3f}."
    return (
        "<h3>Hypervolume</h3>"
        '<p class="note">The share of the objectives\' box that the candidates dominate: the search is worth '
        "going on while it grows. Iteration 0 is the initial archive.</p>"
        f"{chart.draw('hypervolume', label, marks)}{_told('hypervolume')}"
    )


def _told(name: str) -> str:
    return f'<p id="{name}-told" class="told" aria-live="polite"></p>'


def surrogates(steps: Sequence[Step], objectives: Sequence[str]) -> str:
    """The surrogates' quality by iteration, as a chart and in words; nothing where none was noted."""
    found = qualities(steps)
    if not found:
        return ""
    low = min(0.0, *(each.tau for each in found))
    first, last = found[0].iteration, found[-1].iteration
    chart = Chart((first, last), (low, 1.0), "iteration", "Kendall's tau", whole=True, height=300)
    by_objective: dict[int, list[Quality]] = defaultdict(list)
    for each in found:
        by_objective[each.objective].append(each)
    marks, keys, rows = [], [], []
    for number, line in sorted(by_objective.items()):
        kind, name = f"o{number % 4}", _objective(objectives, number)
        marks.append(chart.line([(each.iteration, each.tau) for each in line], kind))
        for each in line:
            title = f"iteration {each.iteration}, {name}: {each.surrogate}, tau {each.tau:.2f}"
            marks.append(chart.point(Point(each.iteration, each.tau, title, kind)))
            rows.append([text(each.iteration), named(name), named(each.surrogate), f"{each.tau:.2f}"])
        keys.append(f'<span class="key {kind}"></span>{named(name)}')
    label = "Kendall's tau of the surrogates by iteration, one line for each objective."
    detail = table("Surrogates by iteration", ("iteration", "objective", "surrogate", "tau"), rows)
    return (
        "<h3>Surrogates</h3>"
        '<p class="note">How well the surrogate of each objective ranks candidates that it was not fitted '
        "to: 1 = in the right order, 0 = by chance.</p>"
        f'<p class="legend">{" · ".join(keys)}</p>'
        f"{chart.draw('surrogates', label, marks)}{_told('surrogates')}"
        f"<details><summary>Which surrogate was used when</summary>{detail}</details>"
    )


def _objective(objectives: Sequence[str], number: int) -> str:
    return str(objectives[number]) if number < len(objectives) else f"objective {number + 1}"


def failures(found: Sequence[Mapping[str, Any]]) -> str:
    """What failed, by reason, the most frequent first."""
    if not found:
        return "<p>None: every candidate could be evaluated, and every network finished.</p>"
    reasons: dict[str, list[str]] = defaultdict(list)
    for each in found:
        reasons[str(each.get("error"))].append(str(each.get("id")))
    rows = []
    for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1])):
        shown = reason if len(reason) <= _LONG else f"{reason[:_LONG]}…"
        more = f" and {len(names) - _IDS} more" if len(names) > _IDS else ""
        rows.append([str(len(names)), named(shown), f"{', '.join(map(text, names[:_IDS]))}{more}"])
    return table("Failures by reason", ("candidates", "reason", "which"), rows, "failures")
