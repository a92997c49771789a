"""One run of the whole program, and the commands that read it."""

import base64
import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_runs import CLASSES, Edanas, recorded, result_of

import edanas as package
from edanas.core.config import read_toml, resolve
from edanas.data.digits import Digits
from edanas.data.folder import Folder
from edanas.data.splits import split

KEYS = {
    "id": str,
    "exits": int,
    "thresholds": list,
    "utilization": list,
    "test_accuracy": float,
    "validation_accuracy": float,
    "ada_macs": float,
    "executed_macs": float,
    "backbone_macs": int,
    "backbone_test_accuracy": float,
    "params": int,
}
FILES = {
    "archive.sqlite",
    "config.toml",
    "env.json",
    "examples",
    "log.jsonl",
    "models",
    "pareto.csv",
    "pareto.png",
    "pareto.svg",
    "report.html",
    "result.json",
    "run.lock",
    "run.lock.json",
    "supernet.pt",
}


def retest(folder: Path, parts: Any, rows: list[dict[str, Any]]) -> None:
    """Each network, read from its files, repeats what was reported of it."""
    for row in rows:
        network = package.load(folder / row["model"])
        told = network(parts.test.images)
        assert (told.label == parts.test.labels).double().mean().item() == row["test_accuracy"]
        leaving = [(told.exit == place).double().mean().item() for place in range(5)]
        assert leaving == pytest.approx(row["utilization"], abs=1e-12)
        assert ((told.confidence >= 0) & (told.confidence <= 1)).all()


