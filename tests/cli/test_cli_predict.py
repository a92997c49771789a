import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import space, workbench

import edanas
from edanas.cli import main
from edanas.core.costs import executed_per_exit
from edanas.core.types import SelectionScheme
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.anatomy import Anatomy


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A saved network whose samples leave at more than one exit."""
    folder = tmp_path_factory.mktemp("saved")
    bench = workbench(folder)
    backbone = space().sample_backbone(np.random.default_rng(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        staged = bench.provider.build(backbone, bench.parts.task)
        heads = bench.fresh_heads(staged, (0, 2))
    network = bench.network(staged, heads, SelectionScheme((0.0, None, 0.0, None)))
    with torch.no_grad():
        for head in (*network.heads.values(), network.backbone.head):
            for parameter in head.parameters():
                parameter.mul_(3.0)  # no ties for rounding to break
    bench.recalibrate(network)
    images = bench.parts.test.images[:12]
    between = float(network.all_exits(images)[1][:, 0].quantile(0.5))  # two images' confidences
    network.scheme = (between, None, 1.0, None)
    network.description = bench.describe(backbone)
    described, _ = SafetensorsExporter().export(network, folder / "net")
    return described


@pytest.fixture
def pictures(model, tmp_path):
    """The same images as files, one of them below."""
    bench = workbench(tmp_path)
    folder = tmp_path / "pictures"
    (folder / "below").mkdir(parents=True)
    for at, image in enumerate(bench.parts.test.images[:12]):
        name = folder / ("below" if at == 11 else "") / f"{at:02}.png"
        Image.fromarray(image[0].numpy()).save(name)
    return folder


def expected(model, pictures):
    network = edanas.load(model)
    return network, list(edanas.stream(network, pictures))


def rows_of(network, answers):
    return [
        [a.name, a.class_name, "last" if a.exit == network.exit_points + 1 else str(a.exit)] for a in answers
    ]


def test_csv_has_a_line_for_each_image(model, pictures, tmp_path, capsys):
    out = tmp_path / "answers.csv"
    assert main(["predict", str(model), str(pictures), "--out", str(out), "--device", "cpu"]) == 0
    network, answers = expected(model, pictures)
    assert len({answer.exit for answer in answers}) == 2
    with out.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["sample", "class", "exit", "confidence"]
    assert [row[:3] for row in rows] == rows_of(network, answers)
    for row, answer in zip(rows, answers, strict=True):
        assert float(row[3]) == pytest.approx(answer.confidence, abs=1e-5)
    output = capsys.readouterr()
    assert output.out == ""
    assert "Predicting: 12 of 12" in output.err


def test_json_and_the_summary(model, pictures, capsys):
    arguments = ["predict", str(model), str(pictures), "--format", "json", "--batch-size", "5", "--no-freeze"]
    assert main([*arguments, "--compact", "never", "--device", "cpu"]) == 0
    output = capsys.readouterr()
    result = json.loads(output.out)
    network, answers = expected(model, pictures)
    assert [[row["sample"], row["class"], row["exit"]] for row in result["samples"]] == rows_of(
        network, answers
    )
    summary = result["summary"]
    assert (summary["samples"], summary["skipped"]) == (12, 0)
    counts = [sum(a.exit == at for a in answers) for at in (1, 3, 5)]
    assert summary["exits"] == dict(zip(("1", "3", "last"), counts, strict=True))
    each = executed_per_exit(Anatomy.of(network, 1).costs, network.scheme)
    assert summary["executed_macs"] == pytest.approx(np.mean([each[a.exit - 1] for a in answers]))
    assert f"12 samples; exits: 1 {counts[0] / 12:.1%}, 3 " in output.err
    assert "samples/s" in output.err


def test_a_table_without_out(model, pictures, capsys):
    files = [str(pictures / "03.png"), str(pictures / "below")]
    assert main(["predict", str(model), *files, "--device", "cpu"]) == 0
    output = capsys.readouterr()
    assert [name in output.out for name in ("03.png", "11.png", "02.png")] == [True, True, False]
    assert "2 samples" in output.err


def test_unreadable_images(model, pictures, tmp_path, capsys):
    (pictures / "broken.png").write_text("nothing")
    out = tmp_path / "answers.json"
    command = ["predict", str(model), str(pictures), "--out", str(out), "--device", "cpu"]
    assert main(command) == 2
    output = capsys.readouterr().err
    assert "Error: " in output
    assert "broken.png: cannot be read as an image" in output
    assert not out.exists()
    assert main([*command, "--skip-unreadable"]) == 0
    assert "1 unreadable and skipped" in capsys.readouterr().err
    assert json.loads(out.read_text())["summary"]["skipped"] == 1
    only = [*command[:2], str(pictures / "broken.png"), "--skip-unreadable", "--format", "csv"]
    assert main(only) == 0
    assert capsys.readouterr().out == "sample,class,exit,confidence\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "answers.txt"], "'answers.txt' ends neither in .csv nor in .json"),
        (["--out", "nowhere/answers.csv"], "nowhere: no such folder"),
        (["--format", "cvs"], "--format: found 'cvs'. Did you mean 'csv'?"),
        (["--compact", "maybe"], "compact: found 'maybe'"),
        (["--batch-size", "0"], "batch_size: found 0"),
        (["--device", "cuda:99"], "device: 'cuda:99' does not exist"),
        (["nothing.png"], "nothing.png: no such file or folder"),
    ],
)
def test_wrong_input_is_one_clear_error(arguments, message, model, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", str(model), str(pictures), *arguments]) == 2
    output = capsys.readouterr().err
    assert message in output
    assert "Traceback" not in output


def test_a_model_that_is_not_there(pictures, tmp_path, capsys):
    assert main(["predict", str(tmp_path / "net.json"), str(pictures)]) == 2
    assert "net.json: cannot be read" in capsys.readouterr().err


def test_a_budget_is_held_and_said(model, pictures, capsys):
    network = edanas.load(model)
    leaving = executed_per_exit(Anatomy.of(network, 1).costs, network.scheme)
    budget = int(np.nanmax(leaving)) - 1
    call = ["predict", str(model), str(pictures), "--device", "cpu", "--format", "json"]
    assert main([*call, "--hold-macs", str(budget)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["summary"]["held_macs"] == budget
    assert "executed on average, for a budget of" in err
    assert main([*call, "--hold-macs", "none"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["held_macs"] is None
    assert main([*call, "--hold-macs", "1"]) == 2
    assert "--hold-macs: found 1 MACs; possible with the placed exits: " in capsys.readouterr().err
