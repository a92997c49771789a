"""Depthwise convolutions in bfloat16: torch's own, in float32, are the oracle."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.training import depthwise as quick
from edanas.training.depthwise import can_compute, depthwise, input_gradient, weight_gradient

pytestmark = pytest.mark.skipif(not quick.has_bfloat16(), reason="this CPU has no kernels for bfloat16")


@settings(max_examples=60)
@given(
    st.sampled_from([1, 3, 5, 7]),
    st.sampled_from([1, 2]),
    st.integers(0, 2),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32),
)
def test_gradients_are_those_of_torch(
    kernel: int, stride: int, more: int, height: int, width: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    padding = kernel // 2 + more - 1 if kernel > 1 else more
    height, width = max(height, kernel - 2 * padding), max(width, kernel - 2 * padding)
    features = torch.randn(2, 3, height, width, generator=generator, requires_grad=True)
    weight = torch.randn(3, 1, kernel, kernel, generator=generator, requires_grad=True)
    assert can_compute(features, weight, None, stride, padding, 1, 3)
    out = torch.conv2d(features, weight, None, stride, padding, 1, 3)
    gradient = torch.randn(out.shape, generator=generator)
    of_features, of_weight = torch.autograd.grad(out, (features, weight), gradient)
    arguments = gradient, features.detach(), weight.detach(), stride, padding
    torch.testing.assert_close(input_gradient(*arguments), of_features, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(weight_gradient(*arguments), of_weight, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_error_is_that_of_bfloat16(kernel: int, stride: int, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    features = torch.randn(8, 4, 8, 8).contiguous(memory_format=layout).requires_grad_()
    weight = torch.randn(4, 1, kernel, kernel, requires_grad=True)
    whole = torch.conv2d(features, weight, None, stride, kernel // 2, 1, 4)
    out = depthwise(features, weight, stride, kernel // 2)
    assert out.dtype == torch.bfloat16
    gradient = torch.randn_like(whole)
    exact = torch.autograd.grad(whole, (features, weight), gradient)
    actual = torch.autograd.grad(out, (features, weight), gradient.bfloat16())
    for one, other in ((out, whole), *zip(actual, exact, strict=True)):
        assert (one.float() - other).norm() / other.norm() < 2**-7
    assert all(each.dtype == torch.float32 for each in actual)


@pytest.mark.parametrize("kernel", [3, 5])
def test_only_gradients_of_trained_tensors_are_computed(kernel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features, weight = torch.randn(2, 3, 6, 6), torch.randn(3, 1, kernel, kernel)
    requested: list[tuple[bool, bool]] = []
    original = quick.gradients

    def gradients(*args: Any) -> Any:
        requested.append(args[-1])
        return original(*args)

    monkeypatch.setattr(quick, "gradients", gradients)
    one = weight.clone().requires_grad_()
    torch.autograd.grad(depthwise(features, one, 1, kernel // 2).sum(), one)
    assert set(requested) == {(False, True)}
    requested.clear()
    other = features.clone().requires_grad_()
    torch.autograd.grad(depthwise(other, weight, 2, kernel // 2).sum(), other)
    assert set(requested) == {(True, False)}


@pytest.mark.parametrize(
    ("weight", "bias", "stride", "padding", "dilation", "groups"),
    [
        ((6, 2, 3, 3), None, 1, 1, 1, 3),
        ((6, 1, 3, 3), None, 1, 1, 1, 3),
        ((3, 1, 3, 3), torch.zeros(3), 1, 1, 1, 3),
        ((3, 1, 3, 5), None, 1, (1, 2), 1, 3),
        ((3, 1, 4, 4), None, 1, 1, 1, 3),
        ((3, 1, 3, 3), None, (1, 2), 1, 1, 3),
        ((3, 1, 3, 3), None, 3, 1, 1, 3),
        ((3, 1, 3, 3), None, 1, 1, 2, 3),
        ((3, 1, 3, 3), None, 1, "same", 1, 3),
        ((3, 1, 5, 5), None, 1, 0, 1, 3),
    ],
)
def test_unsupported_convolutions_are_computed_by_torch(
    weight: tuple[int, ...],
    bias: torch.Tensor | None,
    stride: object,
    padding: object,
    dilation: int,
    groups: int,
) -> None:
    features = torch.zeros(2, groups * weight[1], 8, 8)
    arguments: Any = (torch.zeros(weight), bias, stride, padding, dilation, groups)
    assert not can_compute(features, *arguments)


def test_unbatched_images_are_computed_by_torch() -> None:
    weight = torch.zeros(3, 1, 3, 3)
    assert can_compute(torch.zeros(1, 3, 8, 8), weight, None, (1,), (1, 1), 1, 3)
    assert not can_compute(torch.zeros(3, 8, 8), weight, None, 1, 1, 1, 3)