def test_a_run_on_the_digits_leaves_networks_that_repeat_their_test(
    edanas: Edanas, tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    sizes = [f"--set={part}.batch_size=256" for part in ("training", "finetune")]
    told = edanas("run", "--plugin", "mbv3-sm", "--config", tiny, *sizes, "--out", out)
    assert told.code == 0, told.err
    for heading in ("exits", "ADA_", "backb.", "thresholds", "utilization %"):
        assert heading in told.out
    for name, path in (("Folder", out), ("Plot", out / "pareto.svg"), ("Report", out / "report.html")):
        assert re.search(rf"^{name}: +{re.escape(str(path))}$", told.out, re.MULTILINE)
    for label in ("Training the supernet", "Initial archive", "Search", "Fine-tuning the results"):
        assert re.search(rf"^{label}: (\d+) of \1 in ", told.err, re.MULTILINE)
    data = result_of(out)
    assert data["samples"]["test"] == 359
    settings = resolve([("", data["settings"])])
    parts = split(Digits().load(8, 0), settings.split, 0)
    retest(out, parts, data["front"] + data["static_front"])


def test_every_file_is_there_and_nothing_else(undisturbed: Path) -> None:
    assert {path.name for path in undisturbed.iterdir()} == FILES
    data = result_of(undisturbed)
    stems = {f"eenn-{row['exits']}-{row['id']}" for row in data["front"] + data["static_front"]}
    models = {path.name for path in (undisturbed / "models").iterdir()}
    ids = {stem.split("-")[2] for stem in stems}
    assert models == {
        *(f"{stem}.{ending}" for stem in stems for ending in ("json", "safetensors")),
        *(f"{name}.row.json" for name in ids),
    }


def test_the_result_has_the_shape_that_tools_read(undisturbed: Path) -> None:
    data = result_of(undisturbed)
    assert {"front", "static_front", "settings", "seed"} <= set(data)
    assert (data["seed"], data["settings"]["seed"]) == (0, 0)
    assert len(data["front"]) == 2
    assert data["static_front"]
    for kind in ("front", "static_front"):
        for row in data[kind]:
            assert {key: type(row[key]) for key in KEYS} == KEYS
            placed = [value is not None for value in row["thresholds"]]
            assert len(placed) == 4
            assert row["exits"] == sum(placed)
            assert (row["exits"] > 0) == (kind == "front")
            assert len(row["utilization"]) == 5
            assert sum(row["utilization"]) == pytest.approx(1)
            assert not any(u for u, there in zip(row["utilization"], placed, strict=False) if not there)
            assert 0 <= row["test_accuracy"] <= 1
            assert 0 < row["ada_macs"] <= row["executed_macs"]
            if kind == "static_front":
                assert row["ada_macs"] == row["executed_macs"] == row["backbone_macs"]
                assert row["test_accuracy"] == row["backbone_test_accuracy"]


def test_the_reported_accuracy_is_that_of_the_test_part_alone(undisturbed: Path, pictures: Path) -> None:
    data = result_of(undisturbed)
    settings = resolve([("", data["settings"])])
    parts = split(Folder(path=str(pictures)).load(8, 0), settings.split, 0)
    assert data["classes"] == sorted(CLASSES)
    retest(undisturbed, parts, data["front"] + data["static_front"])


def test_records_of_the_run(undisturbed: Path) -> None:
    data = result_of(undisturbed)
    archive = recorded(undisturbed)
    assert data["evaluations"] == len(archive) == 9
    assert data["failed"] == 0
    assert data["stopped"] == "completed"
    assert len(data["hypervolume"]) == 2
    environment = json.loads((undisturbed / "env.json").read_text())
    assert environment["seed"] == 0
    assert environment["device"] == "cpu"
    assert environment["versions"]["torch"]
    log = [json.loads(line) for line in (undisturbed / "log.jsonl").read_text().splitlines()]
    told = [line["id"] for line in log if line["event"] == "edanas_candidate_evaluated"]
    assert told == [evaluation.candidate.id for _, evaluation in archive]
    assert [x["iteration"] for x in log if x["event"] == "edanas_iteration_finished"] == [0, 1]
    with (undisturbed / "pareto.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [row["id"] for row in data["pareto"]]
    assert {row["id"] for row in rows} <= set(told)


def test_the_plots_are_pictures_and_the_page_needs_nothing_else(undisturbed: Path) -> None:
    root = ElementTree.parse(undisturbed / "pareto.svg").getroot()
    assert root.tag.endswith("svg")
    with Image.open(undisturbed / "pareto.png") as picture:
        assert np.asarray(picture).std() > 1
    page = (undisturbed / "report.html").read_text()
    assert "<svg" in page
    loaded = re.findall(r"""(?:src|href|action|data|poster)\s*=\s*["']?([^"'\s>]+)""", page)
    assert not [target for target in loaded if re.match(r"(https?:)?//", target)]
    assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//|<script\s|<link|<iframe", page)
    for row in result_of(undisturbed)["front"]:
        assert f"models/eenn-{row['exits']}-{row['id']}" in page
        for example in row["examples"]:
            content = (undisturbed / example["file"]).read_bytes()
            assert base64.b64encode(content).decode() in page
    for _, evaluation in recorded(undisturbed):
        assert f"Candidate {evaluation.candidate.id}, iteration {evaluation.iteration}" in page


def test_a_run_of_an_older_edanas_has_a_page_too(edanas: Edanas, finished: Path) -> None:
    data = result_of(finished)
    for key in ("iterations", "hypervolume", "candidates"):
        data.pop(key)
    for row in data["front"] + data["static_front"]:
        for key in ("stage_macs", "head_macs", "last_macs", "examples"):
            row.pop(key)
    (finished / "result.json").write_text(json.dumps(data))
    for gone in ("log.jsonl", "archive.sqlite"):
        (finished / gone).unlink()
        told = edanas("report", finished)
        assert told.code == 0, told.err
        page = (finished / "report.html").read_text()
        assert "Early-exit network" in page
        assert "<img" not in page


def test_report_shows_a_run_and_writes_its_views_anew(edanas: Edanas, finished: Path) -> None:
    before = (finished / "result.json").read_bytes()
    for name in ("pareto.svg", "pareto.png", "report.html", "pareto.csv"):
        (finished / name).unlink()
    told = edanas("report", finished)
    assert (told.code, told.err) == (0, "")
    assert "thresholds" in told.out
    assert {path.name for path in finished.iterdir()} == FILES
    assert (finished / "result.json").read_bytes() == before
    told = edanas("report", finished, "--json")
    assert json.loads(told.out) == json.loads(before)


def test_every_read_command_has_json(edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path) -> None:
    listed = json.loads(edanas("plugins", "--json").out)
    assert "mbv3-sm" in [entry["name"] for entry in listed["entries"] if entry["kind"] == "bundle"]
    assert (listed["broken"], listed["conflicts"]) == ([], [])
    assert json.loads(edanas("doctor", "--json").out)["plugins"]["extensions"] == len(listed["entries"])
    told = edanas(*arguments, "--out", tmp_path / "run", "--max-evals", 3, "--json")
    assert json.loads(told.out) == result_of(tmp_path / "run")


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = edanas(*arguments, "--dry-run", "--out", "run")
    assert told.code == 0, told.err
    assert "recalibration = 32" in told.out
    # Two depths with 2 or 2 x 2 kernels in each of 5 stages, and 3 choices at each of 4 exit points.
    shown = dict(line.split(": ", 1) for line in told.out.splitlines() if ": " in line)
    assert int(shown["space size"].replace(",", "")) == 6**5 * 3**4
    assert shown["candidates"] == "9"
    assert shown["median backbone macs"].endswith("M")
    assert re.fullmatch(r"about \d+ s", shown["seconds here"])
    data = json.loads(edanas(*arguments, "--dry-run", "--json").out)
    assert data["settings"]["search"]["initial"] == 6
    assert data["smallest_backbone_macs"] <= data["median_backbone_macs"] <= data["largest_backbone_macs"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "given", [["--preset", "paper"], ["--data", "cifar10"], ["--data", "cifar10", "--download"]]
)
def test_a_dry_run_without_the_data_says_what_it_can_and_downloads_nothing(
    edanas: Edanas, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a dry run has no business there")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", refuse)
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "--device", "cpu", *given, "--dry-run"]
    if "paper" not in given:
        arguments += ["--config", str(tiny)]
    told = edanas(*arguments)
    assert told.code == 0, told.err
    shown = dict(line.split(": ", 1) for line in told.out.splitlines() if ": " in line)
    assert shown["seconds here"] == shown["total macs"] == "unknown until the data is there"
    assert shown["median backbone macs"].endswith("M")
    assert "3 channels and 10 classes" in shown["unknown"]
    assert "data 'cifar10': not found" in shown["unknown"]
    data = json.loads(edanas(*arguments, "--json").out)
    assert data["seconds_here"] is data["total_macs"] is data["train_images"] is None
    assert 0 < data["smallest_backbone_macs"] <= data["largest_backbone_macs"]
    assert "cifar10" in json.dumps(data["settings"]["data"])
    assert list(tmp_path.iterdir()) == []


def test_its_config_repeats_a_run(edanas: Edanas, undisturbed: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    told = edanas("run", "--config", undisturbed / "config.toml", "--out", again)
    assert told.code == 0, told.err
    assert recorded(again) == recorded(undisturbed)
    for kind in ("front", "static_front", "pareto", "settings"):
        assert result_of(again)[kind] == result_of(undisturbed)[kind]
    assert read_toml(again / "config.toml") == read_toml(undisturbed / "config.toml")


def test_another_seed_makes_another_run(
    edanas: Edanas, arguments: tuple[str, ...], undisturbed: Path, tmp_path: Path
) -> None:
    told = edanas(*arguments, "--out", tmp_path / "run", "--seed", 1, "--max-evals", 6)
    assert told.code == 0, told.err
    assert result_of(tmp_path / "run")["seed"] == 1
    first, second = recorded(undisturbed)[2:6], recorded(tmp_path / "run")[2:6]
    assert [e.candidate for _, e in first] != [e.candidate for _, e in second]


def test_verbose_prints_a_line_for_each_candidate_once_it_is_recorded(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    told = edanas(
        *arguments, "--out", tmp_path / "run", "--max-evals", 4, "-v", "--set", 'loggers=["tensorboard"]'
    )
    lines = re.findall(
        r"^iteration (\d+): (\w{12}), (.+), validation accuracy (.+)%, ADA_MACS (.+)M$",
        told.err,
        re.MULTILINE,
    )
    archive = recorded(tmp_path / "run")
    assert [(line[0], line[1]) for line in lines] == [(str(e.iteration), e.candidate.id) for _, e in archive]
    assert [float(line[3]) for line in lines] == [round(100 * e.metrics.accuracy, 1) for _, e in archive]
    (events,) = (tmp_path / "run" / "tensorboard").iterdir()
    for name in (b"candidate/validation_accuracy", b"search/hypervolume", b"result/test_accuracy"):
        assert name in events.read_bytes()
    for (*_, macs), (_, evaluation) in zip(lines, archive, strict=True):
        assert float(macs) == pytest.approx(evaluation.metrics.ada_macs / 1e6, abs=1e-3)


def test_without_out_a_new_folder_is_made_and_named(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = edanas(*arguments, "--max-evals", 2)
    assert told.code == 0, told.err
    (made,) = (tmp_path / "edanas-runs").iterdir()
    assert made.name.startswith("mbv3-sm-")
    assert told.err.splitlines()[0] == f"Folder: edanas-runs/{made.name}"
    assert (made / "result.json").exists()


def test_worker_processes_make_the_archive_that_one_process_makes(
    edanas: Edanas, arguments: tuple[str, ...], undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    told = edanas(*arguments, "--out", out, "--set", "executor=process", "--set", "executor.workers=2")
    assert told.code == 0, told.err
    assert recorded(out) == recorded(undisturbed)
    assert result_of(out)["front"] == result_of(undisturbed)["front"]
    assert result_of(out)["static_front"] == result_of(undisturbed)["static_front"]


def test_candidates_may_be_trained_one_by_one(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    told = edanas(*arguments, "--out", out, "--evaluation", "finetune", "--max-evals", 5)
    assert told.code == 0, told.err
    assert not (out / "supernet.pt").exists()
    assert result_of(out)["evaluations"] == 5
    assert result_of(out)["front"]
