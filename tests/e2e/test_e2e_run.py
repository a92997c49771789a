"""One run of the whole program, and the commands that read its folder."""

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
    "seconds.json",
    "supernet.pt",
}


def assert_test_repeats(folder: Path, parts: Any, rows: list[dict[str, Any]]) -> None:
    """Assert that each network, loaded from its files, has the test accuracy and utilization of its row."""
    for row in rows:
        network = package.load(folder / row["model"])
        prediction = network(parts.test.images)
        assert (prediction.label == parts.test.labels).double().mean().item() == row["test_accuracy"]
        shares = [
            (prediction.exit == place).double().mean().item() for place in range(len(row["utilization"]))
        ]
        assert shares == pytest.approx(row["utilization"], abs=1e-12)
        assert ((prediction.confidence >= 0) & (prediction.confidence <= 1)).all()


def test_networks_of_a_run_on_the_digits_repeat_their_test(
    edanas: Edanas, tiny_config: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    sizes = [f"--set={part}.batch_size=256" for part in ("training", "finetune")]
    output = edanas("run", "--plugin", "mbv3-sm", "--config", tiny_config, *sizes, "--out", out)
    assert output.code == 0, output.err
    for heading in ("exits", "ADA_", "backb.", "thresholds", "utilization %"):
        assert heading in output.out
    for name, path in (("Folder", out), ("Plot", out / "pareto.svg"), ("Report", out / "report.html")):
        assert re.search(rf"^{name}: +{re.escape(str(path))}$", output.out, re.MULTILINE)
    for label in ("Training the supernet", "Initial archive", "Search", "Fine-tuning the results"):
        assert re.search(rf"^{label}: (\d+) of \1 in ", output.err, re.MULTILINE)
    data = result_of(out)
    assert data["samples"]["test"] == 359
    settings = resolve([("", data["settings"])])
    parts = split(Digits().load(8, 0), settings.split, 0)
    assert_test_repeats(out, parts, data["front"] + data["static_front"])


def test_the_run_folder_holds_exactly_the_expected_files(reference: Path) -> None:
    assert {path.name for path in reference.iterdir()} == FILES
    data = result_of(reference)
    stems = {f"eenn-{row['exits']}-{row['id']}" for row in data["front"] + data["static_front"]}
    models = {path.name for path in (reference / "models").iterdir()}
    ids = {stem.split("-")[2] for stem in stems}
    plain = {row["id"] for row in data["plain"]}
    assert len(plain) == 3
    assert models == {
        *(f"{stem}.{ending}" for stem in stems | plain for ending in ("json", "safetensors")),
        *(f"{name}.row.json" for name in ids | plain),
        "plain-plan.json",
    }


def test_the_result_has_the_documented_shape(reference: Path) -> None:
    data = result_of(reference)
    assert {"front", "static_front", "settings", "seed"} <= set(data)
    assert (data["seed"], data["settings"]["seed"]) == (0, 0)
    assert len(data["front"]) == 2
    assert data["static_front"]
    for row in data["plain"]:
        assert {key: type(row[key]) for key in KEYS} == KEYS
        assert row["ada_macs"] == row["executed_macs"] == row["backbone_macs"]
        assert isinstance(row["wins"], bool)
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


def test_the_reported_accuracy_is_that_of_the_test_part_alone(reference: Path, pictures: Path) -> None:
    data = result_of(reference)
    settings = resolve([("", data["settings"])])
    parts = split(Folder(path=str(pictures)).load(8, 0), settings.split, 0)
    assert data["classes"] == sorted(CLASSES)
    assert_test_repeats(reference, parts, data["front"] + data["static_front"] + data["plain"])


def test_result_log_archive_and_table_agree(reference: Path) -> None:
    data = result_of(reference)
    archive = recorded(reference)
    assert data["evaluations"] == len(archive) == 9
    assert data["failed"] == 0
    assert data["stopped"] == "completed"
    assert len(data["hypervolume"]) == 2
    environment = json.loads((reference / "env.json").read_text())
    assert environment["seed"] == 0
    assert environment["device"] == "cpu"
    assert environment["versions"]["torch"]
    log = [json.loads(line) for line in (reference / "log.jsonl").read_text().splitlines()]
    ids = [line["id"] for line in log if line["event"] == "edanas_candidate_evaluated"]
    assert ids == [evaluation.candidate.id for _, evaluation in archive]
    assert [x["iteration"] for x in log if x["event"] == "edanas_iteration_finished"] == [0, 1]
    with (reference / "pareto.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [row["id"] for row in data["pareto"]]
    # Members of the Pareto set lack unused exits, and backbones behind them.
    evaluated = {name for _, e in archive for name in e.candidate.backbone.choices}
    for row in data["pareto"]:
        assert {pair for pair in row["backbone"].items() if pair[0] != "stages"} <= evaluated
        assert row["exits"] == sum(threshold is not None for threshold in row["thresholds"])


def test_plots_are_images_and_the_page_needs_no_other_file(reference: Path) -> None:
    root = ElementTree.parse(reference / "pareto.svg").getroot()
    assert root.tag.endswith("svg")
    with Image.open(reference / "pareto.png") as picture:
        assert np.asarray(picture).std() > 1
    page = (reference / "report.html").read_text()
    assert "<svg" in page
    loaded = re.findall(r"""(?:src|href|action|data|poster)\s*=\s*["']?([^"'\s>]+)""", page)
    assert not [target for target in loaded if re.match(r"(https?:)?//", target)]
    assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//|<script\s|<link|<iframe", page)
    for row in result_of(reference)["front"]:
        assert f"models/eenn-{row['exits']}-{row['id']}" in page
        for example in row["examples"]:
            content = (reference / example["file"]).read_bytes()
            assert base64.b64encode(content).decode() in page
    for _, evaluation in recorded(reference):
        assert f"Candidate {evaluation.candidate.id}, iteration {evaluation.iteration}" in page


def test_a_run_of_an_older_version_has_a_page(edanas: Edanas, finished_run: Path) -> None:
    data = result_of(finished_run)
    for key in ("iterations", "hypervolume", "candidates"):
        data.pop(key)
    for row in data["front"] + data["static_front"]:
        for key in ("stage_macs", "head_macs", "last_macs", "examples"):
            row.pop(key)
    (finished_run / "result.json").write_text(json.dumps(data))
    for gone in ("log.jsonl", "archive.sqlite"):
        (finished_run / gone).unlink()
        output = edanas("report", finished_run)
        assert output.code == 0, output.err
        page = (finished_run / "report.html").read_text()
        assert "Early-exit network" in page
        assert "<img" not in page


def test_report_prints_a_run_and_writes_its_views_again(edanas: Edanas, finished_run: Path) -> None:
    before = (finished_run / "result.json").read_bytes()
    for name in ("pareto.svg", "pareto.png", "report.html", "pareto.csv"):
        (finished_run / name).unlink()
    output = edanas("report", finished_run)
    assert (output.code, output.err) == (0, "")
    assert "thresholds" in output.out
    assert {path.name for path in finished_run.iterdir()} == FILES
    assert (finished_run / "result.json").read_bytes() == before
    output = edanas("report", finished_run, "--json")
    assert json.loads(output.out) == result_of(finished_run)


def test_every_read_command_has_json(edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path) -> None:
    listed = json.loads(edanas("plugins", "--json").out)
    assert "mbv3-sm" in [entry["name"] for entry in listed["entries"] if entry["kind"] == "bundle"]
    assert (listed["broken"], listed["conflicts"]) == ([], [])
    assert json.loads(edanas("doctor", "--json").out)["plugins"]["extensions"] == len(listed["entries"])
    output = edanas(*arguments, "--out", tmp_path / "run", "--max-evals", 3, "--json")
    assert json.loads(output.out) == result_of(tmp_path / "run")


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = edanas(*arguments, "--dry-run", "--out", "run")
    assert output.code == 0, output.err
    assert "recalibration = 32" in output.out
    # A network has 1 to 5 stages, each with two depths with 2 or 2 x 2 kernels; an exit has 3 choices.
    values = dict(line.split(": ", 1) for line in output.out.splitlines() if ": " in line)
    assert int(values["space size"].replace(",", "")) == sum(
        6**stages * 3 ** (stages - 1) for stages in range(1, 6)
    )
    assert values["candidates"] == "9"
    assert values["median backbone macs"].endswith("M")
    assert re.fullmatch(r"about \d+(\.\d)? s|about \d+ min( \d+ s)?", values["seconds here"])
    data = json.loads(edanas(*arguments, "--dry-run", "--json").out)
    assert data["settings"]["search"]["initial"] == 6
    assert data["smallest_backbone_macs"] <= data["median_backbone_macs"] <= data["largest_backbone_macs"]
    assert 0 <= data["plain_networks_seconds_here"] < data["seconds_here"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "flags", [["--preset", "paper"], ["--data", "cifar10"], ["--data", "cifar10", "--download"]]
)
def test_a_dry_run_without_the_data_prints_an_estimate_and_downloads_nothing(
    edanas: Edanas, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a dry run must not connect or download")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", refuse)
    monkeypatch.setenv("EDANAS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "--device", "cpu", *flags, "--dry-run"]
    if "paper" not in flags:
        arguments += ["--config", str(tiny_config)]
    output = edanas(*arguments)
    assert output.code == 0, output.err
    values = dict(line.split(": ", 1) for line in output.out.splitlines() if ": " in line)
    assert values["seconds here"] == values["total macs"] == "unknown until the data is there"
    assert values["median backbone macs"].endswith("M")
    assert "3 channels and 10 classes" in values["unknown"]
    assert "data 'cifar10': not found" in values["unknown"]
    data = json.loads(edanas(*arguments, "--json").out)
    assert data["seconds_here"] is data["total_macs"] is data["train_samples"] is None
    assert 0 < data["smallest_backbone_macs"] <= data["largest_backbone_macs"]
    assert "cifar10" in json.dumps(data["settings"]["data"])
    assert list(tmp_path.iterdir()) == []


def test_the_saved_settings_repeat_a_run(edanas: Edanas, reference: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    output = edanas("run", "--config", reference / "config.toml", "--out", again)
    assert output.code == 0, output.err
    assert recorded(again) == recorded(reference)
    for kind in ("front", "static_front", "pareto", "settings"):
        assert result_of(again)[kind] == result_of(reference)[kind]
    assert read_toml(again / "config.toml") == read_toml(reference / "config.toml")


def test_another_seed_gives_another_run(
    edanas: Edanas, arguments: tuple[str, ...], reference: Path, tmp_path: Path
) -> None:
    output = edanas(*arguments, "--out", tmp_path / "run", "--seed", 1, "--max-evals", 6)
    assert output.code == 0, output.err
    assert result_of(tmp_path / "run")["seed"] == 1
    first, second = recorded(reference)[2:6], recorded(tmp_path / "run")[2:6]
    assert [e.candidate for _, e in first] != [e.candidate for _, e in second]


def test_verbose_prints_a_line_for_each_stored_candidate(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    output = edanas(
        *arguments, "--out", tmp_path / "run", "--max-evals", 4, "-v", "--set", 'loggers=["tensorboard"]'
    )
    lines = re.findall(
        r"^iteration (\d+): (\w{12}), (.+), validation accuracy (.+)%, ADA_MACS (.+)M$",
        output.err,
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


def test_without_out_a_new_folder_is_created_and_named(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output = edanas(*arguments, "--max-evals", 2)
    assert output.code == 0, output.err
    (folder,) = (tmp_path / "edanas-runs").iterdir()
    assert folder.name.startswith("mbv3-sm-")
    purpose, place, *_ = output.err.splitlines()
    assert purpose.startswith("edanas run: trains a supernet on the samples of ")
    assert place == f"Folder: edanas-runs/{folder.name}"
    assert (folder / "result.json").exists()


def test_worker_processes_give_the_archive_of_one_process(
    edanas: Edanas, arguments: tuple[str, ...], reference: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    output = edanas(*arguments, "--out", out, "--set", "executor=process", "--set", "executor.workers=2")
    assert output.code == 0, output.err
    assert recorded(out) == recorded(reference)
    assert result_of(out)["front"] == result_of(reference)["front"]
    assert result_of(out)["static_front"] == result_of(reference)["static_front"]
    rows = [*result_of(out)["front"], *result_of(out)["static_front"]]
    for file in (file for row in rows for file in row["files"]):
        assert (out / file).read_bytes() == (reference / file).read_bytes()


def test_candidates_are_trained_one_by_one_with_finetune(
    edanas: Edanas, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    output = edanas(*arguments, "--out", out, "--evaluation", "finetune", "--max-evals", 5)
    assert output.code == 0, output.err
    assert not (out / "supernet.pt").exists()
    assert result_of(out)["evaluations"] == 5
    assert result_of(out)["front"]
