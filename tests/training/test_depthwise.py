"""Gradients of depthwise convolutions, in float32 and bfloat16: torch's own, in float32, are the oracle."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.training import depthwise as quick
from edanas.training.depthwise import depthwise, has_bfloat16, input_gradient, weight_gradient

needs_bfloat16 = pytest.mark.skipif(not has_bfloat16(), reason="this CPU has no kernels for bfloat16")
TYPES = [torch.float32, pytest.param(torch.bfloat16, marks=needs_bfloat16)]


@pytest.mark.parametrize("dtype", TYPES)
@settings(max_examples=60)
@given(
    st.integers(1, 7),
    st.sampled_from([1, 2, 3]),
    st.integers(0, 2),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32),
)
def test_gradients_are_those_of_torch(
    dtype: torch.dtype, kernel: int, stride: int, more: int, height: int, width: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    padding = kernel // 2 + more - 1 if kernel > 1 else more
    height, width = max(height, kernel - 2 * padding), max(width, kernel - 2 * padding)
    features = torch.randn(2, 3, height, width, generator=generator, requires_grad=True)
    weight = torch.randn(3, 1, kernel, kernel, generator=generator, requires_grad=True)
    out = torch.conv2d(features, weight, None, stride, padding, 1, 3)
    gradient = torch.randn(out.shape, generator=generator)
    of_features, of_weight = torch.autograd.grad(out, (features, weight), gradient)
    tensors = (each.detach().to(dtype) for each in (gradient, features, weight))
    arguments: Any = (*tensors, stride, (padding, padding))
    bound = {"rtol": 1e-4, "atol": 1e-4} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.3}
    torch.testing.assert_close(input_gradient(*arguments).float(), of_features, **bound)
    torch.testing.assert_close(weight_gradient(*arguments).float(), of_weight, **bound)


@needs_bfloat16
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_error_is_that_of_bfloat16(kernel: int, stride: int, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    features = torch.randn(8, 4, 8, 8).contiguous(memory_format=layout).requires_grad_()
    weight = torch.randn(4, 1, kernel, kernel, requires_grad=True)
    whole = torch.conv2d(features, weight, None, stride, kernel // 2, 1, 4)
    pads = kernel // 2, kernel // 2
    out = depthwise(features.bfloat16(), weight.bfloat16(), stride, pads)
    assert out.dtype == torch.bfloat16
    gradient = torch.randn_like(whole)
    exact = torch.autograd.grad(whole, (features, weight), gradient)
    actual = torch.autograd.grad(out, (features, weight), gradient.bfloat16())
    for one, other in ((out, whole), *zip(actual, exact, strict=True)):
        assert (one.float() - other).norm() / other.norm() < 2**-7
    assert all(each.dtype == torch.float32 for each in actual)


@needs_bfloat16
@pytest.mark.parametrize("kernel", [3, 5])
def test_only_gradients_of_trained_tensors_are_computed(kernel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features, weight = torch.randn(2, 3, 9, 9).bfloat16(), torch.randn(3, 1, kernel, kernel).bfloat16()
    pads = kernel // 2, kernel // 2
    requested: list[tuple[bool, bool]] = []
    original = quick.gradients

    def gradients(*args: Any) -> Any:
        requested.append(args[-1])
        return original(*args)

    monkeypatch.setattr(quick, "gradients", gradients)
    one = weight.clone().requires_grad_()
    torch.autograd.grad(depthwise(features, one, 1, pads).sum(), one)
    assert set(requested) == {(False, True)}
    requested.clear()
    other = features.clone().requires_grad_()
    torch.autograd.grad(depthwise(other, weight, 2, pads).sum(), other)
    assert set(requested) == {(True, False)}
