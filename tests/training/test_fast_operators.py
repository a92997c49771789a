"""Means over pixels in the context of a training on a CPU: torch's own are the oracle."""

import pytest
import torch

from edanas.training.fast_operators import FastOperators


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dim", [2, 3, -1, (2, 3), (-2, -1), [3, 2], (1, 2), 1, 0, (0, 2, 3)])
@pytest.mark.parametrize("keepdim", [True, False])
def test_means_and_gradients_are_those_of_torch(layout, dim, keepdim):
    torch.manual_seed(0)
    features = torch.randn(2, 3, 4, 5).contiguous(memory_format=layout).requires_grad_()

    def run():
        one, other = features.mean(dim, keepdim=keepdim), torch.mean(features, dim, keepdim)
        two = features.mean(dim=dim, keepdim=keepdim)
        assert torch.equal(one, other)
        assert torch.equal(one, two)
        return one, torch.autograd.grad(one.square().sum(), features)[0]

    exact = run()
    with FastOperators():
        actual = run()
    for one, other in zip(actual, exact, strict=True):
        torch.testing.assert_close(one, other)


def test_other_means_are_torch_s_own():
    features = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    with FastOperators():
        torch.testing.assert_close(features.mean(), features.sum() / features.numel())
        assert features.mean(3, keepdim=True, dtype=torch.float64).dtype == torch.float64
        assert torch.randn(3, 4).mean(1).shape == (3,)
        with pytest.raises(IndexError):
            features.mean(6, keepdim=True)
        with pytest.raises(RuntimeError):
            features.mean((2, -2), keepdim=True)
