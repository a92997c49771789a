import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from exported_nets import PLACED, images, network, plain, samples, unsized_network
from series_networks import series_network, series_parts
from small_runs import parts
from torch import nn

from edanas.core.errors import ExportError
from edanas.core.types import ImageSet
from edanas.deploy.export_check import export_checked
from edanas.deploy.litert_export import LitertExporter, LitertInt8Exporter
from edanas.deploy.litert_micro import MicroNetwork
from edanas.deploy.run_litert import LitertNetwork
from edanas.exits.criteria import Entropy, MaxProbability, Patience, ScoreMargin
from edanas.exits.gates import LearnedGate
from edanas.exits.inference import Aggregate, EarlyStop

EXPORTERS = {"litert": LitertExporter, "litert-int8": LitertInt8Exporter}


@pytest.fixture(scope="module", autouse=True)
def _extra():
    pytest.importorskip("ai_edge_litert", reason="the extra `litert` is not installed")
    pytest.importorskip("tflite_micro", reason="the extra `litert` is not installed")


def exporter_of(name):
    exporter = EXPORTERS[name]()
    exporter.prepare(samples(), samples())
    return exporter


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("litert")
    return {
        name: export_checked(exporter_of(name), network(), folder / "net.v1", images()) for name in EXPORTERS
    }


def test_the_float_form_predicts_as_the_network_and_skips_segments(exported):
    paths, check = exported["litert"]
    assert check.same + check.rounded == len(images())
    assert check.difference < 1e-4
    assert check.computed[0] > check.computed[1] > check.computed[2] > 0
    assert [path.name for path in paths[:2]] == ["net.v1.litert.json", "net.v1.litert.segment1.tflite"]
    runner = LitertExporter().open(paths[0])
    last = network().all_exits(images())[0][:, -1].numpy()
    np.testing.assert_array_equal(runner.backbone(images().numpy()), last)


def test_int8_figures_are_what_the_files_give(exported):
    paths, check = exported["litert-int8"]
    manifest = json.loads(paths[0].read_text())
    figures = manifest["int8"]
    labels, exits, _ = LitertInt8Exporter().open(paths[0]).predict(images().numpy())
    right = samples().labels.numpy()
    assert figures["accuracy"]["int8"] == pytest.approx(np.mean(labels == right), abs=0.15)
    assert figures["accuracy"]["float32"] == pytest.approx(np.mean(plain(network()(images()))[0] == right))
    shares = [np.mean(exits == exit_) for exit_ in (*PLACED, 4)]
    np.testing.assert_allclose(figures["utilization"]["int8"], shares, atol=0.15)
    sizes = [path.stat().st_size for path in paths if path.suffix == ".tflite"]
    assert figures["bytes"]["int8"] == sum(sizes)
    assert figures["bytes"]["int8"] < 0.7 * figures["bytes"]["float32"]
    assert check.computed == tuple(int((exits > before).sum()) for before in (-1, *PLACED))
    thresholds = [each["threshold"] for each in manifest["segments"]]
    assert thresholds[:-1] != [network().scheme.thresholds[point] for point in PLACED]
    summary = LitertInt8Exporter().summary(paths[0])
    assert f"accuracy {figures['accuracy']['int8']:.2%}" in summary
    assert f"{sum(sizes) / 1024:.1f} kB" in summary


def test_int8_files_hold_integers_by_channel(exported):
    from ai_edge_litert.interpreter import Interpreter

    paths, _ = exported["litert-int8"]
    for path in (path for path in paths if path.suffix == ".tflite"):
        interpreter = Interpreter(model_content=path.read_bytes())
        interpreter.allocate_tensors()
        details = interpreter.get_tensor_details()
        assert {each["dtype"] for each in details} <= {np.int8, np.int32}
        kernels = [each for each in details if len(each["quantization_parameters"]["scales"]) > 1]
        assert len(kernels) >= 4
        for side in (interpreter.get_input_details(), interpreter.get_output_details()):
            assert {each["dtype"] for each in side} == {np.int8}


DECISIONS = [
    (EarlyStop(), MaxProbability()),
    (EarlyStop(), Entropy()),
    (EarlyStop(), Patience(2)),
    (Aggregate("mean"), ScoreMargin()),
    (Aggregate("geometric"), ScoreMargin()),
    (Aggregate("learned").build(10, 4), MaxProbability()),
]


