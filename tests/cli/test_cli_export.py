import json
import shutil
import sys
from pathlib import Path

import pytest
from exported_nets import network
from PIL import Image

import edanas
from edanas.cli import main
from edanas.core.errors import ConfigError, DataError
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.exporting import export
from edanas.model.labelled_samples import read_labelled_samples, read_two_parts
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    return SafetensorsExporter().export(network(), folder / "eenn-2.v1")[0]


def test_every_form_is_written_checked_and_told_of(model, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    forms = ["onnx", "onnx-if", "onnx-int8", "c-header"]
    to = [word for form in forms for word in ("--to", form)]
    out = tmp_path / "new" / "folder"
    assert main(["export", str(model), *to, "--out", str(out), "--data", "digits"]) == 0
    output = capsys.readouterr().out
    for path in out.iterdir():
        assert path.name.startswith("eenn-2.v1.")
        assert str(path) in output
    assert [line.split(":")[0] for line in output.splitlines() if line[0] != " "] == forms
    assert output.count("checked on 256 samples: 256 have the same label and exit") == 2
    assert output.count("checked on 256 samples") == 3
    assert "not checked: this form is not run by itself" in output
    figures = json.loads((out / "eenn-2.v1.int8.onnx.json").read_text())["int8"]
    assert f"int8: accuracy {figures['accuracy']['int8']:.2%}" in output
    assert figures["accuracy"]["images"] == 899  # half of all digits; the scales come from the other
    assert figures["calibration_images"] == 256


def test_a_form_that_does_not_run_needs_no_images(model, tmp_path):
    (result,) = export(model, ["c-header"], tmp_path)
    assert result.check is None
    assert [path.name for path in result.files] == ["eenn-2.v1.h"]


def test_a_network_in_memory_is_exported_where_one_stands(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (result,) = edanas.export(network(), "pt2-cond", data="digits")
    assert {path.name for path in result.files} == {"eenn.cond.json", "eenn.cond.pt2"}
    assert result.check.same == result.check.images
    with pytest.raises(ConfigError, match="the network's file is not in a run folder"):
        edanas.export(network(), "pt2-cond")


def failing(capsys, *words):
    assert main(["export", *map(str, words)]) == 2
    return capsys.readouterr().err


def test_wrong_inputs_get_one_sentence_and_write_nothing(model, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    there = ["--out", out]
    output = failing(capsys, model, "--to", "onxx", *there)
    assert "unknown exporter 'onxx'. Did you mean 'onnx'?" in output
    assert "c-header" in output
    assert "none.json: cannot be read" in failing(capsys, tmp_path / "none.json", *there)
    assert "the network's file is not in a run folder" in failing(capsys, model, *there)
    assert "nowhere" in failing(capsys, model, *there, "--data", str(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    assert "cannot be created as a folder" in failing(capsys, model, "--out", tmp_path / "file")
    broken = [shutil.copy(path, tmp_path / path.name) for path in model.parent.iterdir()]
    weights = next(path for path in broken if path.suffix == ".safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "damaged" in failing(capsys, broken[0], *there)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'edanas[onnx]'" in failing(capsys, model, *there)
    assert not out.exists() or not list(out.iterdir())


@pytest.fixture
def folders(tmp_path):
    """Digits in class folders of named parts; a part's pictures all have one grey value of their own."""

    def write(**parts):
        for part, (grey, count) in parts.items():
            for at in range(count):
                path = tmp_path / "data" / part / network().classes[at % 10] / f"{at}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (12, 12), grey).save(path)
        return str(tmp_path / "data")

    return write


def greys(model, data):
    registry = Registry(load_plugins())
    result = read_two_parts(registry, network(), model, data)
    return [(sorted(set(each.images.unique().tolist())), len(each)) for each in result]


def test_scales_are_never_from_what_the_data_names_test(model, folders):
    assert greys(model, folders(train=(10, 20), test=(200, 20))) == [([10], 10), ([10], 10)]


def test_the_validation_folder_of_the_data_is_measured_on(model, folders):
    data = folders(train=(10, 20), validation=(90, 30), test=(200, 10))
    assert greys(model, data) == [([10], 20), ([90], 30)]


def test_unreadable_files_are_refused_or_skipped(model, folders):
    data = folders(train=(10, 20), validation=(90, 30))
    (Path(data) / "train" / network().classes[0] / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"broken\.png.*--skip-unreadable"):
        greys(model, data)
    registry = Registry(load_plugins())
    parts = read_two_parts(registry, network(), model, data, skip_unreadable=True)
    assert [len(part) for part in parts] == [20, 30]
    labelled = read_labelled_samples(registry, network(), model, data, "train", skip_unreadable=True)
    assert (len(labelled.samples), "broken.png" in " ".join(labelled.remarks)) == (20, True)
