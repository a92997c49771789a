"""Comparison of two fronts by `benchmarks/cifar.py`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from cifar_table import cost_on_front, table

Row = dict[str, object]


def row(kind: str, macs: float, accuracy: float, budget: float | None = None, seed: int = 0) -> Row:
    interval = [accuracy - 0.01, accuracy + 0.01]
    return {
        "kind": kind,
        "budget_m": budget,
        "seed": seed,
        "executed_macs_m": macs,
        "accuracy": accuracy,
        "interval": interval,
    }


SINGLE = [row("single-exit", 10, 0.8), row("single-exit", 2, 0.6), row("single-exit", 20, 0.9)]


@pytest.mark.parametrize(
    ("accuracy", "macs"), [(0.8, 10), (0.7, 6), (0.85, 15), (0.9, 20), (0.5, 2), (0.95, None)]
)
def test_single_exits_are_interpolated_linearly(accuracy: float, macs: float | None) -> None:
    assert cost_on_front(SINGLE, accuracy, "single-exit") == (None if macs is None else pytest.approx(macs))


def test_dominated_and_early_exit_networks_are_not_on_the_single_exit_front() -> None:
    more = [*SINGLE, row("single-exit", 12, 0.7), row("early-exit", 1, 0.9)]
    assert cost_on_front(more, 0.85, "single-exit") == pytest.approx(15)


def test_a_table_compares_within_a_seed() -> None:
    early = row("early-exit", 6, 0.8, budget=9.65)
    other = [row("single-exit", 6, 0.8, seed=1)]
    lines = table([early, *SINGLE, row("cut", 8, 0.8), *other]).splitlines()
    assert len(lines) == 2 + 6
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "early-exit, seed 0",
        "9.65M",
        "6.00M",
        "80.0% (79.0% to 81.0%)",
        "EDANAS3 77.7%",
        "10.00M",
        "0.60",
        "8.00M",
        "0.75",
    ]