@pytest.mark.parametrize(("rule", "criterion"), DECISIONS)
def test_every_rule_and_criterion_decides_alike(rule, criterion, tmp_path):
    decided = copy.deepcopy(network())
    decided.inference, decided.criterion = rule, criterion
    if getattr(rule, "weights", None) is not None:
        rule.weights.data = torch.linspace(-1.0, 1.0, 5)
    confidence = decided.all_exits(images())[1]
    middles = [float(confidence[:, column].quantile(0.47)) for column in (0, 1)]
    decided.scheme = (None, middles[0], None, middles[1])
    paths, check = export_checked(exporter_of("litert"), decided, tmp_path / "net", images())
    assert check.same + check.rounded == len(images())
    assert paths


@pytest.mark.parametrize("name", EXPORTERS)
def test_cells_of_heads_may_overlap(name, tmp_path):
    pooled = copy.deepcopy(network())
    cells = nn.AdaptiveMaxPool2d((3, 2)), nn.AdaptiveAvgPool2d((2, 3))
    pooled.heads["1"] = nn.Sequential(*cells, nn.Flatten(), nn.LazyLinear(10))
    pooled(images())
    with torch.no_grad():
        pooled.heads["1"][-1].weight.mul_(20.0)  # so that the labels are no ties, which rounding decides
    _, check = export_checked(exporter_of(name), pooled, tmp_path / "net", images())
    assert check.same > 0.6 * len(images())


def test_ties_of_the_largest_outputs_are_no_differences_of_interpreters(exported, monkeypatch):
    paths, _ = exported["litert-int8"]
    one_step = 0.01 * np.eye(10, dtype=np.float32)
    monkeypatch.setattr(LitertNetwork, "answer", lambda _network, _logits: one_step[2] + one_step[7])
    monkeypatch.setattr(MicroNetwork, "answer", lambda _network, _logits: one_step[7])
    exporter_of("litert-int8")._check_interpreters(network(), paths[0])
    monkeypatch.setattr(MicroNetwork, "answer", lambda _network, _logits: one_step[5])
    with pytest.raises(ExportError, match="gives 16 of 16 samples another label or exit"):
        exporter_of("litert-int8")._check_interpreters(network(), paths[0])


def test_a_learned_criterion_is_refused_by_name(tmp_path):
    decided = copy.deepcopy(network())
    decided.criterion = LearnedGate().build(10, 4)
    decided.description["criterion"] = {"name": "learned-gate"}
    with pytest.raises(ExportError, match=r"criterion: found 'learned-gate'.*allowed: score-margin"):
        LitertExporter().export(decided, tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_networks_without_a_stated_size_take_images_of_any_size(tmp_path):
    paths, _ = export_checked(exporter_of("litert"), unsized_network(), tmp_path / "net", images())
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (6, 1, 19, 5), dtype=torch.uint8, generator=generator)
    labels, exits, confidences = LitertExporter().open(paths[0]).predict(pixels.numpy())
    expected = plain(unsized_network()(pixels))
    np.testing.assert_array_equal(labels, expected[0])
    np.testing.assert_array_equal(exits, expected[1])
    np.testing.assert_allclose(confidences, expected[2], atol=1e-4)


