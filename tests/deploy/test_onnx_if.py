import json

import numpy as np
import pytest
from exported_nets import PLACED, images, network, plain

from edanas.core.errors import EdanasError, ExportError
from edanas.core.records import sealed
from edanas.deploy.export_check import export_checked
from edanas.deploy.onnx_if_export import OnnxIfExporter
from edanas.testing.evaluations import toy_network
from edanas.testing.toy_networks import toy_images

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx-if")
    return export_checked(OnnxIfExporter(), network(), folder / "eenn-2.v1", images())[0]


def test_one_file_answers_as_the_network_does(exported):
    onnxruntime = pytest.importorskip("onnxruntime")
    assert [path.name for path in exported] == ["eenn-2.v1.if.json", "eenn-2.v1.if.onnx"]
    session = onnxruntime.InferenceSession(exported[1], providers=["CPUExecutionProvider"])
    label, left_at, sure = plain(network()(images()))
    assert set(left_at) == {*PLACED, 4}
    for number, image in enumerate(images().numpy()):
        decision = session.run(["label", "exit", "confidence"], {"images": image[None]})
        assert [each.shape for each in decision] == [(1,)] * 3
        assert (decision[0][0], decision[1][0]) == (label[number], left_at[number])
        assert decision[2][0] == pytest.approx(sure[number], abs=1e-4)


def test_each_exit_is_an_if_inside_the_one_before(exported):
    graph = onnx.load(exported[1]).graph
    onnx.checker.check_model(str(exported[1]), full_check=True)
    depth = 0
    while choices := [node for node in graph.node if node.op_type == "If"]:
        (choice,) = choices
        graph = next(each.g for each in choice.attribute if each.name == "else_branch")
        depth += 1
    assert depth == len(PLACED)


def test_the_profiler_sees_no_node_of_a_branch_that_was_not_taken(exported):
    runner = OnnxIfExporter().open(exported[0])
    left_at = network()(images()).exit
    for exit_, expected in ((1, (2, 0, 0)), (3, (2, 2, 0)), (4, (2, 2, 2))):
        assert runner.computed(images()[left_at == exit_][:2].numpy()) == expected


def test_a_network_without_early_exits_has_no_if(tmp_path):
    static = toy_network().eval()
    static.scheme = (None, None)
    pixels = toy_images(9, seed=0).images
    paths, check = export_checked(OnnxIfExporter(), static, tmp_path / "static", pixels)
    assert check.same == len(pixels)
    assert "If" not in {node.op_type for node in onnx.load(paths[1]).graph.node}


def test_the_backbone_alone_is_refused_and_so_is_a_tampered_file(exported, tmp_path):
    with pytest.raises(EdanasError, match="backbone cannot run without the exits"):
        OnnxIfExporter().open(exported[0]).backbone(images().numpy())
    described, model = (tmp_path / path.name for path in exported)
    content = np.frombuffer(exported[1].read_bytes(), dtype=np.uint8).copy()
    content[len(content) // 2] ^= 1
    model.write_bytes(content.tobytes())
    described.write_bytes(exported[0].read_bytes())
    with pytest.raises(ExportError, match=r"if.onnx: damaged"):
        OnnxIfExporter().open(described)
    described.write_text(json.dumps(sealed({**json.loads(described.read_text()), "format_version": 99})))
    with pytest.raises(ExportError, match="version 99"):
        OnnxIfExporter().open(described)
