"""Kernels cut to the weights that reach the features: torch with whole kernels is the oracle."""

from itertools import product

import torch

from edanas.core.kernel_reach import Reach, reach

SIDES, KERNELS, STRIDES, PADS = range(1, 8), range(1, 12), range(1, 4), range(7)


def test_cut_kernels_compute_the_same_and_their_outer_weights_are_read():
    torch.manual_seed(0)
    cut = 0
    for side, kernel, stride, padding in product(SIDES, KERNELS, STRIDES, PADS):
        if side + 2 * padding < kernel:
            continue
        first, size, pad = reach(side, kernel, stride, padding)
        features, weight = torch.rand(1, 1, side), torch.rand(1, 1, kernel, requires_grad=True)
        whole = torch.conv1d(features, weight, None, stride, padding)
        small = torch.conv1d(features, weight[..., first : first + size], None, stride, pad)
        torch.testing.assert_close(small, whole)
        cut += size < kernel
        if size < kernel and padding <= kernel // 2:
            (gradient,) = torch.autograd.grad(whole.sum(), weight)
            reached = gradient[0, 0].nonzero()
            assert (reached.min(), reached.max()) == (first, first + size - 1)
    assert cut > 300


def test_an_odd_kernel_that_preserves_the_side_reaches_twice_the_side_less_one():
    for side, kernel in product(SIDES, (3, 5, 7, 9)):
        assert reach(side, kernel, 1, kernel // 2).size == min(kernel, 2 * side - 1)


def test_a_kernel_that_meets_features_with_all_weights_is_not_cut():
    assert reach(8, 7, 1, 3) == Reach(0, 7, 3)
    assert reach(4, 3, 2, 0) == Reach(0, 3, 0)