@pytest.mark.parametrize("count", [0, 5])
def test_int8_needs_enough_images(count, tmp_path):
    exporter = LitertInt8Exporter()
    few = ImageSet(images()[:count], samples().labels[:count], samples().classes)
    exporter.prepare(few, samples())
    with pytest.raises(ExportError, match="calibration part: found"):
        exporter.export(network(), tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_a_network_judged_as_int8_keeps_its_thresholds(tmp_path):
    judged = copy.deepcopy(network())
    judged.description["quantized"] = True
    paths = exporter_of("litert-int8").export(judged, tmp_path / "net")
    segments = json.loads(paths[0].read_text())["segments"]
    thresholds = [network().scheme.thresholds[point] for point in PLACED]
    assert [each["threshold"] for each in segments] == [*thresholds, None]


@pytest.mark.parametrize("name", EXPORTERS)
def test_the_python_program_stands_alone(name, exported, tmp_path):
    paths, _ = exported[name]
    program = next(path for path in paths if path.suffix == ".py")
    assert "edanas.deploy" not in program.read_text()
    np.save(tmp_path / "images.npy", images().numpy()[:4])
    command = [sys.executable, str(program), str(paths[0]), str(tmp_path / "images.npy")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    labels, exits, confidences = EXPORTERS[name]().open(paths[0]).predict(images().numpy()[:4])
    expected = [
        f"{at + 1},{network().classes[label]},{'last' if exit_ == 4 else exit_ + 1},{confidence:.6f}"
        for at, (label, exit_, confidence) in enumerate(zip(labels, exits, confidences, strict=True))
    ]
    assert lines == expected


def test_the_header_holds_the_files(exported):
    paths, _ = exported["litert-int8"]
    text = next(path for path in paths if path.suffix == ".h").read_text()
    arrays = re.findall(r"kSegment\d\[\] = \{([^}]*)\}", text)
    files = [path.read_bytes() for path in paths if path.suffix == ".tflite"]
    assert [bytes(map(int, re.findall(r"\d+", array))) for array in arrays] == files
    arenas = [each["arena"] for each in json.loads(paths[0].read_text())["segments"]]
    assert f"kArena = {sum(arenas) + 1024};" in text


HEADERS = os.environ.get("EDANAS_TFLM_HEADERS", "")
"""Folders with the headers of TensorFlow Lite for Microcontrollers and of what it needs, as in PATH."""


@pytest.mark.skipif(not HEADERS or shutil.which("g++") is None, reason="EDANAS_TFLM_HEADERS is not set")
def test_the_cpp_program_compiles(exported, tmp_path):
    for paths, _ in exported.values():
        program = next(path for path in paths if path.suffix == ".cc")
        folders = [f"-isystem{folder}" for folder in HEADERS.split(os.pathsep)]
        command = [
            "g++",
            "-std=c++17",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fsyntax-only",
            *folders,
            str(program),
        ]
        result = subprocess.run([*command, f"-I{program.parent}"], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr[:2000]


LIBRARY = os.environ.get("EDANAS_TFLM_LIBRARY", "")
"""Path of TensorFlow Lite for Microcontrollers as a static library, of the version of the headers."""


@pytest.mark.skipif(not (HEADERS and LIBRARY), reason="EDANAS_TFLM_HEADERS or EDANAS_TFLM_LIBRARY is not set")
@pytest.mark.parametrize("name", EXPORTERS)
@pytest.mark.parametrize("series", [False, True])
def test_the_cpp_program_answers_as_the_interpreter(name, series, exported, tmp_path):
    """A sample of the network's own size needs no resizing, which is the part of the device's program."""
    if series:
        exporter, net = EXPORTERS[name](), series_network(tmp_path)
        exporter.prepare(series_parts().validation, series_parts().validation)
        paths, pixels = exporter.export(net, tmp_path / "net"), series_parts().test.images[:8]
    else:
        paths, net = exported[name][0], network()
        pixels = torch.randint(0, 256, (8, 1, *net.input_size), dtype=torch.uint8)
    program = next(path for path in paths if path.suffix == ".cc")
    folders = [f"-isystem{folder}" for folder in HEADERS.split(os.pathsep)]
    command = ["g++", "-std=c++17", "-DTF_LITE_STATIC_MEMORY", *folders, f"-I{program.parent}", str(program)]
    subprocess.run([*command, LIBRARY, "-o", str(tmp_path / "host")], check=True, capture_output=True)
    micro = MicroNetwork(paths[0], EXPORTERS[name].network_type.form)
    for sample in pixels:
        (tmp_path / "sample").write_bytes(sample.permute(1, 2, 0).contiguous().numpy().tobytes())
        done = subprocess.run([tmp_path / "host", tmp_path / "sample"], check=True, capture_output=True)
        label, exit_, confidence = done.stdout.decode().split()
        labels, exits, confidences = micro.predict(sample[None].numpy())
        assert (label, int(exit_) - 1) == (net.classes[labels[0]], exits[0])
        assert float(confidence) == pytest.approx(confidences[0], abs=1e-4)


def test_both_interpreters_are_compared(monkeypatch, tmp_path):
    from edanas.deploy import litert_export

    class Wrong(litert_export.MicroNetwork):
        def _open(self, *arguments):
            run = super()._open(*arguments)

            def wrong(features):
                features, logits = run(features)
                return features, np.roll(logits, 1, -1)

            return wrong

    monkeypatch.setattr(litert_export, "MicroNetwork", Wrong)
    with pytest.raises(ExportError, match="interpreter for microcontrollers gives 16 of 16 samples"):
        exporter_of("litert").export(network(), tmp_path / "net")
    assert not list(Path(tmp_path).iterdir())


def test_parts_of_a_run_serve_as_they_are(tmp_path):
    exporter = LitertInt8Exporter()
    exporter.prepare(parts().calibration, parts().validation)
    assert exporter.export(network(), tmp_path / "net")
