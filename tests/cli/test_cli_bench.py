import importlib.util
import json
import shutil

import numpy as np
import pytest
from exported_nets import network, samples
from small_runs import workbench

import edanas
from edanas.benchmark.forms import Form
from edanas.benchmark.peak_memory import peak_memory
from edanas.cli import main
from edanas.core.config import to_toml
from edanas.core.errors import ConfigError, DataError, ExportError
from edanas.deploy.resource_meters import MemoryMeter
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.exporting import export


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder with two networks, one of them in further forms where they can be written."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "models").mkdir()
    (folder / "config.toml").write_text(to_toml(workbench(folder).settings))
    (folder / "env.json").write_text("{}")
    SafetensorsExporter().export(network(), folder / "models" / "eenn-2.v1")
    SafetensorsExporter().export(network(1, (0,)), folder / "models" / "eenn-1")
    if importlib.util.find_spec("onnxruntime"):
        export(folder / "models" / "eenn-2.v1.json", ["onnx", "onnx-if"])
    return folder


@pytest.fixture
def model(run, tmp_path):
    for ending in ("json", "safetensors"):
        shutil.copy(run / "models" / f"eenn-2.v1.{ending}", tmp_path)
    return tmp_path / "eenn-2.v1.json"


def bench(*words):
    return main(["bench", *map(str, words), "--device", "cpu"])


FEW = ("--samples", 12, "--repeats", 2, "--no-memory")


def sound(form, sizes):
    assert [each["batch_size"] for each in form["batches"]] == sizes
    assert sum(each["share"] for each in form["exits"]) == pytest.approx(1.0)
    timings = [each["latency"] for each in (*form["exits"], *form["batches"])]
    for timing in filter(None, [*timings, *(each["backbone"] for each in form["batches"])]):
        assert 0.0 < timing["p50"] <= timing["p95"] <= timing["p99"]
        assert timing["mean"] > 0.0
    for each in form["batches"]:
        if each["backbone"] is not None:
            assert each["speed_up"] == pytest.approx(each["backbone"]["mean"] / each["latency"]["mean"])
            assert each["of_macs_ratio"] == pytest.approx(each["speed_up"] / form["macs_ratio"])


