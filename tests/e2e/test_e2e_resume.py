"""Running again on the same folder: going on, refusing, discarding."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from tiny_runs import Edanas, draw, recorded, result_of

from edanas.core.config import resolve
from edanas.core.types import Task
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("run.lock")
    }


def test_a_finished_run_says_so_and_does_nothing(
    edanas: Edanas, arguments: tuple[str, ...], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing may be read or made: the objects of a run cannot even be had.
    monkeypatch.delattr("edanas.run.execution.compose")
    before = content(finished)
    told = edanas(*arguments, "--out", finished)
    assert told.code == 0, told.err
    assert f"{finished} holds this run, finished; nothing is left to do" in told.err
    assert "utilization %" in told.out
    assert content(finished) == before


def test_a_changed_setting_is_refused_by_name_with_both_values(
    edanas: Edanas, arguments: tuple[str, ...], finished: Path
) -> None:
    before = content(finished)
    told = edanas(*arguments, "--out", finished, "--set", "training.epochs=3", "--seed", 7)
    assert (told.code, told.out) == (2, "")
    assert "seed: was 0, now 7; training.epochs: was 2, now 3" in told.err
    assert "--overwrite" in told.err
    assert content(finished) == before


def test_overwriting_discards_the_runs_own_files_and_no_others(
    edanas: Edanas, arguments: tuple[str, ...], finished: Path
) -> None:
    own = ("notes.txt", "models/mine.txt", "download.partial", "other/result.json")
    for name in own:
        (finished / name).parent.mkdir(exist_ok=True)
        (finished / name).write_text("mine")
    told = edanas(*arguments, "--out", finished, "--overwrite", "--seed", 1, "--max-evals", 3)
    assert told.code == 0, told.err
    assert [(finished / name).read_text() for name in own] == ["mine"] * len(own)
    assert result_of(finished)["seed"] == 1
    assert len(recorded(finished)) == 3
    data = result_of(finished)
    named = {name for row in data["front"] + data["static_front"] for name in row["files"]}
    assert {f"models/{path.name}" for path in (finished / "models").glob("eenn-*")} == named
    assert len((finished / "log.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize("mistake", ["image", "option"])
def test_a_run_is_not_discarded_for_one_that_cannot_start(
    edanas: Edanas,
    arguments: tuple[str, ...],
    pictures: Path,
    finished: Path,
    tmp_path: Path,
    mistake: str,
) -> None:
    copy, given, before = tmp_path / "pictures", [], content(finished)
    shutil.copytree(pictures, copy)
    if mistake == "image":
        (copy / "rows" / "7.png").write_bytes(b"no image")
    else:
        given = ["--set", "supernet.kernels=[4]"]
    told = edanas(*arguments, "--out", finished, "--overwrite", "--data", copy, *given)
    assert told.code == 2
    assert ("7.png: cannot be read" if mistake == "image" else "supernet.kernels") in told.err
    assert content(finished) == before


@pytest.mark.parametrize("option", [[], ["--overwrite"]])
def test_a_folder_with_someone_elses_files_is_left_as_it_is(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, option: list[str]
) -> None:
    (tmp_path / "config.toml").write_text("# mine\n")
    told = edanas(*arguments, "--out", tmp_path, *option)
    assert told.code == 2
    assert f"{tmp_path} holds config.toml but no archive.sqlite" in told.err
    assert (tmp_path / "config.toml").read_text() == "# mine\n"
    assert not (tmp_path / "archive.sqlite").exists()


def test_a_larger_budget_goes_on_to_the_same_end(
    edanas: Edanas, arguments: tuple[str, ...], undisturbed: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "run", recorded(undisturbed)
    for budget, count, stopped in ((3, 3, "max_evals"), (7, 7, "max_evals"), (0, 9, "completed")):
        told = edanas(*arguments, "--out", out, "--max-evals", budget)
        assert told.code == 0, told.err
        assert recorded(out) == whole[:count]
        assert result_of(out)["stopped"] == stopped
        assert result_of(out)["settings"]["search"]["max_evals"] == budget
        with (out / "log.jsonl").open("a") as log:
            log.write('{"torn')  # as a kill or a full disk may leave it
    assert result_of(out)["front"] == result_of(undisturbed)["front"]
    assert result_of(out)["static_front"] == result_of(undisturbed)["static_front"]
    lines = (out / "log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines if line != '{"torn']
    told_of = [line["id"] for line in log if line["event"] == "edanas_candidate_evaluated"]
    assert told_of == [evaluation.candidate.id for _, evaluation in whole]


def test_a_budget_of_thresholds_that_nothing_meets_does_not_cost_the_search(
    edanas: Edanas, arguments: tuple[str, ...], undisturbed: Path, tmp_path: Path
) -> None:
    out, budget = tmp_path / "run", ["--set", "final_thresholds.name=budget", "--set"]
    told = edanas(*arguments, "--out", out, *budget, "final_thresholds.max_macs=1K")
    assert told.code == 2
    assert "max_macs: found 1k MACs; possible on these samples: " in told.err
    told = edanas(*arguments, "--out", out, *budget, "final_thresholds.max_macs=1G")
    assert told.code == 0, told.err
    assert recorded(out) == recorded(undisturbed)
    assert all(row["calibration_executed_macs"] < 1e9 for row in result_of(out)["front"])
    told = edanas(*arguments, "--out", out, "--set", "final_thresholds=static")
    assert told.code == 2
    assert "Changed: final_thresholds: was 'budget', now 'static'" in told.err


def test_a_time_limit_ends_the_search_and_a_larger_one_goes_on(
    edanas: Edanas, arguments: tuple[str, ...], undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    told = edanas(*arguments, "--out", out, "--time-limit", 1e-6)
    assert told.code == 0, told.err
    data = result_of(out)
    assert (data["stopped"], data["evaluations"]) == ("time_limit", 1)
    assert data["static_front"]
    told = edanas(*arguments, "--out", out, "--time-limit", 1e-6)
    assert "finished within its budget (another search.time_limit resumes it)" in told.err
    assert edanas(*arguments, "--out", out, "--time-limit", 10_000).code == 0
    assert recorded(out) == recorded(undisturbed)
    assert result_of(out)["stopped"] == "completed"


def test_a_mistake_before_anything_was_done_binds_the_folder_to_nothing(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    wrong = edanas(*arguments, "--out", out, "--data", tmp_path / "no" / "such")
    assert wrong.code == 2
    assert edanas(*arguments, "--out", out, "--max-evals", 2).code == 0


def test_images_that_changed_since_are_refused(
    edanas: Edanas, arguments: tuple[str, ...], pictures: Path, tmp_path: Path
) -> None:
    copy, out = tmp_path / "pictures", tmp_path / "run"
    shutil.copytree(pictures, copy)
    assert edanas(*arguments, "--data", copy, "--out", out, "--max-evals", 2).code == 0
    before = recorded(out)
    draw(copy / "rows" / "0.png", 0, 99)
    told = edanas(*arguments, "--data", copy, "--out", out, "--max-evals", 3)
    assert told.code == 2
    assert f"{out} holds a run on other images, though its settings are the same" in told.err
    assert recorded(out) == before


def test_classes_renamed_since_are_refused(
    edanas: Edanas, arguments: tuple[str, ...], pictures: Path, tmp_path: Path
) -> None:
    copy, out = tmp_path / "pictures", tmp_path / "run"
    shutil.copytree(pictures, copy)
    assert edanas(*arguments, "--data", copy, "--out", out, "--max-evals", 2).code == 0
    before = recorded(out)
    # In the same place of the alphabet, so that no label and no order changes.
    (copy / "rows").rename(copy / "stripes")
    told = edanas(*arguments, "--data", copy, "--out", out, "--max-evals", 3)
    assert told.code == 2
    assert "on classes ['columns', 'noise', 'rows'], now ['columns', 'noise', 'stripes']" in told.err
    assert recorded(out) == before


def test_weights_replaced_since_are_refused(
    edanas: Edanas, arguments: tuple[str, ...], finished: Path, tmp_path: Path
) -> None:
    weights, out = tmp_path / "weights.pt", tmp_path / "run"
    settings = resolve([("", result_of(finished)["settings"])])
    provider = Registry(load_plugins()).create(
        "supernet provider", settings.supernet.name, settings.supernet.options
    )
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save(provider.supernet(Task(1, 3)).state_dict(), tmp_path / f"{seed}.pt")
    shutil.copy(tmp_path / "0.pt", weights)
    given = (*arguments, "--weights", weights, "--out", out, "--max-evals")
    assert edanas(*given, 2).code == 0
    before = recorded(out)
    shutil.copy(tmp_path / "1.pt", weights)
    told = edanas(*given, 3)
    assert told.code == 2
    assert f"holds a run with other weights in {weights}, though its settings are the same" in told.err
    assert recorded(out) == before
    # The same content is the same weights; and the supernet is trained, so they may be gone by now.
    shutil.copy(tmp_path / "0.pt", weights)
    assert edanas(*given, 3).code == 0
    weights.unlink()
    assert edanas(*given, 4).code == 0


def test_a_damaged_checkpoint_is_named_and_can_be_left_behind(
    edanas: Edanas, arguments: tuple[str, ...], finished: Path
) -> None:
    (finished / "supernet.pt").write_bytes(b"damaged")
    told = edanas(*arguments, "--out", finished, "--max-evals", 8)
    assert told.code == 2
    assert re.search(r"supernet\.pt: .* delete the file", told.err)
    (finished / "supernet.pt").unlink()
    assert edanas(*arguments, "--out", finished, "--max-evals", 8).code == 0


def test_a_warm_start_begins_with_the_older_front_and_goes_on_without_the_older_run(
    edanas: Edanas, arguments: tuple[str, ...], finished: Path, tmp_path: Path
) -> None:
    front = {row["id"] for row in result_of(finished)["pareto"]}
    again = (*arguments, "--out", tmp_path / "second", "--seed", 1, "--warm-start", finished)
    told = edanas(*again, "--max-evals", 4)
    assert told.code == 0, told.err
    begun = recorded(tmp_path / "second")
    taken = min(len(front), 3)  # at most half of the initial archive
    assert {e.candidate.id for _, e in begun[:taken]} <= front
    shutil.rmtree(finished)
    told = edanas(*again)
    assert told.code == 0, told.err
    whole = recorded(tmp_path / "second")
    assert len(whole) == 9
    assert [e.candidate.id for _, e in whole[:4]] == [e.candidate.id for _, e in begun]
