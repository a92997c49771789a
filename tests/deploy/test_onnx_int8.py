import json
from dataclasses import replace

import numpy as np
import pytest
from exported_nets import images, network, samples
from small_runs import parts

from edanas.core.errors import ExportError
from edanas.deploy.export_check import export_checked
from edanas.deploy.onnx_export import OnnxExporter
from edanas.deploy.onnx_int8_export import OnnxInt8Exporter

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    exporter = OnnxInt8Exporter()
    exporter.prepare(parts().calibration, judged())
    paths, check = export_checked(exporter, network(), folder / "net", images())
    return exporter, paths, check


def judged():
    """Labels that the network in floats has right on four in five."""
    labels = network()(images()).label.clone()
    labels[::5] = (labels[::5] + 1) % 10
    return replace(samples(), labels=labels)


def test_accuracy_and_size_before_and_after_are_what_they_are(exported, tmp_path):
    exporter, paths, _ = exported
    figures = json.loads(paths[0].read_text())["int8"]
    right = judged().labels.numpy()
    plain = OnnxExporter().export(network(), tmp_path / "net")
    for form, opened, files in (("int8", exporter, paths), ("float32", OnnxExporter(), plain)):
        labels = opened.open(files[0]).predict(images().numpy())[0]
        assert figures["accuracy"][form] == pytest.approx(np.mean(labels == right))
        sizes = [path.stat().st_size for path in files if path.suffix == ".onnx"]
        assert figures["bytes"][form] == sum(sizes)
    assert figures["bytes"]["int8"] < 0.7 * figures["bytes"]["float32"]
    assert figures["accuracy"]["images"] == len(right)
    summary = exporter.summary(paths[0])
    assert f"{figures['accuracy']['int8']:.2%}" in summary
    assert f"{figures['bytes']['int8'] / 1e6:.2f} MB" in summary


def test_weights_are_8_bit_integers_by_channel(exported):
    _, paths, _ = exported
    kinds = set()
    for path in (path for path in paths if path.suffix == ".onnx"):
        model = onnx.load(path)
        makers = {output: node for node in model.graph.node for output in node.output}
        weights = {each.name: each for each in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Conv":
                source = makers[node.input[1]]
                assert source.op_type == "DequantizeLinear"
                weight, scale = (weights[name] for name in source.input[:2])
                kinds.add(weight.data_type)
                assert len(onnx.numpy_helper.to_array(scale)) == weight.dims[0]
    assert kinds == {onnx.TensorProto.INT8}


def test_it_skips_as_the_network_does_and_mostly_agrees(exported):
    exporter, paths, check = exported
    assert check.same >= 0.7 * check.images
    labels, left_at, _ = exporter.open(paths[0]).predict(images().numpy())
    expected = tuple(int((left_at > before).sum()) for before in (-1, 1, 3))
    assert check.computed == expected
    assert len(labels) == len(images())


def test_without_images_the_error_says_how_to_give_some(tmp_path):
    with pytest.raises(ExportError, match="--data"):
        OnnxInt8Exporter().export(network(), tmp_path / "net")
    assert not list(tmp_path.iterdir())
