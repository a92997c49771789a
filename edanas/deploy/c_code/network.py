"""An early-exit network with 8-bit integers: its construction from an EENN, and its reference in NumPy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edanas.core.contracts import ExitNetwork
from edanas.core.errors import ExportError
from edanas.core.preprocess import resize_all
from edanas.deploy.c_code.arena import plan_arena
from edanas.deploy.c_code.decision import Decisions, decisions_of
from edanas.deploy.c_code.fixed_point import Integers
from edanas.deploy.c_code.graph import Part, traced
from edanas.deploy.c_code.layers import Bytes, Layer, Tensor
from edanas.deploy.c_code.pixels import Pixels, pixel_table
from edanas.deploy.c_code.quantisation import quantised_part
from edanas.deploy.c_code.ranges import Observations, observe, scale_and_zero
from edanas.deploy.c_code.readers import read_part
from edanas.deploy.segments import ExportSegment, segments

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

    pixels: Pixels
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

    def logits(self, images: npt.NDArray[np.uint8]) -> list[Integers]:
        """Return the logits (B, K) of each exit for images (B, C, H, W), as if no image exited early."""
        batches = [self._logits(images[at : at + _BATCH]) for at in range(0, len(images), _BATCH)]
        return [np.concatenate(each) for each in zip(*batches, strict=True)]

    def _logits(self, images: npt.NDArray[np.uint8]) -> list[Integers]:
        features = self.pixels.run(images)
        source, results = self.pixels.output, []
        for segment in self.segments:
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
        images: Images (B, C, H, W) uint8, B >= 1, that set the scales; `IMAGES` at most are used.

    Raises:
        ExportError: The network classifies series, or a layer, the inference rule or the criterion cannot be
            expressed in C.
        CostError: The multiply-adds of a stage or a head cannot be counted.
    """
    if network.series:
        raise ExportError("found a network for series; the C code reads images of 8 bits")
    decisions = decisions_of(network)
    parts = segments(network)
    preprocess, *_ = parts[0].body.stages  # type: ignore[misc]
    size = network.image_size or network.input_size[::-1]
    images = resize_all(images[:IMAGES], size)
    count = min(_BATCH, len(images))
    batches = [preprocess(batch) for batch in torch.split(images, count) if len(batch) == count]
    observations, results = Observations(), []
    source: Tensor | None = None
    stage, pixels = 0, None
    for number, segment in enumerate(parts, 1):
        stages = list(segment.body.stages)[number == 1 :]  # type: ignore[arg-type]
        body = _read(nn.Sequential(*stages), batches[0], f"b{number}", stage)
        batches = [observe(body, batch, observations) for batch in batches]
        network_head: nn.Module = segment.head.head  # type: ignore[assignment]
        head = _read(network_head, batches[0], f"h{number}", _head_name(segment, network))
        for batch in batches:
            observe(head, batch, observations)
        if source is None:
            scale, zero = scale_and_zero(*observations.range(body.ops[0].name))
            source = Tensor(body.ops[0].name, body.ops[0].shape, scale, zero)
            pixels = Pixels(source, *size, pixel_table(network.mean, network.std, source))
        layers, output = quantised_part(body, observations, source, head=False)
        head_layers, _ = quantised_part(head, observations, output, head=True)
        macs = segment.body_macs + segment.head_macs
        results.append(IntSegment(segment.exit, tuple(layers), tuple(head_layers), output, macs))
        source, stage = output, stage + len(stages)
    assert pixels is not None  # noqa: S101 - for the type checker
    return IntNetwork(pixels, tuple(results), decisions, network.classes, network.exit_points)


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
