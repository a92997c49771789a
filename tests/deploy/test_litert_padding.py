import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edanas.deploy.litert_padding import frame

SIDES = list(itertools.product((5, 8, 9), (1, 2, 3, 5), (1, 2, 3), (0, 1, 2)))


def same_begin(size: int, kernel: int, stride: int) -> int:
    """The padding before the first pixel, by the definition of `SAME` in TensorFlow's documentation."""
    total = kernel - stride if size % stride == 0 else kernel - size % stride
    return max(total, 0) // 2


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), SIDES)
@pytest.mark.parametrize("weights", [0, 1, 10_000])
def test_every_frame_computes_torchs_convolution(
    size: int, kernel: int, stride: int, padding: int, weights: int
) -> None:
    if size + 2 * padding < kernel or padding > kernel // 2:
        pytest.skip("torch has no such layer")
    row = torch.arange(1.0, size + 1).view(1, 1, 1, size)
    taps = torch.arange(1.0, kernel + 1).view(1, 1, 1, kernel) ** 2
    expected = F.conv2d(row, taps, stride=(1, stride), padding=(0, padding)).flatten().numpy()
    options = {"stride": (1, stride), "padding": (0, padding), "dilation": (1, 1)}
    edges = frame((1, size), (1, len(expected)), (1, kernel), options, weights, elements=size)
    numbers, window = row.flatten().numpy(), taps.flatten().numpy()
    if edges.explicit:
        numbers = np.pad(numbers, edges.explicit[1])
    window = np.pad(window, (0, edges.more_kernel[1]))
    count = (len(numbers) - len(window)) // stride + 1
    if edges.same:
        count = -(-size // stride)
        begin = same_begin(size, len(window), stride)
        numbers = np.pad(numbers, (begin, len(window) + stride))
    result = [float((numbers[at * stride :][: len(window)] * window).sum()) for at in range(count)]
    np.testing.assert_allclose(result, expected)
    assert not (edges.more_kernel[1] and weights != 1)
