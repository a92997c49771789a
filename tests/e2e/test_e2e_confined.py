"""Searches of a part of the space, from the command to what comes back."""

from pathlib import Path

import pytest
from tiny_runs import Edanas, recorded, result_of


@pytest.mark.parametrize("name", ["nsga2-backbone", "single-exit:2"])
def test_nothing_outside_of_the_part_is_evaluated_or_comes_back(
    name: str, edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    told = edanas(*arguments, "--out", tmp_path / "run", "--set", f"strategy={name}")
    assert told.code == 0, told.err
    wanted = () if name == "nsga2-backbone" else (1,)
    assert {e.candidate.scheme.placed for _, e in recorded(tmp_path / "run")} == {wanted}
    result = result_of(tmp_path / "run")
    placed = [tuple(i for i, t in enumerate(row["thresholds"]) if t is not None) for row in result["front"]]
    assert set(placed) == ({wanted} if wanted else set())
    assert len(result["static_front"]) >= 1
