"""Table and plot of `cifar.py`: measured and published figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

PUBLISHED = (
    # Table I of the paper: name, early exits, ADA_MACS in M, top-1 in %.
    ("EDANAS4", 4, 3.15, 62.3),
    ("EDANAS3", 3, 9.65, 77.7),
    ("EDANAS1", 1, 17.31, 80.9),
    ("EDANAS2", 2, 23.52, 81.1),
    ("NAS4", 0, 10.64, 78.2),
    ("NAS3", 0, 18.14, 81.3),
    ("NAS1", 0, 21.67, 81.8),
    ("NAS2", 0, 37.21, 86.8),
)
BUDGETS = tuple(row[2] for row in PUBLISHED[:4])

REFERENCES = (
    # Single-exit networks trained from scratch at 32 pixels, as published: name, MACs in M, top-1 in %.
    ("ShuffleNetV2 x0.5", 10.9, 90.1),
    ("MobileNetV2 x0.5", 28.0, 92.9),
    ("ResNet-20", 40.8, 92.6),
)

LABELS = {
    "early-exit": "early exits",
    "single-exit": "single exit, same supernet",
    "cut": "cut off at an exit, same networks",
}

Row = Mapping[str, Any]


def cost_on_front(rows: Sequence[Row], accuracy: float, *kinds: str) -> float | None:
    """Return the MACs (M) at which the front of these kinds, interpolated linearly, reaches `accuracy`.

    `None` if no network of these kinds in `rows` reaches it.
    """
    points = sorted((r["executed_macs_m"], r["accuracy"]) for r in rows if r["kind"] in kinds)
    front = [p for i, p in enumerate(points) if all(p[1] > q[1] for q in points[:i])]
    if not front or accuracy > front[-1][1]:
        return None
    if accuracy <= front[0][1]:
        return float(front[0][0])
    return float(np.interp(accuracy, [p[1] for p in front], [p[0] for p in front]))


def table(rows: Sequence[Row]) -> str:
    """Return a Markdown table of networks, with the MACs of equally accurate ones without early exits.

    "single exit" means whole backbones; "cut" adds all fine-tuned networks cut off at an exit.
    """
    lines = [
        "| network | budget | executed MACs | accuracy (95%) | paper "
        "| single exit needs | ratio | cut needs | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(_cells(row, rows))} |" for row in rows]
    return "\n".join(lines)


def _cells(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    early, budget = row["kind"] == "early-exit", row["budget_m"]
    paper = {each[2]: f"{each[0]} {each[3]}%" for each in PUBLISHED if each[1]}
    low, high = row["interval"]
    cells = (
        f"{row['kind']}, seed {row['seed']}",
        f"{budget:g}M" if budget else "none",
        f"{row['executed_macs_m']:.2f}M",
        f"{row['accuracy']:.1%} ({low:.1%} to {high:.1%})",
    )
    if not early:
        return (*cells, "", "", "", "", "")
    same = [each for each in rows if each["seed"] == row["seed"]]
    needs = [
        cost_on_front(same, row["accuracy"], *kinds) for kinds in (("single-exit",), ("single-exit", "cut"))
    ]
    compared = [
        cell
        for need in needs
        for cell in (
            (f"{need:.2f}M", f"{row['executed_macs_m'] / need:.2f}") if need else ("more than it has", "")
        )
    ]
    return (*cells, paper.get(budget, ""), *compared)


def draw(rows: Sequence[Row], path: Path) -> None:
    """Plot both fronts of each seed with the published points."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for kind, mark, colour in (("early-exit", "o-", "C0"), ("single-exit", "s--", "C1"), ("cut", "x", "C5")):
        for number, seed in enumerate(sorted({r["seed"] for r in rows})):
            same = [r for r in rows if r["kind"] == kind and r["seed"] == seed]
            points = sorted((r["executed_macs_m"], 100 * r["accuracy"]) for r in same)
            label = None if number else LABELS[kind]
            axes.plot(*zip(*points, strict=True), mark, color=colour, label=label)
    early = [row[2:] for row in PUBLISHED if row[1]]
    single = [row[2:] for row in PUBLISHED if not row[1]]
    axes.plot(*zip(*early, strict=True), "^", color="C2", label="Table I, early exits (ADA_MACS)")
    axes.plot(*zip(*single, strict=True), "v", color="C3", label="Table I, single exit")
    others = [row[1:] for row in REFERENCES]
    axes.plot(*zip(*others, strict=True), "*", color="C4", label="published single-exit networks")
    for name, macs, accuracy in REFERENCES:
        axes.annotate(name, (macs, accuracy), textcoords="offset points", xytext=(0, 6), ha="center", size=7)
    axes.set(xlabel="executed MACs for an image on average (M)", ylabel="top-1 accuracy (%)")
    axes.margins(0.08)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)
