"""Lint, format, types and import floors of the source; no test has a time limit."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

CHECKS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "floors": ["lint-imports"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_the_source_passes_the_check(check: str) -> None:
    program, *arguments = CHECKS[check]
    process = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr


CLOCKS = {"monotonic", "perf_counter", "perf_counter_ns", "process_time", "thread_time", "time", "time_ns"}
DURATIONS = {"elapsed", "seconds", "duration", "wall", "took", "spent"}


def timed_lines(tree: ast.AST) -> list[int]:
    """Return the lines that set a time limit for examples or compare a measured duration with a number."""
    lines = []
    reads_a_clock = any(isinstance(node, ast.Call) and called(node) in CLOCKS for node in ast.walk(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("settings"):
            lines += [node.lineno for word in node.keywords if word.arg == "deadline"]
        if isinstance(node, ast.Assert):
            lines += [
                each.lineno
                for each in ast.walk(node)
                if isinstance(each, ast.Compare) and limits_a_duration(each, reads_a_clock=reads_a_clock)
            ]
    return lines


def called(call: ast.Call) -> str:
    """Return the name of the called function without its module."""
    return ast.unparse(call.func).rpartition(".")[2]


def limits_a_duration(compare: ast.Compare, *, reads_a_clock: bool) -> bool:
    """Return whether a comparison limits a duration by a number other than zero.

    In a file that reads a clock, every difference is taken for a duration.
    """
    if not any(isinstance(each, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for each in compare.ops):
        return False
    sides = [compare.left, *compare.comparators]
    numbers = [each.value for each in sides if isinstance(each, ast.Constant)]
    is_duration = any(names_a_duration(side) or (reads_a_clock and has_a_difference(side)) for side in sides)
    return is_duration and any(isinstance(each, int | float) and each for each in numbers)


def names_a_duration(side: ast.expr) -> bool:
    names = {
        each.attr if isinstance(each, ast.Attribute) else each.id
        for each in ast.walk(side)
        if isinstance(each, ast.Attribute | ast.Name)
    }
    return bool(names & (CLOCKS | DURATIONS))


def has_a_difference(side: ast.expr) -> bool:
    return any(isinstance(each, ast.BinOp) and isinstance(each.op, ast.Sub) for each in ast.walk(side))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("@settings(deadline=200)\ndef test(): ...", [1]),
        ("assert 0.2 < done.seconds < 5", [1]),
        ("assert time.monotonic() - start < 3", [1]),
        ("assert elapsed <= 2.5", [1]),
        ("assert took < 5", [1]),
        ("assert spent <= 0.5", [1]),
        ("a = monotonic()\nb = monotonic()\nassert b - a < 3", [3]),
        ("a = time.time()\nassert 1 > abs(end - a)", [2]),
        ("a = time.time()\nassert end - a >= 0", []),
        ("a = time.time()\nassert end - a < limit", []),
        ("assert abs(loss - expected) < 1e-6", []),
        ("assert done.seconds > 0", []),
        ("assert expected.seconds == 3.0", []),
        ("assert len(rows) < 5", []),
    ],
)
def test_a_timed_test_is_recognised(line: str, expected: list[int]) -> None:
    assert timed_lines(ast.parse(line)) == expected


def test_no_test_is_timed() -> None:
    assert {
        str(path.relative_to(ROOT)): lines
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if (lines := timed_lines(ast.parse(path.read_text())))
    } == {}
