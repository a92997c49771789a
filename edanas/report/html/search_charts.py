"""Charts of hypervolume and surrogates by iteration, and tables of important choices and of failures."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from edanas.report.history import Step, SurrogateQuality, qualities
from edanas.report.html.charts import Chart, Point, spread
from edanas.report.html.markup import named, table, text
from edanas.report.importance import NOTE, Importance, most_important

_IDS = 12
"""Maximum number of candidates that are listed for one reason of failure."""
_GENES = 12
"""Maximum number of choices in the table of importances."""
_LONG = 300
"""Maximum length of a reason, in characters."""


def hypervolume_chart(values: Sequence[float], steps: Sequence[Step]) -> str:
    """Return a chart of the hypervolume by iteration; empty without values.

    Args:
        values: The hypervolume after the initial archive and after each iteration, in [0, 1].
        steps: The iterations; their numbers of evaluated candidates are shown in the descriptions of the
            points.
    """
    if not values:
        return ""
    evaluated = {step.iteration: step.evaluated for step in steps}
    x, y = (0, max(len(values) - 1, 1)), spread(min(values), max(values))
    chart = Chart(x, y, "iteration", "hypervolume", whole=True, height=300)
    points = list(enumerate(values))
    marks = [chart.line(points, "plain")]
    for number, value in points:
        count = f", {evaluated[number]} candidates so far" if number in evaluated else ""
        title = f"iteration {number}: hypervolume {value:.4f}{count}"
        marks.append(chart.point(Point(number, value, title, "plain")))
    label = f"Hypervolume by iteration, from {values[0]:.3f} to {values[-1]:.3f}."
    return (
        "<h3>Hypervolume</h3>"
        '<p class="note">The hypervolume is the share of the objective space that the candidates dominate. '
        "While it grows, further iterations are worthwhile. Iteration 0 is the initial archive.</p>"
        f"{chart.draw('hypervolume', label, marks)}{_description('hypervolume')}"
    )


def _description(name: str) -> str:
    return f'<p id="{name}-description" class="description" aria-live="polite"></p>'


def surrogates(steps: Sequence[Step], objectives: Sequence[str]) -> str:
    """Return a chart and a table of the surrogates' quality by iteration.

    Args:
        steps: The iterations, whose notes hold the qualities.
        objectives: Names of the objectives.

    Returns:
        HTML; empty if the notes hold no qualities.
    """
    every = qualities(steps)
    if not every:
        return ""
    low = min(0.0, *(quality.tau for quality in every))
    first, last = every[0].iteration, every[-1].iteration
    chart = Chart((first, last), (low, 1.0), "iteration", "Kendall's tau", whole=True, height=300)
    by_objective: dict[int, list[SurrogateQuality]] = defaultdict(list)
    for quality in every:
        by_objective[quality.objective].append(quality)
    marks, keys, rows = [], [], []
    for number, line in sorted(by_objective.items()):
        kind = f"o{number % 4}"
        name = str(objectives[number]) if number < len(objectives) else f"objective {number + 1}"
        marks.append(chart.line([(quality.iteration, quality.tau) for quality in line], kind))
        for quality in line:
            iteration, tau = quality.iteration, quality.tau
            title = f"iteration {iteration}, {name}: {quality.surrogate}, tau {tau:.2f}"
            marks.append(chart.point(Point(iteration, tau, title, kind)))
            rows.append([text(iteration), named(name), named(quality.surrogate), f"{tau:.2f}"])
        keys.append(f'<span class="key {kind}"></span>{named(name)}')
    label = "Kendall's tau of the surrogates by iteration, one line for each objective."
    detail = table("Surrogates by iteration", ("iteration", "objective", "surrogate", "tau"), rows)
    return (
        "<h3>Surrogates</h3>"
        '<p class="note">Rank correlation (Kendall&#x27;s tau) of predicted and measured objective values, '
        "on candidates that the surrogate was not fitted to: 1 = the same order, 0 = chance.</p>"
        f'<p class="legend">{" · ".join(keys)}</p>'
        f"{chart.draw('surrogates', label, marks)}{_description('surrogates')}"
        f"<details><summary>Surrogates in use, by iteration</summary>{detail}</details>"
    )


def importance(importances: Sequence[Importance]) -> str:
    """Return a table of the most important choices, one column for each objective; empty without any."""
    if not importances:
        return ""
    heads = ["choice", *(f"{each.objective} (tau {each.tau:.2f})" for each in importances)]
    rows = [
        [named(name), *(f"{each.genes.get(name, 0.0):.2f}" for each in importances)]
        for name in most_important(importances, _GENES)
    ]
    return (
        f"<h3>Importance of the choices</h3>{table('Importance of the choices', heads, rows, 'figures')}"
        f'<p class="note">{text(NOTE)}</p>'
    )


def failures(failed: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of the failures by reason, the most frequent reason first.

    Args:
        failed: A dictionary with `id` and `error` for each failed candidate or network.
    """
    if not failed:
        return "<p>None: every candidate could be evaluated, and every network finished.</p>"
    reasons: dict[str, list[str]] = defaultdict(list)
    for failure in failed:
        reasons[str(failure.get("error"))].append(str(failure.get("id")))
    rows = []
    for reason, ids in sorted(reasons.items(), key=lambda item: -len(item[1])):
        start = reason if len(reason) <= _LONG else f"{reason[:_LONG]}…"
        more = f" and {len(ids) - _IDS} more" if len(ids) > _IDS else ""
        rows.append([str(len(ids)), named(start), f"{', '.join(map(text, ids[:_IDS]))}{more}"])
    return table("Failures by reason", ("candidates", "reason", "ids"), rows, "failures")
