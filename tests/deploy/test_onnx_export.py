import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from exported_nets import PLACED, images, network, plain, unsized_network
from image_folders import odd_files

import edanas
from edanas.core.costs import executed_per_exit
from edanas.core.errors import ConfigError, DataError, ExportError, RunError
from edanas.deploy import onnx_graphs, run_onnx
from edanas.deploy.export_check import export_checked
from edanas.deploy.onnx_export import OnnxExporter
from edanas.exits.criteria import ScoreMargin
from edanas.model.anatomy import Anatomy
from edanas.testing.evaluations import toy_network
from edanas.testing.toy_networks import toy_images

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    return export_checked(OnnxExporter(), network(), folder / "eenn-2.v1", images())[0]


@pytest.fixture(scope="module")
def runner(exported):
    return OnnxExporter().open(exported[0])


@pytest.fixture(scope="module")
def unsized_runner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unsized")
    return OnnxExporter().open(OnnxExporter().export(unsized_network(), folder / "eenn")[0])


def same(prediction, expected, tolerance=1e-5):
    for one, other in zip(prediction[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(prediction[2], expected[2], atol=tolerance)


def test_it_answers_as_the_network_does_whatever_the_batch(runner):
    expected = plain(network()(images()))
    assert set(expected[1]) == {*PLACED, 4}
    same(runner.predict(images().numpy()), expected)
    for at in range(5):
        same(runner.predict(images()[at : at + 1].numpy()), [each[at : at + 1] for each in expected])


@pytest.mark.parametrize("size", [(5, 30), (12, 12), (8, 8), (64, 33)])
def test_networks_without_a_stated_size_prepare_images_of_any_size(size, unsized_runner):
    pixels = torch.randint(
        0, 256, (6, 1, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    same(unsized_runner.predict(pixels.numpy()), plain(unsized_network()(pixels)))


def test_bytes_of_another_size_are_refused(runner):
    with pytest.raises(DataError, match=r"found 30x5 pixels; allowed: 8x8\. Resize them with Pillow"):
        runner.predict(np.zeros((1, 1, 5, 30), dtype=np.uint8))
    with pytest.raises(DataError, match="allowed: 8x8"):
        runner.backbone(np.zeros((1, 1, 5, 30), dtype=np.uint8))


def test_the_copied_program_reads_files_as_the_network_does(exported, tmp_path):
    paths = list(odd_files(tmp_path))
    runner = run_onnx.EarlyExitNetwork(exported[0])
    pixels = np.concatenate([run_onnx.read_image(str(path), runner.manifest) for path in paths])
    answers = list(edanas.stream(network(), paths))
    labels, exits, confidences = runner.predict(pixels)
    assert [each.label for each in answers] == labels.tolist()
    assert [each.exit - 1 for each in answers] == exits.tolist()
    assert confidences == pytest.approx([each.confidence for each in answers], abs=1e-5)


def test_segments_that_nobody_needs_do_not_run(exported):
    runner = OnnxExporter().open(exported[0])
    left_at = network()(images()).exit
    expected = tuple(int((left_at > before).sum()) for before in (-1, *PLACED))
    assert runner.computed(images().numpy()) == expected
    first = images()[left_at == PLACED[0]].numpy()
    for segment in runner.network.segments[1:]:
        segment["body"] = segment["head"] = None  # to run it would be an AttributeError
    assert runner.computed(first) == (len(first), 0, 0)
    with pytest.raises(AttributeError):
        runner.predict(images().numpy())


def test_the_backbone_alone_is_the_last_exit_of_all(runner):
    labels = network().all_exits(images())[0][:, -1]
    np.testing.assert_array_equal(runner.backbone(images().numpy()), labels.numpy())


def test_the_manifest_says_what_a_host_needs(exported):
    manifest = json.loads(exported[0].read_text())
    assert manifest["classes"] == list(network().classes)
    assert (manifest["resolution"], manifest["channels"]) == (network().resolution, 1)
    segments = manifest["segments"]
    assert [each["exit"] for each in segments] == [*PLACED, 4]
    placed = [network().scheme.thresholds[at] for at in PLACED]
    assert [each["threshold"] for each in segments] == [*placed, None]
    spent = np.cumsum([each["body_macs"] + each["head_macs"] for each in segments])
    costs = executed_per_exit(Anatomy.of(network(), 1).costs, network().scheme)
    np.testing.assert_array_equal(spent, costs[~np.isnan(costs)])
    assert {path.name for path in exported[1:] if path.suffix == ".onnx"} == set(manifest["files"])
    for name in manifest["files"]:
        model = onnx.load(exported[0].with_name(name))
        onnx.checker.check_model(model, full_check=True)
        assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
        assert not {node.op_type for node in model.graph.node} & {"BatchNormalization", "If", "Loop"}
        assert str(exported[0].parents[1]).encode() not in model.SerializeToString()
        assert b"site-packages" not in model.SerializeToString()


def test_the_program_runs_alone(exported, tmp_path):
    np.save(tmp_path / "images.npy", images().numpy())
    program = next(path for path in exported if path.suffix == ".py")
    block = "import sys; sys.modules['torch'] = sys.modules['edanas'] = None; import runpy; "
    run = f"sys.argv = sys.argv[1:]; runpy.run_path({str(program)!r}, run_name='__main__')"
    command = [sys.executable, "-c", block + run, program, exported[0], tmp_path / "images.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    label, left_at, sure = plain(network()(images()))
    rows = [line.split(",") for line in done.stdout.splitlines()]
    assert [row[1] for row in rows] == [network().classes[at] for at in label]
    assert [row[2] for row in rows] == ["last" if at == 4 else str(at + 1) for at in left_at]
    np.testing.assert_allclose([float(row[3]) for row in rows], sure, atol=1e-5)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file or directory"),
        (b"no array", "images.npy: is not an array of numpy"),
        (np.zeros((2, 3, 8, 8)), "found float64 of shape (2, 3, 8, 8); expected uint8 of shape (B, 1, H, W)"),
    ],
)
def test_the_program_says_what_is_wrong_with_its_images(
    content, says, exported, tmp_path, monkeypatch, capsys
):
    images = tmp_path / "images.npy"
    if isinstance(content, bytes):
        images.write_bytes(content)
    elif content is not None:
        np.save(images, content)
    monkeypatch.setattr(sys, "argv", ["run_onnx.py", str(exported[0]), str(images)])
    with pytest.raises(SystemExit) as left:
        run_onnx.main()
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_a_changed_network_is_translated_anew(tmp_path):
    changed = toy_network(seed=3).eval()
    pixels = toy_images(20, seed=0).images
    labels = []
    for _ in range(2):
        paths, check = export_checked(OnnxExporter(), changed, tmp_path / "net", pixels)
        assert check.same == len(pixels)
        labels.append(OnnxExporter().open(paths[0]).backbone(pixels.numpy()))
        with torch.no_grad():
            for parameter in changed.backbone.head.parameters():
                parameter.mul_(-1.0)
    assert (labels[0] != labels[1]).any()


def test_tampered_files_are_refused(tmp_path):
    paths = OnnxExporter().export(network(), tmp_path / "net")
    weights = tmp_path / "net.segment2.onnx"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ExportError, match=r"net.segment2.onnx: damaged"):
        OnnxExporter().open(paths[0])
    text = paths[0].read_text().replace("net.segment2.onnx", "../net.segment2.onnx")
    paths[0].write_text(text)
    with pytest.raises(ExportError, match="does not match its checksum"):
        OnnxExporter().open(paths[0])
    paths[0].write_text(json.dumps({**json.loads(text), "checksum": None}).replace(', "checksum": null', ""))
    with pytest.raises(ExportError, match="allowed: names of files in the same folder"):
        OnnxExporter().open(paths[0])
    paths[0].write_text('{"format": "onnx"}')
    with pytest.raises(ExportError, match="not the manifest"):
        OnnxExporter().open(paths[0])


def test_a_missing_folder_is_refused_before_anything_is_translated(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_graphs, "_translate", None)
    with pytest.raises(RunError, match="no such folder"):
        OnnxExporter().export(network(), tmp_path / "none" / "net")


def test_a_frozen_network_is_refused(tmp_path):
    with pytest.raises(ExportError, match="frozen"):
        OnnxExporter().export(network().freeze(), tmp_path / "net")


class Branching(ScoreMargin):
    def __call__(self, logits):
        return super().__call__(logits) if logits.sum() > 0 else logits[:, 0]


def test_a_criterion_that_no_graph_can_hold_is_refused_by_name(tmp_path):
    odd = copy.deepcopy(network())
    odd.criterion = Branching()
    with pytest.raises(ExportError, match="criterion, cannot be translated to ONNX"):
        OnnxExporter().export(odd, tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"edanas\[onnx\]"):
        OnnxExporter()
