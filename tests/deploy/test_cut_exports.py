"""Exports of networks that end at an exit point."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from edanas.core.costs import executed_per_exit
from edanas.core.cut_backbones import STAGES
from edanas.core.optional_packages import MissingExtraError
from edanas.deploy.c_header import CHeaderExporter
from edanas.deploy.export_check import export_checked, resized_images
from edanas.deploy.segments import segments
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.testing.evaluations import toy_workbench
from edanas.testing.toy_networks import toy_images

IMAGES = toy_images(24, seed=7).images


@pytest.fixture(scope="module")
def network() -> EENN:
    """A network of three stages that ends after the second, with an exit after the first."""
    bench = toy_workbench(Path())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        whole = bench.builder.with_every_head(bench.space.largest())
    whole.description = bench.describe(bench.space.largest())
    short = whole.cut(2, bench.provider.variables()).eval()
    short.scheme = (float(short.all_exits(IMAGES)[1][:, 0].median()), None)
    return short


@pytest.mark.parametrize("name", ["onnx", "onnx-if", "pt2"])
def test_a_cut_network_predicts_the_same_in_every_form(network: EENN, name: str, tmp_path: Path) -> None:
    try:
        exporter = Registry(load_plugins()).create("exporter", name)
    except MissingExtraError as error:
        pytest.skip(str(error))
    paths, check = export_checked(exporter, network, tmp_path / "n", IMAGES)
    assert check is not None
    runner = exporter.open(paths[0])
    labels, exits, confidences = runner.predict(resized_images(IMAGES, runner).numpy())
    expected = network.predict(IMAGES)
    assert set(np.unique(exits)) == {0, 2}
    assert np.array_equal(exits, expected.exit.numpy())
    assert np.array_equal(labels, expected.label.numpy())
    np.testing.assert_allclose(confidences, expected.confidence, atol=1e-5)
    runner.close()


def test_segments_and_c_header_count_the_stages_that_run(network: EENN, tmp_path: Path) -> None:
    anatomy = Anatomy.of(network, 1)
    assert [each.body_macs for each in segments(network)] == [stage.macs for stage in anatomy.stages[:2]]
    executed = executed_per_exit(anatomy.costs, network.scheme)
    header = CHeaderExporter().export(network, tmp_path / "n")[0].read_text()
    for macs in executed[[0, 2]]:
        assert f"UINT64_C({int(macs)})" in header


def test_a_frozen_copy_predicts_the_same(network: EENN) -> None:
    frozen, expected = network.freeze(), network.predict(IMAGES)
    assert torch.equal(frozen.predict(IMAGES).exit, expected.exit)
    again = copy.deepcopy(network).predict(IMAGES, compact="always")
    assert torch.equal(again.label, expected.label)
    assert network.description["backbone"][STAGES] == 2
