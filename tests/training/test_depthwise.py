"""Depthwise convolutions in bfloat16: torch's own, in float32, are the oracle."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.training.depthwise import depthwise, input_gradient, is_quick, weight_gradient


@settings(deadline=None, max_examples=60)
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
    if not is_quick(weight, None, stride, padding, 1, 3):
        return
    out = torch.conv2d(features, weight, None, stride, padding, 1, 3)
    gradient = torch.randn(out.shape, generator=generator)
    of_features, of_weight = torch.autograd.grad(out, (features, weight), gradient)
    found = gradient, features.detach(), weight.detach(), stride, padding
    torch.testing.assert_close(input_gradient(*found), of_features, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(weight_gradient(*found), of_weight, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_in_bfloat16_it_is_as_exact_as_that_is(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    features = torch.randn(8, 4, 8, 8, requires_grad=True)
    weight = torch.randn(4, 1, kernel, kernel, requires_grad=True)
    whole = torch.conv2d(features, weight, None, stride, kernel // 2, 1, 4)
    out = depthwise(features, weight, stride, kernel // 2)
    assert out.dtype == torch.bfloat16
    gradient = torch.randn_like(whole)
    exact = torch.autograd.grad(whole, (features, weight), gradient)
    found = torch.autograd.grad(out, (features, weight), gradient.bfloat16())
    for one, other in ((out, whole), *zip(found, exact, strict=True)):
        assert (one.float() - other).norm() / other.norm() < 2**-7
    assert all(each.dtype == torch.float32 for each in found)


def test_gradients_are_known_of_what_is_trained_alone() -> None:
    features, weight = torch.randn(2, 3, 6, 6), torch.randn(3, 1, 3, 3, requires_grad=True)
    out = depthwise(features, weight, 1, 1)
    torch.autograd.grad(out.sum(), weight)
    frozen = depthwise(features.requires_grad_(), weight.detach(), 2, 1)
    torch.autograd.grad(frozen.sum(), features)


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
def test_what_it_cannot_do_is_left_to_torch(
    weight: tuple[int, ...],
    bias: torch.Tensor | None,
    stride: object,
    padding: object,
    dilation: int,
    groups: int,
) -> None:
    assert not is_quick(torch.zeros(weight), bias, stride, padding, dilation, groups)  # type: ignore[arg-type]
