"""Runs of the whole program under constraints, and with three objectives."""

import json
from pathlib import Path

import pytest
from tiny_runs import Edanas, recorded, result_of

from edanas.core.archive import Archive


@pytest.fixture(scope="module")
def constraints() -> str:
    return 'constraints=["kernel in 3", "params <= 20k", "accuracy >= 20%"]'


def test_results_keep_the_constraints(
    edanas: Edanas, arguments: tuple[str, ...], constraints: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    objectives = 'objectives=["accuracy", "executed-macs", "params"]'
    output = edanas(*arguments, "--out", out, "--set", constraints, "--set", objectives, "-v")
    assert output.code == 0, output.err
    result = result_of(out)
    for _, evaluation in recorded(out):
        assert {v for name, v in evaluation.candidate.backbone.choices if name.endswith("kernel")} == {3}
        assert evaluation.metrics.params <= 20_000
        assert evaluation.violation == max(0.0, (0.2 - evaluation.metrics.accuracy) / 0.2)
    for row in result["front"]:
        assert row["params"] <= 20_000
        assert row["violation"] == max(0.0, (0.2 - row["validation_accuracy"]) / 0.2)
        assert bool(row["breaches"]) == (row["violation"] > 0)
    assert all(row["violation"] == 0 for row in result["pareto"])
    assert [0 <= step["feasible"] <= 1 for step in result["iterations"]] == [True, True]
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert {"violation", "feasible"} <= {key for line in lines for key in line}
    other = edanas(*arguments, "--out", out, "--set", 'constraints=["params <= 30k"]', "--set", objectives)
    assert other.code == 2
    assert "constraints: was" in other.err


@pytest.mark.parametrize(
    ("constraint", "expected", "evaluated"),
    [
        (
            "accuracy >= 101%",
            ["none of", "The nearest candidates:", "accuracy is", "allowed: at least 101%"],
            9,
        ),
        ("params <= 10", ["structure keeps the constraints", "params is", "allowed: at most 10"], 0),
    ],
)
def test_a_run_without_a_feasible_candidate_names_the_nearest(
    edanas: Edanas,
    arguments: tuple[str, ...],
    tmp_path: Path,
    constraint: str,
    expected: list[str],
    evaluated: int,
) -> None:
    out = tmp_path / "run"
    output = edanas(*arguments, "--out", out, "--set", f'constraints=["{constraint}"]')
    assert output.code == 2
    text = " ".join(output.err.split())
    assert "Traceback" not in text
    for part in expected:
        assert part in text
    with Archive(out, read_only=True) as archive:
        assert archive.count() == evaluated