def test_the_networks_of_a_run_with_the_forms_that_lie_beside_them(run, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    figures, plot = tmp_path / "bench.json", tmp_path / "bench.svg"
    command = [run, *FEW, "--batch-sizes", "1,4", "--batch-sizes", "8", "--json", figures, "--plot", plot]
    assert bench(*command) == 0
    output = capsys.readouterr().out
    result = json.loads(figures.read_text())
    assert [each["model"] for each in result["networks"]] == ["eenn-1", "eenn-2.v1"]
    one, two = result["networks"]
    assert [form["form"] for form in one["forms"]] == ["torch", "torch-frozen"]
    assert [form["form"] for form in two["forms"]] == ["torch", "torch-frozen", "onnx", "onnx-if"]
    for form in (*one["forms"], *two["forms"]):
        sound(form, [1, 4, 8])
        assert (form["same"], form["compared"]) == (12, 12)
    assert [each["exit_number"] for each in two["forms"][0]["exits"]] == [2, 4, 5]
    assert two["backbone_macs"] / two["forms"][0]["executed_macs"] == two["forms"][0]["macs_ratio"]
    nested = two["forms"][3]
    assert {each["speed_up"] for each in nested["batches"]} == {None}
    assert any("onnx-if has no backbone to compare with" in remark for remark in two["remarks"])
    assert one["part"] == "the run's calibration part"
    assert result["machine"]["threads"] == 1
    assert result["machine"]["versions"]["torch"]
    assert "one thread" in result["clock"]
    for words in ("eenn-2.v1: 12 samples", "torch-frozen", "last exit", "seed 0", str(figures), str(plot)):
        assert words in output
    drawn = plot.read_text()
    assert "measured speed-up" in drawn
    assert "eenn-2.v1, onnx" in drawn


def test_forms_that_do_not_lie_there_are_written_elsewhere(model, capsys):
    pytest.importorskip("onnxruntime")
    before = sorted(model.parent.iterdir())
    command = [model, "--data", "digits", *FEW, "--batch-sizes", 3, "--forms", "onnx-int8,torch-frozen"]
    assert bench(*command) == 0
    output = capsys.readouterr().out
    assert "onnx-int8" in output
    assert "all of digits" in output
    assert sorted(model.parent.iterdir()) == before


@pytest.mark.skipif(not MemoryMeter.works(), reason="the system does not report peak memory")
def test_memory_is_asked_of_each_form_that_runs(model):
    forms = [Form("pt2", True, model.with_name("none.pt2.json")), Form("torch", True, None)]
    images = samples().images.numpy()
    memory = peak_memory(model, forms, images, [4096], 1)
    assert set(memory) == {"torch"}  # the other's files are missing
    assert 4 * 4096 * images[0].size < memory["torch"] < 4e9  # the images as floats alone


def test_a_network_in_memory_on_images_in_memory():
    loaded = network()
    scheme = loaded.scheme
    result = edanas.bench(
        loaded,
        samples(),
        forms=["torch"],
        batch_sizes=[2],
        samples=10,
        repeats=1,
        memory=False,
        threads=2,
    )
    (benched,) = result.networks
    (form,) = benched.forms
    assert (benched.samples, form.memory, loaded.scheme) == (10, None, scheme)
    assert all(each.timing is None for each in form.exits)  # nothing was measured one by one
    assert form.batches[0].early.seconds.shape == (1, 5)
    assert result.clock == "wall time"
    drawn = np.random.default_rng(0).permutation(28)[:10]
    chosen = samples().subset(drawn)
    label, left_at, _ = loaded(chosen.images)
    assert form.accuracy == (label == chosen.labels).float().mean()
    assert [each.share for each in form.exits] == [(left_at == at).float().mean() for at in (1, 3, 4)]


def test_a_form_of_other_thresholds_is_no_form_of_this_network(run, model):
    pytest.importorskip("onnxruntime")
    for path in (run / "models").glob("eenn-2.v1.*onnx*"):
        shutil.copy(path, model.parent)
    tuned = edanas.load(model)
    tuned.scheme = tuple(None if each is None else 0.0 for each in tuned.scheme.thresholds)
    SafetensorsExporter().export(tuned, model.with_suffix(""))
    with pytest.raises(ExportError, match=r"eenn-2\.v1\.onnx\.json: "):
        edanas.bench(model, samples(), memory=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["MODEL"], "the network's file is not in a run folder"),
        (["MODEL", "--data", "digts"], "Did you mean 'digits'"),
        (["MODEL", "--data", "digits", "--forms", "onxx"], "Did you mean 'onnx'"),
        (
            ["MODEL", "--data", "digits", "--forms", "c-header"],
            "found 'c-header', whose files edanas cannot run",
        ),
        (["MODEL", "--data", "digits", "--forms", ","], "forms: found none"),
        (["MODEL", "--data", "digits", "--batch-sizes", "1,zwei"], "--batch-sizes: found 'zwei'"),
        (["MODEL", "--data", "digits", "--batch-sizes", "0"], "--batch-sizes: found '0'"),
        (["MODEL", "--data", "digits", "--threads", "0"], "threads: found 0"),
        (["MODEL", "--data", "digits", "--samples", "0"], "samples: found 0"),
        (["MODEL", "--data", "digits", "--repeats", "-1"], "repeats: found -1"),
        (["MODEL", "--data", "digits", "--plot", "a.gif"], "'a.gif' ends in '.gif'"),
        (["MODEL", "--data", "digits", "--plot", "no/a.svg"], "no: no such folder"),
        (["MODEL", "--data", "digits", "--json", "no/a.json"], "no: no such folder"),
        (["MODEL", "--data", "digits", "--json", "."], "is a folder"),
        (["none.json", "--data", "digits"], "none.json: cannot be read"),
        (["empty"], "empty: holds no network"),
    ],
)
def test_wrong_input_is_one_clear_error(arguments, message, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert bench(*(str(model) if each == "MODEL" else each for each in arguments)) == 2
    output = capsys.readouterr().err
    assert message in output
    assert "Traceback" not in output


def test_sizes_and_samples_are_checked_in_python_too():
    with pytest.raises(ConfigError, match="batch_sizes: found \\[\\]"):
        edanas.bench(network(), samples(), batch_sizes=[])
    with pytest.raises(ConfigError, match="models: found none"):
        edanas.bench([], samples())
    with pytest.raises(DataError, match="data: the passed data has no samples"):
        edanas.bench(network(), samples().subset(np.arange(0)))
