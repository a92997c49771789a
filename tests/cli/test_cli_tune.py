import json

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import parts, space, workbench

import edanas
from edanas.cli import main
from edanas.core.archive import Archive
from edanas.core.config import to_toml
from edanas.core.types import SelectionScheme
from edanas.data.digits import Digits
from edanas.data.splits import digest_of, split
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.anatomy import Anatomy
from edanas.model.labelled_samples import OTHER_SAMPLES
from edanas.model.profiling import collect_profile
from edanas.model.run_settings import TRAIN
from edanas.thresholds.profiles import outcome


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """One division of the samples instead of five: intervals have tests of their own."""
    monkeypatch.setattr("edanas.thresholds.optimism._REPEATS", 1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    bench = workbench(folder)
    backbone = space().sample_backbone(np.random.default_rng(0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        staged = bench.provider.build(backbone, bench.parts.task)
        heads = bench.fresh_heads(staged, (0, 2))
    network = bench.network(staged, heads, SelectionScheme((0.1, None, 0.1, None)))
    bench.recalibrate(network)
    network.description = bench.describe(backbone)
    described, _ = SafetensorsExporter().export(network, folder / "net")
    return described


@pytest.fixture
def model(saved, tmp_path):
    """A copy in a folder of its own."""
    (tmp_path / "models").mkdir()
    for ending in (".json", ".safetensors"):
        copy = tmp_path / "models" / f"net{ending}"
        copy.write_bytes(saved.with_suffix(ending).read_bytes())
    return copy


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """28 digits as files in class folders."""
    folder = tmp_path_factory.mktemp("digits")
    samples = parts().test
    for at, (image, label) in enumerate(zip(samples.images, samples.labels.tolist(), strict=True)):
        path = folder / samples.classes[label] / f"{at:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image[0].numpy()).save(path)
    return folder


def affordable(model):
    """A budget between the cheapest and the dearest."""
    costs = Anatomy.of(edanas.load(model), 1).costs
    return (costs.stages[0] + sum(costs.stages) + costs.last) / 2


def tune(*arguments):
    return main(["tune", *map(str, arguments), "--device", "cpu"])


def test_a_folder_of_labelled_images(model, pictures, capsys):
    before = {path.name: path.read_bytes() for path in model.parent.iterdir()}
    macs = affordable(model)
    assert tune(model, "--data", pictures, "--max-macs", f"{macs / 1e3:.3f}K") == 0
    output = capsys.readouterr().out
    assert "28 samples; budget: at most" in output
    assert "Tuned on all of " in output
    assert "28 samples are few" in output
    stem = model.with_name("net-tuned")
    assert before.items() <= {path.name: path.read_bytes() for path in model.parent.iterdir()}.items()
    assert "new thresholds" in stem.with_suffix(".svg").read_text()
    network = edanas.load(stem.with_suffix(".json"))
    known = outcome(collect_profile(network, parts().test), network.scheme)
    assert f"{100 * known.accuracy:.2f}%" in output
    assert not list(model.parent.glob(".*"))
    # Another name, since that one is taken.
    assert tune(model, "--data", pictures, "--min-accuracy", "1%") == 0
    assert stem.with_name("net-tuned-2.json").exists()


def test_json_and_a_plot_of_ones_own(model, pictures, tmp_path, capsys):
    plot = tmp_path / "trade-off.png"
    command = [model, "--data", pictures, "--max-latency", "1us", "--plot", plot, "--json"]
    assert tune(*command) == 2
    assert "max_latency: found 0.001 ms; possible" in capsys.readouterr().err
    command[command.index("--max-latency") : command.index("1us") + 1] = ["--min-accuracy", "0.01"]
    assert tune(*command, "--out", tmp_path / "new") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["samples"] == 28
    assert result["budget"] == {"quantity": "min_accuracy", "limit": 0.01}
    assert result["old"]["thresholds"] == [0.1, None, 0.1, None]
    assert edanas.load(tmp_path / "new.json").scheme.thresholds == tuple(result["new"]["thresholds"])
    costs = [each["cost"] for each in result["front"]]
    assert costs == sorted(costs)
    assert result["new"]["macs"]["here"] == pytest.approx(costs[0])
    assert sum(share["here"] for share in result["new"]["shares"]) == pytest.approx(1.0)
    assert result["files"][-1] == str(plot)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_plot_is_replaced_only_when_told(model, pictures, tmp_path, capsys):
    command = [model, "--data", pictures, "--min-accuracy", "0.01"]
    mine = model.with_name("net-tuned.svg")
    mine.write_text("mine")
    assert tune(*command) == 0
    assert mine.read_text() == "mine"
    assert model.with_name("net-tuned-2.svg").exists()
    assert tune(*command, "--out", model.with_name("net-tuned")) == 2
    assert "net-tuned.svg exists; choose another name" in capsys.readouterr().err
    assert mine.read_text() == "mine"


def test_the_original_is_replaced_only_when_told(model, pictures, capsys):
    old = model.with_suffix(".json").read_bytes()
    command = [model, "--data", pictures, "--min-accuracy", "0.01", "--out", model]
    assert tune(*command) == 2
    assert (
        "exists; choose another name, or --overwrite to replace the network itself" in capsys.readouterr().err
    )
    assert model.with_suffix(".json").read_bytes() == old
    assert tune(*command, "--overwrite") == 0
    assert edanas.load(model).description["tuning"]["samples"] == 28


def test_a_network_in_its_runs_folder_is_tuned_on_the_calibration_part(model, capsys):
    run = model.parent.parent
    bench = workbench(run)
    (run / "config.toml").write_text(to_toml(bench.settings))
    assert tune(model, "--min-accuracy", "1%") == 2
    assert "the network's file is not in a run folder" in capsys.readouterr().err
    (run / "env.json").write_text("{}")
    split_up = split(Digits().load(12, 0), bench.settings.split, bench.settings.seed)
    with Archive(run) as archive:
        archive.set_meta(TRAIN, digest_of(split_up.train))
    assert tune(model, "--min-accuracy", "1%", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["remarks"][0] == "Tuned on the run's calibration part."
    assert OTHER_SAMPLES not in result["remarks"]
    assert result["samples"] == len(split_up.calibration)
    with Archive(run) as archive:
        archive.set_meta(TRAIN, digest_of(split_up.test))
    assert tune(model, "--data", "digits", "--part", "test", "--min-accuracy", "1%", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["samples"] == len(split_up.test)
    assert any("no test accuracy any more" in remark for remark in result["remarks"])
    assert OTHER_SAMPLES in result["remarks"]


def test_a_run_with_damaged_settings_is_named(model, capsys):
    run = model.parent.parent
    (run / "env.json").write_text("{}")
    (run / "config.toml").write_text("seed = [")
    assert tune(model, "--min-accuracy", "1%") == 2
    assert "config.toml" in capsys.readouterr().err
    (run / "config.toml").write_text("sed = 1")
    assert tune(model, "--min-accuracy", "1%") == 2
    assert "Did you mean 'seed'" in capsys.readouterr().err


def test_images_without_labels(model, pictures, capsys):
    macs = affordable(model)
    assert tune(model, "--unlabelled", pictures, "--max-macs", macs, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["samples"] == 28
    assert result["new"]["accuracy"] is result["front"] is None
    assert result["new"]["macs"]["here"] <= macs
    network = edanas.load(result["files"][0])
    record = network.description["tuning"]
    assert record["unlabelled"] == 28
    assert record["executed_macs"] == pytest.approx(result["new"]["macs"]["here"])
    assert "accuracy" not in record
    answers = list(edanas.stream(network, pictures))
    shares = [sum(a.exit == at + 1 for a in answers) / 28 for at in range(5)]
    assert [share["here"] for share in result["new"]["shares"]] == pytest.approx(shares)
    assert tune(model, "--unlabelled", pictures, "--max-macs", macs) == 0
    output = capsys.readouterr().out
    assert "they have no labels" in output
    assert "accuracy  " not in output


def test_unreadable_images(model, pictures, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_text("nothing")
    command = [model, "--unlabelled", pictures, "--unlabelled", broken, "--max-macs", affordable(model)]
    assert tune(*command) == 2
    assert "broken.png: cannot be read as an image" in capsys.readouterr().err
    assert tune(*command, "--skip-unreadable") == 0
    assert "Files skipped because they cannot be read: 1." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "PICTURES"], "budget: found none"),
        (["--data", "PICTURES", "--max-macs", "5m"], "Did you mean '5M'"),
        (["--data", "PICTURES", "--max-macs", "3"], "possible on these samples"),
        (["--max-macs", "5M"], "data: none given, and the network's file is not in a run folder"),
        (["--max-macs", "5M", "--data", "digts"], "Did you mean 'digits'"),
        (["--max-macs", "5M", "--data", "PICTURES", "--part", "tests"], "Did you mean 'test'"),
        (["--max-macs", "5M", "--data", "PICTURES", "--part", "test"], "allowed: all"),
        (
            ["--max-macs", "5M", "--data", "OTHER"],
            "classes: found 'cat', a class that the network does not have",
        ),
        (["--max-macs", "5M", "--data", "PICTURES", "--plot", "a.gif"], "'a.gif' ends in '.gif'"),
        (["--max-macs", "5M", "--data", "PICTURES", "--plot", "no/a.svg"], "no: no such folder"),
        (["--max-macs", "5M", "--data", "PICTURES", "--out", "a.onnx"], "'a.onnx' ends in '.onnx'"),
        (["--max-macs", "5M", "--data", "PICTURES", "--out", "no/a"], "no: no such folder"),
        (["--max-macs", "5M", "--data", "PICTURES", "--overwrite"], "--overwrite: found without --out"),
        (["--max-macs", "5M", "--data", "x", "--unlabelled", "PICTURES"], "--data: found with --unlabelled"),
        (["--min-accuracy", "1", "--unlabelled", "PICTURES"], "--min-accuracy: found with --unlabelled"),
    ],
)
def test_wrong_input_is_one_clear_error(arguments, message, model, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "other" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "other" / name / "0.png")
    places = {"PICTURES": str(pictures), "OTHER": str(tmp_path / "other")}
    before = sorted(model.parent.iterdir())
    assert tune(model, *(places.get(each, each) for each in arguments)) == 2
    output = capsys.readouterr().err
    assert message in output
    assert "Traceback" not in output
    assert sorted(model.parent.iterdir()) == before
