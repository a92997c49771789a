"""Segments of an early-exit network, as exporters write them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import ExitNetwork, ExitReader
from edanas.core.contracts.exit_network import Decide, Memory
from edanas.core.errors import ExportError
from edanas.core.preprocess import by_channel
from edanas.core.tracing import measure, trace


class ExportSegment(NamedTuple):
    """The layers between two placed exits, with the exit behind them.

    Args:
        exit: The exit point's index, or N for the last exit.
        threshold: The least confidence at which a sample exits; `None` for the last exit.
        body: Images (B, C, H, W) uint8, or the features of the segment before -> features.
        head: Features and the outputs of earlier heads -> labels (B,) int64, confidences (B,) float32. All
            heads but the last add the tensors (B, K) float32 that later heads read.
        before: Number of tensors that earlier heads hand on; 0 where exits have no memory.
        body_macs: Multiply-adds for one sample.
        head_macs: As `body_macs`.
    """

    exit: int
    threshold: float | None
    body: nn.Module
    head: nn.Module
    before: int
    body_macs: int
    head_macs: int


class Body(nn.Module):
    """The stages of a segment in sequence; in the first segment, the preprocessing comes before them."""

    def __init__(self, stages: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.Sequential(*stages)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """See `ExportSegment.body`."""
        output: torch.Tensor = self.stages(features)
        return output


class Head(nn.Module):
    """An exit classifier with the decision on its logits.

    Args:
        head: Features -> logits (B, K).
        decide: Logits and memory -> prediction, confidence, and memory.
        readers: The inference rule and the criterion.
        last: Whether no exit follows.
    """

    def __init__(self, head: nn.Module, decide: Decide, readers: Sequence[ExitReader], *, last: bool) -> None:
        super().__init__()
        self.head = head
        self.decide = decide
        self.last = last
        self.width = memory_width(readers)
        # Registers the readers' weights, if there are any.
        self.learned = nn.ModuleList(each for each in readers if isinstance(each, nn.Module))

    def forward(self, features: torch.Tensor, *before: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """See `ExportSegment.head`."""
        # `before` is ordered by exit; a decision takes all logits first, then all predictions.
        memory = tuple(each for kind in range(self.width) for each in before[kind :: self.width])
        prediction, confidence, new_memory = self.decide(self.head(features), memory)
        exits = len(before) // self.width + 1 if self.width else 1
        outputs = () if self.last else new_memory[exits - 1 :: exits]
        return prediction.argmax(dim=1), confidence.to(torch.float32), *outputs


class Preprocessing(nn.Module):
    """`edanas.core.preprocess.prepare` of bytes, as one graph for images of any size.

    Antialiasing has no effect on images that are enlarged, so that one operator serves both directions.
    """

    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor

    def __init__(self, resolution: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.resolution = resolution
        host = torch.device("cpu")
        self.register_buffer("pixel_mean", by_channel(mean, host))
        self.register_buffer("pixel_std", by_channel(std, host))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) uint8 -> (B, C, resolution, resolution) float32."""
        size = (self.resolution, self.resolution)
        pixels = images.float() / 255.0
        pixels = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True)
        normalised: torch.Tensor = (pixels - self.pixel_mean) / self.pixel_std
        return normalised


def segments(network: ExitNetwork) -> list[ExportSegment]:
    """Cut a copy of an EENN into segments for inference: frozen, in float32, on the CPU.

    Returns:
        One segment for each placed exit, ascending, then that of the last exit.

    Raises:
        ExportError: The network is frozen already, so that some of its operators may not be exportable.
        CostError: The multiply-adds of a part cannot be counted.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> [(segment.exit, segment.threshold, segment.body_macs) for segment in segments(toy_network())]
        [(0, 0.5, 10368), (2, None, 46656)]
    """
    if network.frozen:
        raise ExportError("a frozen network cannot be exported; export the one that it was frozen from")
    macs, heads = part_macs(network)
    frozen = network.freeze()
    frozen.float().cpu()
    decide = {each.exit: each.decide for each in frozen.segments()}
    readers = frozen.inference, frozen.criterion
    stages: list[nn.Module] = [Preprocessing(network.resolution, network.mean, network.std)]
    parts: list[ExportSegment] = []
    begin = 0
    for at, stage in enumerate(frozen.backbone.stages):
        stages.append(stage)
        last = at == network.exit_points
        threshold = None if last else network.scheme.thresholds[at]
        if last or threshold is not None:
            classifier = frozen.backbone.head if last else frozen.heads[str(at)]
            body, head = Body(stages).eval(), Head(classifier, decide[at], readers, last=last).eval()
            before, body_macs = len(parts) * memory_width(readers), sum(macs[begin : at + 1])
            parts.append(ExportSegment(at, threshold, body, head, before, body_macs, heads[at]))
            stages, begin = [], at + 1
    return parts


def part_macs(network: ExitNetwork) -> tuple[tuple[int, ...], dict[int, int]]:
    """Count the multiply-adds of each stage, and of each head by its exit's index.

    Raises:
        CostError: The multiply-adds of a part cannot be counted.
    """
    stages, last = trace(network.backbone, len(network.mean))
    heads = {at: measure(network.heads[str(at)], stages[at].shape) for at in network.scheme.placed}
    decisions = network.decision_costs()
    head_macs = {at: (cost + decisions[at]).macs for at, cost in {**heads, network.exit_points: last}.items()}
    return tuple(stage.macs for stage in stages), head_macs


def memory_width(readers: Sequence[ExitReader]) -> int:
    """Return the number of tensors that each exit hands on: its logits, its prediction, both or neither."""
    return sum(reader.memory for reader in readers)


def example_memory(network: ExitNetwork, count: int, tensors: int) -> Memory:
    """Draw stand-ins for the outputs of earlier heads, to trace with: `tensors` of (count, K) float32."""
    classes = len(network.classes)
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(count, classes, generator=generator) for _ in range(tensors))


def manifest_fields(network: ExitNetwork) -> Mapping[str, Any]:
    """Return the fields that every manifest has of a network, as plain values."""
    return {
        "exit_points": network.exit_points,
        "channels": len(network.mean),
        "resolution": network.resolution,
        "mean": list(network.mean),
        "std": list(network.std),
        "classes": list(network.classes),
        "looks_back": network.memory,
    }


def example_images(network: ExitNetwork, count: int, extra: int = 0) -> torch.Tensor:
    """Draw bytes to trace with: (count, C, R + extra, R + 2 extra) uint8 for the resolution R."""
    shape = count, len(network.mean), network.resolution + extra, network.resolution + 2 * extra
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
