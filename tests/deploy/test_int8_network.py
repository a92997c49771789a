import copy

import numpy as np
import pytest
import torch
from exported_nets import images, network
from torch import nn

from edanas.core.errors import ExportError
from edanas.deploy.int8.matching import matching_thresholds
from edanas.deploy.int8.network import int8_network, layered_network, set_mode, write_back
from edanas.deploy.int8.part import Int8Part
from edanas.deploy.int8.quantisation import Quantisation, weight_scales
from edanas.deploy.int8.recording import record
from edanas.model.anatomy import Anatomy


def test_a_convolution_rounds_as_whole_numbers_do() -> None:
    conv = nn.Conv2d(3, 4, 3, padding=1)
    part = Int8Part(record(nn.Sequential(conv, nn.ReLU()).eval(), (3, 6, 6), "stage 1"))
    features = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    part.mode = "observe"
    part(features)
    part.mode = "int8"
    (source,), (result,) = part.graph.inputs, part.graph.outputs
    before, after = part.quantisation(source), part.quantisation(result)
    scales = weight_scales(conv.weight)
    kernel = (conv.weight / scales.view(-1, 1, 1, 1)).round().long()
    bias = (conv.bias.double() / (scales.double() * before.scale)).round().long()
    integers = before.integers(features).long() - before.zero
    sums = torch.conv2d(integers.double(), kernel.double(), padding=1).long() + bias.view(1, -1, 1, 1)
    factors = scales.double() * before.scale / after.scale
    expected = (sums * factors.view(1, -1, 1, 1)).round() + after.zero
    expected = expected.clamp(after.zero, 127)
    with torch.no_grad():
        output = part(features) / after.scale + after.zero
    # Sums in floats differ by rounding, which matters if a value is in the middle of two integers.
    assert ((output - expected).abs() > 1e-3).double().mean() < 0.002
    assert (output - expected).abs().max() < 1.001
    assert len(expected.unique()) > 50


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-3.0, 1.0), (2.0, 5.0), (-4.0, -1.0), (0.0, 0.0)])
def test_zero_is_an_exact_value(low: float, high: float) -> None:
    quantisation = Quantisation.of_range(low, high)
    assert float(quantisation.rounded(torch.zeros(1))) == 0.0
    ends = torch.tensor([low, high])
    assert (quantisation.rounded(ends) - ends).abs().max() <= 0.51 * quantisation.scale
    assert -128 <= quantisation.zero <= 127


def test_layers_in_floats_are_the_network() -> None:
    layered = layered_network(network())
    for one, other in zip(layered.all_exits(images()), network().all_exits(images()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_every_tensor_of_an_int8_network_has_256_values() -> None:
    quantised = int8_network(network(), images())
    values = []
    for part in quantised.modules():
        if isinstance(part, Int8Part):
            part.register_forward_hook(lambda part, _, out: values.append((part, out)))
    quantised(images())
    for part, out in values:
        scale, zero = part.quantisation(part.graph.outputs[0])
        integers = out / scale + zero
        assert (integers - integers.round()).abs().max() < 1e-2
        assert integers.min() > -128.5
        assert integers.max() < 127.5


def test_rounding_takes_no_memory_of_its_own() -> None:
    floats = network()
    before, after = (
        Anatomy.of(each, 1).memory(floats.scheme) for each in (floats, int8_network(floats, images()))
    )
    assert before is not None
    assert after is not None
    assert (after.ram, after.exit_ram) == (before.ram, before.exit_ram)
    assert "fake" not in after.largest


def test_trained_weights_go_back_into_the_network() -> None:
    trained = int8_network(network(), images())
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trained.parameters():
            if parameter.requires_grad:
                parameter.mul_(1.0 + 0.1 * torch.rand(parameter.shape, generator=generator)).add_(0.01)
    set_mode(trained, "float32")
    plain = copy.deepcopy(network())
    write_back(trained, plain)
    torch.testing.assert_close(
        plain.all_exits(images())[1], trained.all_exits(images())[1], rtol=1e-3, atol=1e-4
    )
    assert not torch.allclose(plain.all_exits(images())[1], network().all_exits(images())[1], atol=1e-3)


def test_gradients_pass_through_the_rounding() -> None:
    quantised = int8_network(network(), images())
    side = network().resolution
    prepared = torch.randn(4, 1, side, side, generator=torch.Generator().manual_seed(0))
    logits = quantised.prepared_logits(prepared)
    sum(each.square().sum() for each in logits).backward()
    trained = [parameter for parameter in quantised.parameters() if parameter.requires_grad]
    assert len(trained) > 20
    assert all(parameter.grad is not None for parameter in trained)
    assert sum(bool(parameter.grad.abs().sum() > 0) for parameter in trained) > 0.9 * len(trained)


def test_matching_thresholds_let_as_many_samples_exit() -> None:
    quantised = int8_network(network(), images())
    quantised.scheme = matching_thresholds(network(), quantised, images())
    before, after = (np.bincount(each(images()).exit, minlength=5) for each in (network(), quantised))
    assert np.abs(before - after).max() <= 1
    assert quantised.scheme.placed == network().scheme.placed


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_thresholds_that_stop_none_or_all_samples_still_do(share: float) -> None:
    plain = copy.deepcopy(network())
    plain.scheme = (None, 0.0 if share else 1.0, None, 0.5)
    quantised = int8_network(plain, images())
    quantised.scheme = matching_thresholds(plain, quantised, images())
    assert float((quantised(images()).exit == 1).double().mean()) == share


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ExportError, match="calibration part: found 7 samples; allowed: 16 or more"):
        int8_network(network(), images()[:7])


def test_a_frozen_network_is_refused() -> None:
    with pytest.raises(ExportError, match="frozen"):
        int8_network(network().freeze(), images())
