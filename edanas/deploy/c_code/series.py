"""Series in the C code: resampling and scaling to the first tensor, and layers at the length of a series.

A network for series of unequal length carries masks in torch. The C code has none: it runs each series at its
own length, and computes no padding. Both give the same logits, since a masked layer ignores padding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.errors import ExportError
from edanas.core.preprocess import resampling_weights
from edanas.core.series import valid_lengths
from edanas.deploy.c_code.graph import Op, Part
from edanas.deploy.c_code.layers import Bytes, Conv, Layer, Pad, Pool, Tensor
from edanas.deploy.c_code.windows import Window

Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SeriesInput:
    """The preprocessing of series of floats.

    Args:
        output: The first tensor of the network.
        width: Length of the longest series.
        mean: Mean of each channel.
        std: Standard deviation of each channel.
        padded: True if series may be shorter.

    Example:
        >>> source = SeriesInput(Tensor("x", (1, 2, 1), 0.5, 3), 4, (0.0,), (2.0,), padded=True)
        >>> source.run(np.array([[[[1.0, 1.0, 6.0, 6.0]]]], dtype=np.float32)).ravel()
        array([5, 8], dtype=int8)
        >>> source.widths(np.array([1, 2, 3, 4]))
        array([1, 1, 2, 2])
    """

    output: Tensor
    width: int
    mean: Sequence[float]
    std: Sequence[float]
    padded: bool
    height: int = 1

    @property
    def resizes(self) -> bool:
        """True if series have another length than the first tensor."""
        return self.width != self.output.shape[1]

    @property
    def constants(self) -> int:
        """Number of bytes of tables in flash."""
        begins, weights = self.taps() if self.resizes else (np.zeros(0), np.zeros(0))
        return 4 * weights.size + 2 * begins.size + 8 * len(self.mean) + 2 * self.needed().size

    def taps(self) -> tuple[npt.NDArray[np.int64], Floats32]:
        """Return the first value (R,) that each new value reads, and the weights (R, T) of T values."""
        weights = resampling_weights(self.width, self.output.shape[1])
        begins = (weights > 0).argmax(axis=1)
        count = int((weights > 0).sum(axis=1).max())
        at = begins[:, None] + np.arange(count)
        inside = np.where(at < self.width, np.take_along_axis(weights, at.clip(max=self.width - 1), 1), 0.0)
        return begins, inside.astype(np.float32)

    def needed(self) -> npt.NDArray[np.int64]:
        """Return the length (R,) from which on a series has each new value; empty if all lengths are equal.

        A new value exists if at least half of its weight is on values of the series; the first always does.
        """
        if not self.padded:
            return np.zeros(0, dtype=np.int64)
        reached = np.cumsum(resampling_weights(self.width, self.output.shape[1]), axis=1) >= 0.5 - 1e-9
        lengths = reached.argmax(axis=1) + 1
        lengths[0] = 1
        return np.asarray(lengths, dtype=np.int64)

    def scaling(self) -> tuple[Floats32, Floats32]:
        """Return factor and summand (C,) from values to numbers of the first tensor."""
        steps = np.array(self.std) * self.output.scale
        offsets = self.output.zero - np.array(self.mean) / steps
        return (1 / steps).astype(np.float32), offsets.astype(np.float32)

    def lengths(self, series: Floats32) -> npt.NDArray[np.int64]:
        """Return the length (B,) of each series (B, C, 1, L) without padding."""
        return np.asarray(valid_lengths(torch.from_numpy(series)))

    def widths(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the width (B,) of the first tensor for series of some lengths (B,)."""
        if not self.padded:
            return np.full(len(lengths), self.output.shape[1])
        return np.asarray((self.needed() <= lengths[:, None]).sum(axis=1))

    def run(self, series: Floats32) -> Bytes:
        """Return the first tensor (B, 1, W, C) for series (B, C, 1, L) of one length, which sets the width W.

        The C code computes the same, one operation of 32 bits after the other.
        """
        values = series[:, :, 0].astype(np.float32)
        length = values.shape[2]
        width = int(self.widths(np.array([length]))[0])
        if self.resizes:
            values = self._resampled(values, length, width)
        factors, offsets = (each[:, None] for each in self.scaling())
        numbers = np.floor(values[:, :, :width] * factors + offsets + np.float32(0.5))
        clipped = np.clip(numbers, -128, 127).astype(np.int8)
        return np.asarray(clipped.transpose(0, 2, 1)[:, None])

    def _resampled(self, values: Floats32, length: int, width: int) -> Floats32:
        begins, weights = self.taps()
        total = np.zeros((*values.shape[:2], width), dtype=np.float32)
        share = np.zeros(width, dtype=np.float32)
        for tap in range(weights.shape[1]):
            at = begins[:width] + tap
            weight = np.where(at < length, weights[:width, tap], np.float32(0))
            total += weight * values[:, :, at.clip(max=length - 1)]
            share += weight
        is_cut = begins[:width] + weights.shape[1] > length
        return np.asarray(np.where(is_cut & (length < self.width), total / share, total), dtype=np.float32)


