"""Recall of each class and confusion matrix of each network, as HTML tables."""

from collections.abc import Sequence

from edanas.core.result_row import ResultRow
from edanas.report.formatting import exits_text, percent
from edanas.report.html.markup import named, table, text

_MOST_CLASSES = 20
"""Largest number of classes for which the page shows the whole confusion matrix."""


def class_results(rows: Sequence[ResultRow], classes: Sequence[str]) -> str:
    """Return a table of recalls for all networks, then a confusion matrix for each network.

    The result is empty if the rows come from a version of edanas that did not tell classes apart.

    Args:
        rows: Finished networks.
        classes: Names of the classes.
    """
    known = [row for row in rows if row.class_recall and row.confusion]
    if not known:
        return ""
    return recalls(known, classes) + "".join(confusions(row, classes) for row in known)


def recalls(rows: Sequence[ResultRow], classes: Sequence[str]) -> str:
    """Return a table with a line for each class: test images, and the recall by each network in percent."""
    counts = _counts(rows[0], len(classes))
    heads = ["class", "test samples", *(f"{row.id}, {exits_text(row.exits)}" for row in rows)]
    lines = [
        [named(name), str(counts[label]), *(percent(row.class_recall[label]) for row in rows)]
        for label, name in enumerate(classes)
    ]
    lines.append(["balanced accuracy", str(sum(counts)), *(percent(row.balanced_accuracy) for row in rows)])
    caption = "Recall of each class in percent, by network"
    return f"<h3>Recall of each class</h3>{table(caption, heads, lines)}"


def confusions(row: ResultRow, classes: Sequence[str]) -> str:
    """Return the confusion matrix of a network, or its most frequent confusions if there are many classes."""
    title = f"Confusions of {row.id}"
    if len(classes) > _MOST_CLASSES:
        wrong = sorted((each for each in row.confusion if each[0] != each[1]), key=lambda each: -each[2])
        lines = [[named(classes[a]), named(classes[b]), str(n)] for a, b, n in wrong[:_MOST_CLASSES]]
        title = f"{title}: the most frequent"
        return _titled(title, ["class", "prediction", "test samples"], lines)
    numbers = {(label, prediction): n for label, prediction, n in row.confusion}
    lines = [
        [named(name), *(str(numbers.get((label, at), 0)) for at in range(len(classes)))]
        for label, name in enumerate(classes)
    ]
    heads = ["class \\ prediction", *map(str, classes)]
    return _titled(f"{title}: test samples by class (lines) and prediction (columns)", heads, lines)


def _titled(title: str, heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return f"<h3>{text(title)}</h3>{table(title, heads, lines)}"


def _counts(row: ResultRow, classes: int) -> list[int]:
    counts = [0] * classes
    for label, _, number in row.confusion:
        counts[label] += number
    return counts
