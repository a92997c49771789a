import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edanas.cli import main
from edanas.cli.application import app
from edanas.report.result import Result


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    row: dict[str, Any] = {
        "id": "a",
        "exits": 1,
        "thresholds": [0.5],
        "utilization": [0.5, 0.5],
        "test_accuracy": 0.9,
        "validation_accuracy": 0.91,
        "ada_macs": 9e5,
        "executed_macs": 1e6,
        "backbone_macs": 2_000_000,
        "backbone_test_accuracy": 0.9,
        "params": 5,
    }
    results = []
    for seed, name in enumerate(("first", "second=x")):
        folder = tmp_path / name
        folder.mkdir()
        better = {**row, "test_accuracy": 0.9 + 0.02 * seed}
        data = {"front": [better], "static_front": [], "settings": {"seed": seed}, "seed": seed}
        Result.write(folder, data)
        results.append(folder)
    return results[0], results[1]


def test_a_line_for_each_method_with_its_spread_and_files(runs: tuple[Path, Path], tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("c.svg", "c.json", "c.csv")]
    options = ["--at", "1.5M", "--plot", files[0], "--json", files[1], "--csv", files[2]]
    done = CliRunner().invoke(
        app, ["compare", f"ours={runs[0]}", f"ours={runs[1]}", *options], env={"COLUMNS": "120"}
    )
    assert done.exit_code == 0, done.output
    line = next(line for line in done.output.splitlines() if line.strip().startswith("ours"))
    assert line.split()[1:5] == ["2", "91.0±1.4", "1.000±0.000", "0.900±0.000"]
    assert json.loads(Path(files[1]).read_text())["methods"][0]["accuracy"] == pytest.approx(0.91)
    assert len(Path(files[2]).read_text().splitlines()) == 3
    assert Path(files[0]).stat().st_size > 1000
    assert [path for path in files if f"Written: {path}" not in done.output] == []


def test_a_folder_with_an_equals_sign_is_a_folder(runs: tuple[Path, Path]) -> None:
    assert CliRunner().invoke(app, ["compare", str(runs[1])]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "nowhere: no such folder"),
        (["=x"], "RUN: found '=x'; expected a folder, or NAME=FOLDER"),
        (["{0}", "--at", "5m"], "--at: found '5m', of unit 'm'"),
        (["{0}", "--plot", "p.gif"], "--plot: 'p.gif' ends in '.gif'; allowed: .svg, .png, .pdf"),
        (["{0}", "--json", "{0}/no/such.json"], "/no: no such folder"),
    ],
)
def test_wrong_input_is_one_clear_error(
    arguments: list[str], says: str, runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *(each.format(runs[0]) for each in arguments)]) == 2
    assert says in " ".join(capsys.readouterr().err.split())
