"""Scales and zero points of 8-bit integers, as TensorFlow Lite defines them.

A real number is scale * (q - zero point) for an integer q from -128 to 127. Weights have one scale for each
output channel, integers from -127 to 127 and the zero point 0. Biases are integers of 32 bits at the product
of the scales of input and weights.

Source: Jacob et al., "Quantization and training of neural networks for
efficient integer-arithmetic-only inference", CVPR 2018, and TensorFlow Lite's 8-bit quantization
specification.
"""

import math
from typing import NamedTuple

import torch

LOWEST, HIGHEST = -128, 127
"""The range of integers of activations."""

WEIGHT_LIMIT = 127
"""Largest absolute value of integers of weights."""

_LEAST_SCALE = 1e-8
"""Smallest scale, so that a channel of zeros has a scale."""


class Quantisation(NamedTuple):
    """Scale and zero point of a tensor.

    Example:
        >>> quantisation = Quantisation.of_range(-1.0, 1.55)
        >>> round(quantisation.scale, 4), quantisation.zero
        (0.01, -28)
        >>> quantisation.integers(torch.tensor([-1.0, 0.0, 9.0])).tolist()
        [-128, -28, 127]
    """

    scale: float
    zero: int

    @classmethod
    def of_range(cls, low: float, high: float) -> "Quantisation":
        """Return the quantisation of values from `low` to `high`; zero is always an exact value."""
        low, high = min(low, 0.0), max(high, 0.0)
        if not high - low > 0.0:
            high = 1.0
        scale = max(_rounded((high - low) / (HIGHEST - LOWEST)), _LEAST_SCALE)
        zero = round(LOWEST - low / scale)
        return cls(scale, min(max(zero, LOWEST), HIGHEST))

    def integers(self, values: torch.Tensor) -> torch.Tensor:
        """Return values as int8, rounded to the nearest integer and limited to the range."""
        return (values / self.scale).round().add(self.zero).clamp(LOWEST, HIGHEST).to(torch.int8)

    def rounded(self, values: torch.Tensor) -> torch.Tensor:
        """Return the real numbers of the integers of values; gradients pass within the range."""
        return torch.fake_quantize_per_tensor_affine(values, self.scale, self.zero, LOWEST, HIGHEST)


def weight_scales(kernel: torch.Tensor) -> torch.Tensor:
    """Return the scale (D,) of each output channel of a kernel (D, ...)."""
    return kernel.detach().flatten(1).abs().amax(dim=1).div(WEIGHT_LIMIT).clamp_min(_LEAST_SCALE)


def rounded_weights(kernel: torch.Tensor) -> torch.Tensor:
    """Return a kernel as its integers represent it; gradients pass."""
    scales = weight_scales(kernel)
    zeros = torch.zeros_like(scales, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(kernel, scales, zeros, 0, -WEIGHT_LIMIT, WEIGHT_LIMIT)


def rounded_bias(bias: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return a bias (D,) as integers of the given scales (D,) represent it; gradients pass."""
    rounded = bias.detach().div(scales).round().mul(scales)
    return bias + (rounded - bias.detach())


def _rounded(scale: float) -> float:
    """Return the nearest float of 32 bits, the precision of scales in files."""
    return float(torch.tensor(scale, dtype=torch.float32)) if math.isfinite(scale) else scale
