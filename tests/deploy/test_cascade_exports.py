"""Exported cascades of three networks, of which one has no exit and does not run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from c_programs import GCC
from cascades import SAMPLES, cascade, counted_layers
from small_networks import SMALL
from small_runs import parts
from test_c_export import provider_network
from torch import nn

import edanas
from edanas.core.costs import executed_per_exit
from edanas.core.errors import EdanasError
from edanas.core.types import Backbone, Task
from edanas.deploy.c_export import CExporter
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.plugins.registry import Registry

IMAGES = SAMPLES.images
PLACEMENTS = [(True, False), (False, True), (False, False)]


def half_at_each_exit(placed: tuple[bool, bool], heads: tuple[int, ...] | None = None) -> EENN:
    confidences = cascade((0.5, 0.5)).all_exits(IMAGES)[1].numpy()
    thresholds = []
    for is_placed, column in zip(placed, confidences.T, strict=False):
        ordered = np.sort(column)
        # The widest gap in the middle, so that no confidence lies within rounding of the threshold.
        at = 30 + int(np.diff(ordered[30:66]).argmax())
        thresholds.append(float(ordered[at : at + 2].mean()) if is_placed else None)
    return cascade(thresholds, heads)


FORMS = [*(("litert", each) for each in PLACEMENTS), *(("onnx", each) for each in PLACEMENTS[:2])]


@pytest.mark.parametrize(("form", "placed"), FORMS)
def test_files_give_the_answers_of_torch(
    form: str, placed: tuple[bool, bool], registry: Registry, tmp_path: Path
) -> None:
    if form == "litert":
        pytest.importorskip("ai_edge_litert", reason="the extra `litert` is not installed")
        pytest.importorskip("tflite_micro", reason="the extra `litert` is not installed")
    network = half_at_each_exit(placed, (0, 1) if form == "litert" else None)
    exporter = registry.create("exporter", form, {})
    path = exporter.export(network, tmp_path / "net")[0]
    runner = exporter.open(path)
    label, exit_, confidence = network(IMAGES)
    answers = runner.predict(IMAGES.numpy())
    assert np.array_equal(answers[0], label) and np.array_equal(answers[1], exit_)
    np.testing.assert_allclose(answers[2], confidence, atol=1e-5)
    later = int((exit_ == 2).sum())
    assert runner.computed(IMAGES.numpy()) == ((len(IMAGES), later) if any(placed) else (later,))
    segments = json.loads(path.read_text())["segments"]
    costs = executed_per_exit(Anatomy.of(network, 1).costs, network.scheme)
    macs = np.cumsum([each["body_macs"] + each["head_macs"] for each in segments])
    assert macs.tolist() == costs[~np.isnan(costs)].tolist()
    if any(placed):
        with pytest.raises(EdanasError, match="cannot run without those of earlier exits"):
            runner.backbone(IMAGES.numpy())


@pytest.mark.skipif(GCC is None, reason="gcc is not installed")
@pytest.mark.parametrize("placed", PLACEMENTS)
def test_c_gives_the_answers_of_torch(placed: tuple[bool, bool], tmp_path: Path) -> None:
    network = half_at_each_exit(placed)
    exporter = CExporter()
    exporter.prepare(SAMPLES, SAMPLES)
    path = exporter.export(network, tmp_path / "net")[0]
    runner = exporter.open(path)
    answers = runner.predict(IMAGES.numpy())
    runner.close()
    label, exit_, confidence = (each.numpy() for each in network(IMAGES))
    assert np.array_equal(answers[0], label)
    same = answers[1] == exit_
    assert same.mean() > 0.9
    np.testing.assert_allclose(answers[2][same], confidence[same], atol=0.1)
    manifest = json.loads(path.read_text())
    with counted_layers(network) as ran:
        network.logits(IMAGES[:1])
    assert manifest["segments"][-1]["executed_macs"] == sum(ran)
    flash = manifest["int8"]["counted_bytes"][1]
    assert flash == Anatomy.of(network, 1).memory(network.scheme).flash


def test_files_of_earlier_versions_hold_the_network_that_does_not_run(
    registry: Registry, tmp_path: Path
) -> None:
    network = provider_network(registry, "cascade", tmp_path, networks=3)
    network.description["classifier"] = {"name": "carried", "options": {}}
    expected, small = network(parts().test.images), SafetensorsExporter().export(network, tmp_path / "new")
    chosen = Backbone.of(network.description["backbone"])
    provider = registry.create("supernet provider", "cascade", {**SMALL["cascade"], "networks": 3})
    whole = provider.build(chosen, Task(len(network.mean), len(network.classes)))
    for at in (1, 2):
        whole.stages[at] = network.backbone.stages[at]
    network.backbone = whole
    old = SafetensorsExporter().export(network, tmp_path / "old")
    assert small[1].stat().st_size < old[1].stat().st_size
    for path in (small[0], old[0]):
        loaded = edanas.load(path)
        assert isinstance(loaded.backbone.stages[0], nn.Identity)
        for one, other in zip(loaded(parts().test.images), expected, strict=True):
            torch.testing.assert_close(one, other)
