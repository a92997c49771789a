"""An early-exit network with 8-bit integers: its construction from an EENN, and its reference in NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edanas.core.contracts import ExitNetwork
from edanas.core.preprocess import resize_all
from edanas.core.series import valid_lengths
from edanas.deploy.c_code.arena import plan_arena
from edanas.deploy.c_code.decision import Decisions, decisions_of
from edanas.deploy.c_code.fixed_point import Integers
from edanas.deploy.c_code.graph import Part, traced
from edanas.deploy.c_code.layers import Bytes, Layer, Tensor
from edanas.deploy.c_code.pixels import Pixels, pixel_table
from edanas.deploy.c_code.quantisation import quantised_part
from edanas.deploy.c_code.ranges import Observations, observe, scale_and_zero
from edanas.deploy.c_code.readers import read_part
from edanas.deploy.c_code.series import SeriesInput, at_width, unmasked, with_mask, without_mask
from edanas.deploy.segments import ExportSegment, segments, sized_samples

IMAGES = 256
"""The largest number of images that set the scales."""

_BATCH = 32


@dataclass(frozen=True)
class IntSegment:
    """A segment in integers.

    Args:
        exit: Exit point; N for the last exit.
        body: Layers from the previous exit, or the image, to this exit.
        head: Layers of the exit's head; the last one writes the logits.
        output: The tensor that the body writes.
        macs: Multiply-adds of body and head for one image.
        threshold: The lowest confidence at which a sample exits, 24 bits after the binary point; 0 for the
            last exit.
    """

    exit: int
    body: tuple[Layer, ...]
    head: tuple[Layer, ...]
    output: Tensor
    macs: int
    threshold: int = 0


@dataclass(frozen=True)
class IntNetwork:
    """An early-exit network whose layers and decisions compute with whole numbers.

    Args:
        pixels: Preprocessing.
        segments: The segments in the order in which they run.
        decisions: Inference rule and criterion.
        classes: Names of the classes.
        points: Number N of exit points.
    """

    pixels: Pixels | SeriesInput
    segments: tuple[IntSegment, ...]
    decisions: Decisions
    classes: tuple[str, ...]
    points: int

    @property
    def layers(self) -> list[Layer]:
        """All layers in the order in which they run for an image that leaves at the last exit."""
        return list(chain.from_iterable((*segment.body, *segment.head) for segment in self.segments))

    def arena(self) -> tuple[dict[str, int], int]:
        """Return the offset of each tensor in the arena, and the size of the arena in bytes."""
        return plan_arena(self.pixels.output, self.layers)

    def state(self) -> int:
        """Return the number of bytes beside the arena: logits, and what exits keep for later exits."""
        return 2 * len(self.classes) + self.decisions.state(len(self.classes))

    def constants(self) -> int:
        """Return the number of bytes of weights and tables."""
        return self.pixels.constants + sum(layer.constants for layer in self.layers)

    def with_thresholds(self, thresholds: Sequence[int]) -> "IntNetwork":
        """Return the network with other thresholds of the placed exits."""
        parts = [
            replace(segment, threshold=threshold)
            for segment, threshold in zip(self.segments, (*thresholds, 0), strict=True)
        ]
        return replace(self, segments=tuple(parts))

    def logits(self, images: npt.NDArray[Any]) -> list[Integers]:
        """Return the logits (B, K) of each exit for images (B, C, H, W), as if no image exited early.

        Series (B, C, 1, L) may have NaN at their end.
        """
        if isinstance(self.pixels, SeriesInput) and self.pixels.padded:
            return self._unequal_logits(images, self.pixels.lengths(images))
        batches = [self._logits(images[at : at + _BATCH]) for at in range(0, len(images), _BATCH)]
        return [np.concatenate(each) for each in zip(*batches, strict=True)]

    def _unequal_logits(self, series: npt.NDArray[Any], lengths: Integers) -> list[Integers]:
        results = [np.zeros((len(series), len(self.classes)), dtype=np.int64) for _ in self.segments]
        for length in np.unique(lengths):
            for exit_, logits in enumerate(self._logits(series[lengths == length, :, :, :length])):
                results[exit_][lengths == length] = logits
        return results

    def at_width(self, width: int) -> "IntNetwork":
        """Return the network for series whose first tensor has another width."""
        source, parts = self.pixels.output, []
        for segment in self.segments:
            body, source = at_width(segment.body, source, width)
            width = source.shape[1]
            head, _ = at_width(segment.head, source, width)
            parts.append(replace(segment, body=tuple(body), head=tuple(head), output=source))
        return replace(self, segments=tuple(parts))

    def _logits(self, images: npt.NDArray[Any]) -> list[Integers]:
        features = self.pixels.run(images)
        fits = features.shape[2] == self.pixels.output.shape[1]
        parts = self.segments if fits else self.at_width(features.shape[2]).segments
        source, results = self.pixels.output, []
        for segment in parts:
            features = np.asarray(_run(segment.body, source, features), dtype=np.int8)
            source = segment.output
            logits = _run(segment.head, source, features)
            results.append(logits.reshape(len(images), -1).astype(np.int64))
        return results

    def answers(self, logits: Sequence[Integers]) -> tuple[Integers, Integers]:
        """Return the predicted classes (B, E) and the confidences (B, E) of E exits."""
        each = [self.decisions.confidence(logits[: at + 1]) for at in range(len(logits))]
        labels, confidences = zip(*each, strict=True)
        return np.stack(labels, axis=1), np.stack(confidences, axis=1)

    def leave(self, confidences: Integers) -> Integers:
        """Return the number (B,) of the segment after which each sample exits, for confidences (B, E)."""
        fires = confidences >= np.array([segment.threshold for segment in self.segments])
        fires[:, -1] = True
        return np.asarray(fires.argmax(axis=1))


def _run(layers: Sequence[Layer], source: Tensor, features: Bytes) -> npt.NDArray[np.integer]:
    values: dict[str, npt.NDArray[np.integer]] = {source.name: features}
    result: npt.NDArray[np.integer] = features
    for layer in layers:
        result = layer.run(*(values[tensor.name] for tensor in layer.inputs))  # type: ignore[arg-type]
        values[layer.output.name] = result
    return result


def quantised(network: ExitNetwork, images: torch.Tensor) -> IntNetwork:
    """Return a network in integers; its thresholds are 0 until `with_thresholds` sets them.

    Args:
        network: An EENN, which is not changed.
        images: Images (B, C, H, W) uint8 or series (B, C, 1, L), B >= 1, that set the scales; at most
            `IMAGES` are used.

    Raises:
        ExportError: A layer, the inference rule or the criterion cannot be expressed in C.
        CostError: The multiply-adds of a stage or a head cannot be counted.
    """
    decisions = decisions_of(network)
    parts = segments(network)
    preprocess, *_ = parts[0].body.stages  # type: ignore[misc]
    size = network.image_size or network.input_size[::-1]
    images = samples_for_c(network, images[:IMAGES])
    batches = _prepared(images, preprocess, padded=network.padded)
    observations, results = Observations(), []
    source: Tensor | None = None
    stage, pixels = 0, None
    for number, segment in enumerate(parts, 1):
        stages = list(segment.body.stages)[number == 1 :]  # type: ignore[arg-type]
        if network.padded:
            unmasked(stages)
        network_head: nn.Module = segment.head.head  # type: ignore[assignment]
        stage += len(stages)
        if (member := getattr(stages[-1], "image_network", None)) is not None:
            # A network of a cascade reads the image, which stays in the arena; see `StagedBackbone`.
            stages, network_head = [], nn.Sequential(member, network_head)
        body = _read(nn.Sequential(*stages), batches[0], f"b{number}", stage - len(stages))
        batches = [observe(body, batch, observations) for batch in batches]
        inputs = [with_mask(batch) for batch in batches] if network.padded else batches
        head = _read(network_head, inputs[0], f"h{number}", _head_name(segment, network))
        head = without_mask(head) if network.padded else head
        for batch in inputs:
            observe(head, batch, observations)
        if source is None:
            scale, zero = scale_and_zero(*observations.range(body.ops[0].name))
            source = Tensor(body.ops[0].name, body.ops[0].shape, scale, zero)
            pixels = _first_tensor(network, source, size)
        layers, output = quantised_part(body, observations, source, head=False)
        head_layers, _ = quantised_part(head, observations, output, head=True)
        macs = segment.body_macs + segment.head_macs
        results.append(IntSegment(segment.exit, tuple(layers), tuple(head_layers), output, macs))
        source = output
    assert pixels is not None  # noqa: S101 - for the type checker
    return IntNetwork(pixels, tuple(results), decisions, network.classes, network.exit_points)


def samples_for_c(network: ExitNetwork, samples: torch.Tensor) -> torch.Tensor:
    """Return samples at the one size that the C code takes; see `sized_samples`.

    A network without `image_size` takes images of its input's size.
    """
    if network.image_size is None and not network.series:
        return resize_all(samples, network.input_size[::-1])
    return sized_samples(network, samples)


def _prepared(images: torch.Tensor, preprocess: nn.Module, *, padded: bool) -> list[torch.Tensor]:
    """Return prepared samples in batches of one size; padded series one by one, without their padding.

    The first of the padded series is the longest, since its length is that of the traced graph.
    """
    if not padded:
        count = min(_BATCH, len(images))
        return [preprocess(batch) for batch in torch.split(images, count) if len(batch) == count]
    prepared = preprocess(images)
    cut = [
        each[None, :, :, :length]
        for each, length in zip(prepared, valid_lengths(prepared).tolist(), strict=True)
    ]
    missing = prepared.shape[3] - cut[0].shape[3]
    # A series of full length for the shapes of the graph: the first one, and its first values again.
    return [torch.cat([cut[0]] * (1 + -(-missing // cut[0].shape[3])), 3)[..., : prepared.shape[3]], *cut]


def _first_tensor(network: ExitNetwork, source: Tensor, size: tuple[int, int]) -> Pixels | SeriesInput:
    if network.series:
        return SeriesInput(source, size[0], network.mean, network.std, padded=network.padded)
    return Pixels(source, *size, pixel_table(network.mean, network.std, source))


def _head_name(segment: ExportSegment, network: ExitNetwork) -> str:
    return "the last exit" if segment.exit == network.exit_points else f"the head of exit {segment.exit + 1}"


def _read(module: nn.Module, example: torch.Tensor, prefix: str, place: int | str) -> Part:
    """Return the operators of a body or a head.

    Args:
        module: The stages in sequence, or the head.
        example: A batch for tracing.
        prefix: First part of the operators' names.
        place: Index of the first stage of a body, or the name of a head in messages.
    """

    def rename(path: str) -> str:
        first, _, rest = path.partition(".")
        if isinstance(place, str):
            return f"'{path}' of {place}" if path else place
        stage = f"stage {place + int(first) + 1}" if first.isdigit() else f"stage {place + 1}"
        return f"'{rest}' of {stage}" if rest else stage

    name = rename("")
    return read_part(traced(module.eval(), example, name), prefix, rename)