def unmasked(stages: Sequence[torch.nn.Module]) -> None:
    """Let stages compute without masks, for series without padding; changes them in place.

    The attribute `masked` of their modules is the contract of `edanas.core.contracts.StagedBackbone`.
    """
    for stage in stages:
        for module in stage.modules():
            if getattr(module, "masked", False):
                module.masked = False  # type: ignore[assignment]


def with_mask(features: torch.Tensor) -> torch.Tensor:
    """Return features (B, C + 1, 1, L) with the mask that a masked stage gives series without padding."""
    return torch.cat([features, torch.ones_like(features[:, :1])], 1)


def without_mask(part: Part) -> Part:
    """Return the operators of a head that reads a mask as its last channel, for features without the mask.

    The mean of the mask over valid positions is 1, so its weights in the first convolution join the bias.

    Raises:
        ExportError: The head reads the mask in another way than by a mean and a convolution.
    """
    ops: list[Op] = []
    holds_mask: set[str] = set()
    for op in part.ops:
        height, width, channels = op.shape
        reads_mask = any(name in holds_mask for name in op.inputs)
        if op.kind == "input" or (op.kind == "mean" and reads_mask and op.shape[:2] == (1, 1)):
            holds_mask.add(op.name)
            op = replace(op, shape=(height, width, channels - 1))
        elif reads_mask:
            pooled = next(each for each in ops if each.name == op.inputs[0])
            if op.kind != "conv" or op.numbers["groups"] != 1 or pooled.kind != "mean":
                raise ExportError(
                    f"layer {op.layer}: found a head that reads the mask of padded series without average "
                    "pooling; allowed: heads that begin with average pooling, e.g. `pool-linear`"
                )
            weight, bias = op.numbers["weight"], op.numbers["bias"]
            numbers = {**op.numbers, "weight": weight[:, :-1], "bias": bias + weight[:, -1].sum((1, 2))}
            op = replace(op, numbers=numbers)
        ops.append(op)
    return replace(part, ops=tuple(ops))


def at_width(layers: Sequence[Layer], source: Tensor, width: int) -> tuple[list[Layer], Tensor]:
    """Return layers for features of another width, and the tensor that the last one writes.

    Args:
        layers: The layers.
        source: The tensor that they read.
        width: Its width.

    Raises:
        ExportError: A layer pads or pools parts of its features.
    """
    sized = {source.name: _resized(source, width)}
    result, last = [], sized[source.name]
    for layer in layers:
        inputs = tuple(sized[tensor.name] for tensor in layer.inputs)
        last = _resized(layer.output, width_after(layer, inputs[0].shape[1]))
        sized[last.name] = last
        more: Mapping[str, object] = {}
        if isinstance(layer, Pool):
            more = {"columns": (Window(0, inputs[0].shape[1], inputs[0].shape[1]),)}
        result.append(replace(layer, inputs=inputs, output=last, **more))
    return result, last


def width_after(layer: Layer, width: int) -> int:
    """Return the width of a layer's output for a width of its first input.

    Raises:
        ExportError: The layer pads or pools parts of its features.
    """
    if isinstance(layer, Conv):
        return -(-width // layer.stride[1])
    if isinstance(layer, Pad) or (isinstance(layer, Pool) and layer.output.shape[:2] != (1, 1)):
        raise ExportError(
            f"layer {layer.output.name}: found padding or pooling of a part of a padded series; allowed: "
            "convolutions, and means over the whole series"
        )
    return 1 if isinstance(layer, Pool) else width


def _resized(tensor: Tensor, width: int) -> Tensor:
    height, _, channels = tensor.shape
    return replace(tensor, shape=(height, width, channels))
