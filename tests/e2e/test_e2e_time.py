"""Runs with a time limit: there is always a result, and its plan repeats it."""

import json
import shutil
from pathlib import Path

import pytest
from tiny_runs import Edanas, recorded, refused, result_of

from edanas.core.errors import Interrupted
from edanas.run import execution

SAME = ("front", "static_front", "plain", "evaluations", "pareto")


def plan_of(folder: Path) -> dict:
    plan = json.loads((folder / "plan.json").read_text())
    del plan["spent"], plan["checksum"]
    return plan


@pytest.fixture(scope="module")
def timed_run(arguments: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with a time limit; change copies only."""
    from edanas.cli import main

    folder = tmp_path_factory.mktemp("timed") / "run"
    assert main([*arguments, "--out", str(folder), "--time-limit", "4"]) == 0
    return folder


@pytest.mark.parametrize("evaluation", ["shared", "finetune"])
def test_there_is_a_result_even_if_no_time_is_left(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, evaluation: str
) -> None:
    out = tmp_path / "run"
    output = edanas(*arguments, "--out", out, "--time-limit", 0.001, "--evaluation", evaluation)
    assert output.code == 0, output.err
    assert "This run is planned for" in output.err
    result = result_of(out)
    networks = [*result["front"], *result["static_front"]]
    assert networks
    assert all((out / row["model"]).exists() for row in networks)
    assert result["evaluations"] == 1
    if evaluation == "shared":
        assert list(plan_of(out)["supernet"].items())[-1] == ("1", 1)
    else:
        assert plan_of(out)["candidate_steps"] >= 1


def test_candidates_of_a_repeated_plan_have_its_number_of_steps(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    monkeypatch.setattr(
        "edanas.evaluation.workbench.Workbench.finetune",
        lambda self, network, training, *_, **__: trained.append(training.steps),
    )
    plan = tmp_path / "mine.json"
    plan.write_text('{"candidate_steps": 3, "evaluations": 2}')
    command = (*arguments, "--out", tmp_path / "run", "--evaluation", "finetune", "--set", f"plan={plan}")
    assert edanas(*command).code == 0
    assert trained[:2] == [3, 3]


def test_a_plan_is_repeated_in_another_folder(
    edanas: Edanas, arguments: tuple[str, ...], timed_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    output = edanas(*arguments, "--out", out, "--set", f"plan={timed_run / 'plan.json'}")
    assert output.code == 0, output.err
    assert recorded(out) == recorded(timed_run)
    first, again = result_of(timed_run), result_of(out)
    assert [again[key] for key in SAME] == [first[key] for key in SAME]
    names = {path.name for path in (timed_run / "models").glob("*.safetensors")}
    for name in names:
        assert (out / "models" / name).read_bytes() == (timed_run / "models" / name).read_bytes()


@pytest.mark.parametrize("stage", ["Engine", "finish_results", "write_report"])
def test_an_interrupted_run_repeats_its_plan(
    edanas: Edanas,
    arguments: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    out, command = tmp_path / "run", (*arguments, "--out", tmp_path / "run", "--time-limit", 3)

    def interrupt(*_: object, **__: object) -> None:
        raise Interrupted("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(execution, stage, interrupt)
        assert edanas(*command).code == 130
    before = plan_of(out)
    rows = recorded(out)
    assert edanas(*command).code == 0
    after = plan_of(out)
    assert after["supernet"] == before["supernet"]
    assert recorded(out)[: len(rows)] == rows
    if stage != "Engine":
        assert recorded(out) == rows
    again = tmp_path / "again"
    assert edanas(*arguments, "--out", again, "--set", f"plan={out / 'plan.json'}").code == 0
    assert recorded(again) == recorded(out)
    assert result_of(again)["front"] == result_of(out)["front"]


def test_a_longer_time_limit_resumes_the_search_of_a_finished_run(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert edanas(*arguments, "--out", out, "--time-limit", 0.001).code == 0
    first = recorded(out)
    assert len(first) == 1
    output = edanas(*arguments, "--out", out, "--time-limit", 0.001)
    assert "finished within its budget (another time_limit resumes it)" in output.err
    for path in (out / "models").glob("*.row.json"):
        path.unlink()
    assert edanas(*arguments, "--out", out, "--time-limit", 5).code == 0
    assert recorded(out)[:1] == first
    # The plan's number of evaluations would end the search by `max_evals`.
    assert result_of(out)["stopped"] in ("time_limit", "completed")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"supernet": {"0": 0}}',
        '{"networks": {"a": 3}}',
        '{"evaluations": 0}',
        '{"candidate_steps": 0}',
        '{"spent": -1}',
    ],
)
def test_a_damaged_plan_is_refused_by_name(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, content: str
) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content)
    output = edanas(*arguments, "--out", tmp_path / "run", "--set", f"plan={path}")
    refused(output, "mine.json: is not the plan of a run")


def test_without_a_time_limit_there_is_no_plan(finished_run: Path) -> None:
    assert not (finished_run / "plan.json").exists()


def test_overwriting_discards_the_plan(
    edanas: Edanas, arguments: tuple[str, ...], timed_run: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(timed_run, tmp_path / "run"))
    assert edanas(*arguments, "--out", out, "--overwrite", "--max-evals", 2).code == 0
    assert not (out / "plan.json").exists()
