"""Searches of a part of the space, from the command to the result."""

from pathlib import Path

import pytest
from tiny_runs import Edanas, recorded, result_of


@pytest.mark.parametrize("name", ["nsga2-backbone", "single-exit:2"])
def test_only_the_part_is_evaluated_and_returned(
    name: str, edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    output = edanas(*arguments, "--out", tmp_path / "run", "--set", f"strategy={name}")
    assert output.code == 0, output.err
    placed = () if name == "nsga2-backbone" else (1,)
    assert {e.candidate.scheme.placed for _, e in recorded(tmp_path / "run")} == {placed}
    result = result_of(tmp_path / "run")
    placements = [
        tuple(i for i, t in enumerate(row["thresholds"]) if t is not None) for row in result["front"]
    ]
    assert set(placements) == ({placed} if placed else set())
    assert len(result["static_front"]) >= 1
