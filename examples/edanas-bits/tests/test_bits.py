"""The provider and the objective keep their contracts, agree with arithmetic by hand, and work in a search."""

import json

import edanas
import pytest
import torch
from edanas.core.archive import Archive
from edanas.core.contracts import Specimen
from edanas.core.errors import ConfigError, CostError
from edanas.core.types import Backbone, SegmentCost, Task
from edanas.supernets.cascade import CascadeProvider
from edanas.testing import check_objective, check_provider
from edanas.testing.toy_networks import ToyProvider
from torch.nn import functional as F

from edanas_bits import BitOperations, BitsProvider, Quantised, quantised


def test_the_provider_conforms():
    check_provider(BitsProvider(ToyProvider(resolutions=(8,)), bits=(4, 8)), backbones=0)


def test_exits_read_what_the_wrapped_networks_pass_on():
    assert BitsProvider(ToyProvider()).passes == "features"
    assert BitsProvider(CascadeProvider(ToyProvider())).passes == "logits"


def test_the_objective_conforms():
    check_objective(BitOperations())


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_channel_holds_whole_multiples_of_its_step(bits):
    weight = torch.randn(3, 5, 7, 7, generator=torch.Generator().manual_seed(0))
    rounded_weight = quantised(weight, bits)
    for channel, rounded in zip(weight, rounded_weight, strict=True):
        step = channel.abs().max() / (2 ** (bits - 1) - 1)
        assert len(rounded.unique()) <= 2**bits - 1
        torch.testing.assert_close(rounded / step, (channel / step).round(), rtol=0, atol=1e-3)
    assert torch.equal(quantised(torch.zeros(2, 3), bits), torch.zeros(2, 3))


def test_what_is_exported_rounds_alike(monkeypatch):
    weight = torch.randn(3, 5, 7, 7, generator=torch.Generator().manual_seed(1))
    expected = quantised(weight, 4)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(quantised(weight, 4), expected)


def test_a_module_runs_with_rounded_weights_and_learns_through_the_rounding():
    conv, images = torch.nn.Conv2d(2, 3, 3), torch.randn(1, 2, 5, 5)
    weight = conv.weight.detach().clone()
    out = Quantised(conv, 3)(images)
    torch.testing.assert_close(out, F.conv2d(images, quantised(weight, 3), conv.bias))
    out.sum().backward()
    assert torch.equal(conv.weight, weight)
    assert conv.weight.grad.abs().min() > 0


def segment(macs):
    return SegmentCost(macs=macs, params=1, activations=1, shape=(1, 1, 1))


def specimen(choices):
    head = segment(10)
    stages = segment(100), segment(200), segment(300)
    provider = BitsProvider(ToyProvider())
    return Specimen(
        Backbone.of(choices), provider, Task(1, 2), stages, (head, head), segment(7), lambda: None
    )


def test_each_stage_counts_with_its_own_bits():
    meter = BitOperations(activation_bits=6, head_bits=16).meters[0]
    figures = meter.figures(specimen({"stage1.bits": 4, "stage2.bits": 8, "stage3.bits": 2}))
    assert figures.stages == (100 * 4 * 6, 200 * 8 * 6, 300 * 2 * 6)
    assert figures.heads == (10 * 16 * 6, 10 * 16 * 6)
    assert figures.last == 7 * 2 * 6  # the bit-width of the last stage
    with pytest.raises(CostError, match="have no bit-widths; allowed: the supernet `bits`"):
        meter.figures(specimen({"resolution": 8}))


@pytest.mark.parametrize("bits", [(), (1,), (4, 4), (8, 17)])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(ConfigError, match=r"supernet\.bits: found"):
        BitsProvider(ToyProvider(), bits=bits)


def test_bits_of_an_objective_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"objectives\.head_bits: found 64"):
        BitOperations(head_bits=64)


SETTINGS = {
    "device": "cpu",
    "threads": 1,
    "surrogates": ["rbf"],
    "thresholds": [0.1, 0.4, "none"],
    "recalibration": 32,
    "objectives": ["accuracy", "bit-operations"],
    "supernet": {
        "name": "bits",
        "of": {
            "name": "ofa-mbv3",
            "widths": [0.1],
            "resolutions": [8],
            "depths": [1],
            "kernels": [3],
            "stem_stride": 1,
        },
        "bits": [3, 8],
    },
    "strategy": "random",
    "search": {"initial": 4, "iterations": 1, "per_iteration": 1, "results": 1},
    "training": {"epochs": 1, "batch_size": 256},
    "finetune": {"epochs": 0},
}


def test_a_search_chooses_bits(tmp_path):
    result = edanas.search(settings=SETTINGS, out=tmp_path / "run")
    with Archive(result.folder, read_only=True) as archive:
        metrics = [evaluation.metrics for _, evaluation in archive.replay()]
    for each in metrics:
        # Activations have 8 bits, weights at least 3 bits, and heads at most 32 bits.
        assert 8 * 3 * each.executed_macs <= BitOperations().value(each) <= 8 * 32 * each.executed_macs
    (meter,) = BitOperations().meters
    assert len({meter.by_exit(each)[-1] / each.exit_macs[-1] for each in metrics}) > 1
    row = result.best()
    network = edanas.load(result.folder / row["model"])
    described = json.loads((result.folder / row["model"]).with_suffix(".json").read_text())
    stages = described["backbone"].get("stages", 5)
    expected = [described["backbone"][f"stage{stage}.bits"] for stage in range(1, stages + 1)]
    assert [stage.bits for stage in network.backbone.stages[:stages]] == expected
    assert len(network(torch.zeros(2, 1, 8, 8, dtype=torch.uint8)).label) == 2
