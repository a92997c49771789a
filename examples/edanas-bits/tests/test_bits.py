"""The provider and the objective keep their contracts, agree with arithmetic by hand, and work in a search."""

import json

import edanas
import numpy as np
import pytest
import torch
from edanas.core.archive import Archive
from edanas.core.contracts import ExitInsight, Specimen
from edanas.core.errors import ConfigError, CostError
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, SegmentCost, Task, Variable
from edanas.supernets.cascade import CascadeProvider
from edanas.testing import check_objective, check_provider, check_surrogate
from edanas.testing.toy_networks import ToyProvider
from scipy.stats import kendalltau
from torch.nn import functional as F

from edanas_bits import BitOperations, BitsProvider, Quantised, quantised, quantised_features
from edanas_bits.predictor import TransferredPredictor


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
    torch.manual_seed(0)
    conv, images = torch.nn.Conv2d(2, 3, 3), torch.randn(1, 2, 5, 5)
    weight = conv.weight.detach().clone()
    rounded_weight = quantised(weight, 3).requires_grad_()
    out, expected = Quantised(conv, 3)(images), F.conv2d(images, rounded_weight, conv.bias)
    torch.testing.assert_close(out, expected)
    (gradient,) = torch.autograd.grad(expected.square().sum(), [rounded_weight])
    out.square().sum().backward()
    assert torch.equal(conv.weight, weight)
    torch.testing.assert_close(conv.weight.grad, gradient)


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
    "baseline": {"epochs": 0},
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


def test_activations_are_rounded_for_each_sample_and_gradients_pass():
    torch.manual_seed(0)
    features = torch.randn(4, 3, 5, 5)
    rounded = quantised_features(features, 3)
    for sample, result in zip(features, rounded, strict=True):
        step = sample.abs().max() / 3
        assert len(result.unique()) <= 7
        torch.testing.assert_close(result / step, (sample / step).round(), rtol=0, atol=1e-3)
        torch.testing.assert_close(quantised_features(sample[None], 3)[0], result)
    conv, images = torch.nn.Conv2d(3, 2, 3), features.requires_grad_()
    out = Quantised(conv, 4, 3)(images)
    rounded_images = quantised_features(features.detach(), 3).requires_grad_()
    expected = F.conv2d(rounded_images, quantised(conv.weight, 4), conv.bias)
    torch.testing.assert_close(out, expected)
    (gradient,) = torch.autograd.grad(expected.square().sum(), [rounded_images])
    out.square().sum().backward()
    torch.testing.assert_close(images.grad, gradient)


def test_activations_and_float_networks_are_searched_and_counted():
    provider = BitsProvider(ToyProvider(resolutions=(8,)), bits=(4, 8), activations=(4, 8), float_too=True)
    check_provider(provider, backbones=0)
    choices = {"quantised": 1}
    for stage, (bits, activations) in enumerate([(4, 8), (8, 4), (4, 4)], start=1):
        choices |= {f"stage{stage}.bits": bits, f"stage{stage}.activations": activations}
    meter = BitOperations(activation_bits=6, head_bits=16).meters[0]
    assert meter.figures(specimen(choices)).stages == (100 * 4 * 8, 200 * 8 * 4, 300 * 4 * 4)
    assert meter.figures(specimen({"quantised": 0})).stages == (100 * 1024, 200 * 1024, 300 * 1024)


def samples(count, seed, quantised_share):
    """Return genomes and values: a smooth function of four genes, less what few bits cost."""
    rng = np.random.default_rng(seed)
    structure = rng.integers(0, 4, (count, 4)).astype(float)
    flag = (rng.uniform(size=count) < quantised_share).astype(float)
    bits = rng.integers(0, 3, (count, 2)) * flag[:, None]
    value = np.sin(structure[:, 0]) + structure[:, 1] * structure[:, 2] / 4 - 0.5 * structure[:, 3]
    loss = flag * (0.6 - 0.3 * bits[:, 0] + 0.2 * (2 - bits[:, 1]) * structure[:, 1] / 3)
    return np.column_stack([structure, flag, bits]), value - loss


def predictor(**options):
    names = ["a", "b", "c", "d", "quantised", "stage1.bits", "stage2.activations"]
    variables = tuple(Variable(name, tuple(range(4))) for name in names)
    model = TransferredPredictor(**options)
    model.inform(ExitInsight(SearchSpace(variables, (None,), 0), {}, lambda *_: 0.0))
    return model


def test_the_transferred_predictor_ranks_better_than_one_of_few_quantised_networks():
    test_genomes, test_values = samples(200, seed=9, quantised_share=1.0)
    taus = []
    for seed in (0, 1, 2):
        few, few_values = samples(16, seed, quantised_share=1.0)
        many, many_values = samples(200, seed + 50, quantised_share=0.0)
        both = np.concatenate([many, few]), np.concatenate([many_values, few_values])
        pairs = (both, (few, few_values))
        models = [predictor(seed=seed).fit(*each).predict(test_genomes) for each in pairs]
        taus.append([kendalltau(each, test_values).statistic for each in models])
    transferred, alone = np.mean(taus, axis=0)
    assert transferred > alone + 0.1


def test_the_predictor_conforms():
    check_surrogate(TransferredPredictor)
    with pytest.raises(ConfigError, match=r"surrogates\.steps: found 0; allowed: above 0"):
        TransferredPredictor(steps=0)
