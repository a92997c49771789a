"""Convolutions of a training on a CPU: `torch.conv2d` is the oracle, for results and gradients."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edanas.training.convolutions import convolution
from edanas.training.fast_operators import FastOperators

CHANNELS = 4


@settings(max_examples=150)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([(1, 1), (2, 2), (3, 3), (5, 5), (7, 7), (3, 5), (1, 7)]),
    st.sampled_from([1, 2, 3, (1, 2)]),
    st.sampled_from([0, 1, 2, 3, (0, 3), "same"]),
    st.sampled_from([1, 2, CHANNELS]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_results_and_gradients_are_those_of_torch(
    sides: tuple[int, int],
    kernel: tuple[int, int],
    stride: Any,
    padding: Any,
    groups: int,
    has_bias: bool,
    is_last: bool,
    seed: int,
) -> None:
    # torch refuses strides with "same", and warns of even kernels.
    if padding == "same" and (stride != 1 or not all(side % 2 for side in kernel)):
        padding = (kernel[0] // 2, kernel[1] // 2)
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    pads = (kernel[0] // 2, kernel[1] // 2) if padding == "same" else (padding, padding)
    pads = padding if isinstance(padding, tuple) else pads
    sides = tuple(max(s, k - 2 * p) for s, k, p in zip(sides, kernel, pads, strict=True))
    features, weight = random(3, CHANNELS, *sides), random(CHANNELS, CHANNELS // groups, *kernel)
    bias = random(CHANNELS) if has_bias else None
    layout = torch.channels_last if is_last else torch.contiguous_format
    inputs = features.contiguous(memory_format=layout)
    options = (bias, stride, padding, 1, groups)
    exact, out = torch.conv2d(inputs, weight, *options), convolution(inputs, weight, *options)
    torch.testing.assert_close(out, exact)
    gradient = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    trained = (features, weight, *([] if bias is None else [bias]))
    expected, actual = (torch.autograd.grad(each, trained, gradient) for each in (exact, out))
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("side", "kernel", "stride"), [(1, 7, 1), (2, 5, 1), (2, 7, 2), (4, 5, 1), (4, 7, 2), (5, 5, 2)]
)
def test_gradients_of_depthwise_kernels_are_exact(side: int, kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 3, side, side, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, kernel, kernel, dtype=torch.float64, requires_grad=True)

    def run(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return convolution(one, other, None, stride, kernel // 2, 1, 3)

    assert torch.autograd.gradcheck(run, (features, weight))


def test_modules_in_the_context_keep_their_results_and_memory_format() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 7, padding=3, groups=8, bias=False),
        nn.Conv2d(8, 6, 1),
    ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(4, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    exact = network(images)
    with FastOperators():
        out = network(images)
    torch.testing.assert_close(out, exact, rtol=1e-5, atol=1e-5)
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_unreached_weights_get_no_gradient() -> None:
    weight = torch.randn(3, 1, 5, 5, requires_grad=True)
    convolution(torch.randn(2, 3, 2, 2), weight, None, 1, 2, 1, 3).square().sum().backward()
    assert weight.grad is not None
    reached = weight.grad[0, 0] != 0
    assert reached[1:4, 1:4].all()
    assert reached.sum() == 9
