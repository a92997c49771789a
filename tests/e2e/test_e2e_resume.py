"""A second run on the same folder: it resumes, refuses or overwrites."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from plugin_packages import installed_registry
from tiny_runs import Edanas, draw, recorded, refused, result_of

from edanas.core.config import resolve
from edanas.core.types import Task
from edanas.run import setter_check


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("run.lock")
    }


def test_a_finished_run_is_left_as_it_is(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The inputs are compared with those of the run, and nothing is computed: the function is removed.
    monkeypatch.delattr("edanas.run.execution._execute")
    before = content(finished_run)
    output = edanas(*arguments, "--out", finished_run)
    assert output.code == 0, output.err
    assert f"{finished_run}: already complete; the run finished" in output.err
    assert "utilization %" in output.out
    assert content(finished_run) == before


def test_a_changed_setting_is_refused_by_name_with_both_values(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path
) -> None:
    before = content(finished_run)
    output = edanas(*arguments, "--out", finished_run, "--set", "training.epochs=3", "--seed", 7)
    assert (output.code, output.out) == (2, "")
    assert "seed: was 0, now 7; training.epochs: was 2, now 3" in output.err
    assert "--overwrite" in output.err
    assert content(finished_run) == before


def test_overwriting_discards_the_runs_own_files_and_no_others(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path
) -> None:
    user_files = ("notes.txt", "models/mine.txt", "download.partial", "other/result.json")
    for name in user_files:
        (finished_run / name).parent.mkdir(exist_ok=True)
        (finished_run / name).write_text("mine")
    output = edanas(*arguments, "--out", finished_run, "--overwrite", "--seed", 1, "--max-evals", 3)
    assert output.code == 0, output.err
    assert [(finished_run / name).read_text() for name in user_files] == ["mine"] * len(user_files)
    assert result_of(finished_run)["seed"] == 1
    assert len(recorded(finished_run)) == 3
    data = result_of(finished_run)
    named = {name for row in data["front"] + data["static_front"] for name in row["files"]}
    assert {f"models/{path.name}" for path in (finished_run / "models").glob("eenn-*")} == named
    events = 3 + 1 + len(data["plain"])
    assert len((finished_run / "log.jsonl").read_text().splitlines()) == events


@pytest.mark.parametrize("mistake", ["image", "option"])
def test_a_run_is_not_overwritten_by_one_that_cannot_start(
    edanas: Edanas,
    arguments: tuple[str, ...],
    pictures: Path,
    finished_run: Path,
    tmp_path: Path,
    mistake: str,
) -> None:
    copy, flags, before = tmp_path / "pictures", [], content(finished_run)
    shutil.copytree(pictures, copy)
    if mistake == "image":
        (copy / "rows" / "7.png").write_bytes(b"no image")
    else:
        flags = ["--set", "supernet.kernels=[4]"]
    output = edanas(*arguments, "--out", finished_run, "--overwrite", "--data", copy, *flags)
    assert output.code == 2
    assert ("7.png: cannot be read" if mistake == "image" else "supernet.kernels") in output.err
    assert content(finished_run) == before


@pytest.mark.parametrize("option", [[], ["--overwrite"]])
def test_a_folder_with_files_of_the_user_is_left_as_it_is(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, option: list[str]
) -> None:
    (tmp_path / "config.toml").write_text("# mine\n")
    output = edanas(*arguments, "--out", tmp_path, *option)
    assert output.code == 2
    assert f"{tmp_path} holds config.toml but no archive.sqlite" in output.err
    assert (tmp_path / "config.toml").read_text() == "# mine\n"
    assert not (tmp_path / "archive.sqlite").exists()


def test_a_larger_budget_resumes_to_the_same_result(
    edanas: Edanas, arguments: tuple[str, ...], reference: Path, tmp_path: Path
) -> None:
    out, archive = tmp_path / "run", recorded(reference)
    for budget, count, stopped in ((3, 3, "max_evals"), (7, 7, "max_evals"), (0, 9, "completed")):
        output = edanas(*arguments, "--out", out, "--max-evals", budget)
        assert output.code == 0, output.err
        assert recorded(out) == archive[:count]
        assert result_of(out)["stopped"] == stopped
        assert result_of(out)["settings"]["search"]["max_evals"] == budget
        with (out / "log.jsonl").open("a") as log:
            log.write('{"torn')  # as a kill or a full disk may leave it
    assert result_of(out)["front"] == result_of(reference)["front"]
    assert result_of(out)["static_front"] == result_of(reference)["static_front"]
    lines = (out / "log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines if line != '{"torn']
    logged_ids = [line["id"] for line in log if line["event"] == "edanas_candidate_evaluated"]
    assert logged_ids == [evaluation.candidate.id for _, evaluation in archive]


def test_an_impossible_budget_of_thresholds_does_not_lose_the_search(
    edanas: Edanas,
    arguments: tuple[str, ...],
    reference: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, budget = tmp_path / "run", ["--set", "final_thresholds.name=budget", "--set"]
    impossible = (*arguments, "--out", out, *budget, "final_thresholds.max_macs=1K")
    refused(edanas(*impossible), "max_macs: found 1k MACs; possible with ", "smallest network of the search")
    assert not out.exists()
    with monkeypatch.context() as patched:  # as if all results were larger than the smallest network
        patched.setattr(setter_check, "_smallest", lambda _: [])
        refused(edanas(*impossible), "max_macs: found 1k MACs; possible with ", ", in the cheapest result. ")
    assert not list((out / "models").glob("*"))
    output = edanas(*arguments, "--out", out, *budget, "final_thresholds.max_macs=1G")
    assert output.code == 0, output.err
    assert recorded(out) == recorded(reference)
    assert all(row["calibration_executed_macs"] < 1e9 for row in result_of(out)["front"])
    output = edanas(*arguments, "--out", out, "--set", "final_thresholds=static")
    assert output.code == 2
    assert "Changed: final_thresholds: was 'budget', now 'static'" in output.err


def test_a_time_limit_ends_the_search_and_a_larger_one_resumes_it(
    edanas: Edanas, arguments: tuple[str, ...], reference: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    output = edanas(*arguments, "--out", out, "--set", "search.time_limit=1e-6")
    assert output.code == 0, output.err
    data = result_of(out)
    assert (data["stopped"], data["evaluations"]) == ("time_limit", 1)
    assert data["static_front"]
    output = edanas(*arguments, "--out", out, "--set", "search.time_limit=1e-6")
    assert "finished within its budget (another search.time_limit resumes it)" in output.err
    assert edanas(*arguments, "--out", out, "--set", "search.time_limit=10000").code == 0
    assert recorded(out) == recorded(reference)
    assert result_of(out)["stopped"] == "completed"


def test_a_mistake_before_the_start_leaves_the_folder_free(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    wrong = edanas(*arguments, "--out", out, "--data", tmp_path / "no" / "such")
    assert wrong.code == 2
    assert edanas(*arguments, "--out", out, "--max-evals", 2).code == 0


def test_changed_images_are_refused(
    edanas: Edanas, arguments: tuple[str, ...], pictures: Path, tmp_path: Path
) -> None:
    copy, out = tmp_path / "pictures", tmp_path / "run"
    shutil.copytree(pictures, copy)
    assert edanas(*arguments, "--data", copy, "--out", out, "--max-evals", 2).code == 0
    before = recorded(out)
    draw(copy / "rows" / "0.png", 0, 99)
    output = edanas(*arguments, "--data", copy, "--out", out, "--max-evals", 3)
    assert output.code == 2
    assert f"{out} holds a run on other samples, though its settings are the same" in output.err
    assert recorded(out) == before


def test_renamed_classes_are_refused(
    edanas: Edanas, arguments: tuple[str, ...], pictures: Path, tmp_path: Path
) -> None:
    copy, out = tmp_path / "pictures", tmp_path / "run"
    shutil.copytree(pictures, copy)
    assert edanas(*arguments, "--data", copy, "--out", out, "--max-evals", 2).code == 0
    before = recorded(out)
    # The new name has the same place in the alphabet, so no label and no order changes.
    (copy / "rows").rename(copy / "stripes")
    output = edanas(*arguments, "--data", copy, "--out", out, "--max-evals", 3)
    assert output.code == 2
    assert "on classes ['columns', 'noise', 'rows'], now ['columns', 'noise', 'stripes']" in output.err
    assert recorded(out) == before


def test_replaced_weights_are_refused(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path, tmp_path: Path
) -> None:
    weights, out = tmp_path / "weights.pt", tmp_path / "run"
    settings = resolve([("", result_of(finished_run)["settings"])])
    provider = installed_registry().create(
        "supernet provider", settings.supernet.name, settings.supernet.options
    )
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save(provider.supernet(Task(1, 3)).state_dict(), tmp_path / f"{seed}.pt")
    shutil.copy(tmp_path / "0.pt", weights)
    flags = (*arguments, "--weights", weights, "--out", out, "--max-evals")
    assert edanas(*flags, 2).code == 0
    before = recorded(out)
    shutil.copy(tmp_path / "1.pt", weights)
    output = edanas(*flags, 3)
    assert output.code == 2
    assert f"holds a run with other weights in {weights}, though its settings are the same" in output.err
    assert recorded(out) == before
    # Equal content counts as the same weights; the trained supernet needs them no longer.
    shutil.copy(tmp_path / "0.pt", weights)
    assert edanas(*flags, 3).code == 0
    weights.unlink()
    assert edanas(*flags, 4).code == 0


def test_a_damaged_checkpoint_is_named_and_can_be_deleted(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path
) -> None:
    (finished_run / "supernet.pt").write_bytes(b"damaged")
    output = edanas(*arguments, "--out", finished_run, "--max-evals", 8)
    assert output.code == 2
    assert re.search(r"supernet\.pt: .* delete the file", output.err)
    (finished_run / "supernet.pt").unlink()
    assert edanas(*arguments, "--out", finished_run, "--max-evals", 8).code == 0


def pareto_ids(folder: Path) -> set[str]:
    """Return the evaluated candidates that no other one surpasses in accuracy and ADA_MACS."""
    points = {
        e.candidate.id: (e.metrics.accuracy, -e.metrics.ada_macs)
        for _, e in recorded(folder)
        if e.metrics is not None
    }
    return {
        name
        for name, (accuracy, saving) in points.items()
        if not any(
            accuracy <= other[0] and saving <= other[1] and (accuracy, saving) != other
            for other in points.values()
        )
    }


def test_a_warm_start_begins_with_the_older_front_and_resumes_without_the_older_run(
    edanas: Edanas, arguments: tuple[str, ...], finished_run: Path, tmp_path: Path
) -> None:
    front = pareto_ids(finished_run)
    command = (*arguments, "--out", tmp_path / "second", "--seed", 1, "--warm-start", finished_run)
    output = edanas(*command, "--max-evals", 4)
    assert output.code == 0, output.err
    first_candidates = recorded(tmp_path / "second")
    warm_count = min(len(front), 3)  # at most half of the initial archive
    assert {e.candidate.id for _, e in first_candidates[:warm_count]} <= front
    shutil.rmtree(finished_run)
    output = edanas(*command)
    assert output.code == 0, output.err
    archive = recorded(tmp_path / "second")
    assert len(archive) == 9
    assert [e.candidate.id for _, e in archive[:4]] == [e.candidate.id for _, e in first_candidates]
