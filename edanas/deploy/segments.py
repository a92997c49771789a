"""What exporters read of an EENN, and the parts that they cut it into."""

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
    """What lies between two placed exits, with the exit behind it.

    Args:
        exit: The exit point's index, or N for the last exit.
        threshold: How sure one must be to leave; `None` for the last exit.
        body: Images (B, C, H, W) uint8, or the features of the segment before -> features.
        head: Features, and what earlier heads left -> labels (B,) int64, confidences (B,) float32 and, save
            for the last exit's, what this one leaves to all later ones, (B, K) float32 each.
        before: How many tensors earlier heads left: 0 where exits do not look back.
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
    """Stages in sequence; the first segment's prepare the images."""

    def __init__(self, stages: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.Sequential(*stages)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """See `ExportSegment.body`."""
        found: torch.Tensor = self.stages(features)
        return found


class Head(nn.Module):
    """An exit, with what it makes of its logits.

    Args:
        head: Features -> logits (B, K).
        decide: What is made of them.
        readers: The inference rule and the criterion.
        last: Whether no exit follows.
    """

    def __init__(self, head: nn.Module, decide: Decide, readers: Sequence[ExitReader], *, last: bool) -> None:
        super().__init__()
        self.head = head
        self.decide = decide
        self.last = last
        self.width = memory_width(readers)
        # So that the weights are seen, if there are any.
        self.learned = nn.ModuleList(each for each in readers if isinstance(each, nn.Module))

    def forward(self, features: torch.Tensor, *before: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """See `ExportSegment.head`."""
        # Here exit by exit, in a decision all logits and then all answers.
        memory = tuple(each for kind in range(self.width) for each in before[kind :: self.width])
        answer, sure, kept = self.decide(self.head(features), memory)
        ran = len(before) // self.width + 1 if self.width else 1
        left = () if self.last else kept[ran - 1 :: ran]
        return answer.argmax(dim=1), sure.to(torch.float32), *left


class Preparation(nn.Module):
    """As `edanas.core.preprocess.prepare` of bytes, for images of any size in one graph.

    Where images are enlarged, to smooth is to do nothing; so it need not be asked which way they are resized.
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
        found: torch.Tensor = (pixels - self.pixel_mean) / self.pixel_std
        return found


def segments(network: ExitNetwork) -> list[ExportSegment]:
    """The segments of a copy, ready for inference: frozen, in float32, on the CPU; the last exit's last.

    Raises:
        ExportError: The network is frozen already, and may hold what cannot be exported.
        CostError: A part's multiply-adds cannot be counted.
    """
    if network.frozen:
        raise ExportError("a frozen network cannot be exported; export the one that it was frozen from")
    macs, heads = part_macs(network)
    frozen = network.freeze()
    frozen.float().cpu()
    decide = {each.exit: each.decide for each in frozen.segments()}
    readers = frozen.inference, frozen.criterion
    stages: list[nn.Module] = [Preparation(network.resolution, network.mean, network.std)]
    found: list[ExportSegment] = []
    begin = 0
    for at, stage in enumerate(frozen.backbone.stages):
        stages.append(stage)
        last = at == network.exit_points
        threshold = None if last else network.scheme.thresholds[at]
        if last or threshold is not None:
            exit_ = frozen.backbone.head if last else frozen.heads[str(at)]
            body, head = Body(stages).eval(), Head(exit_, decide[at], readers, last=last).eval()
            before, spent = len(found) * memory_width(readers), sum(macs[begin : at + 1])
            found.append(ExportSegment(at, threshold, body, head, before, spent, heads[at]))
            stages, begin = [], at + 1
    return found


def part_macs(network: ExitNetwork) -> tuple[tuple[int, ...], dict[int, int]]:
    """Multiply-adds of each stage, and of each placed exit's head by exit point, the last's by N.

    Raises:
        CostError: One cannot be counted.
    """
    stages, last = trace(network.backbone, len(network.mean))
    heads = {at: measure(network.heads[str(at)], stages[at].shape) for at in network.scheme.placed}
    deciding = network.decision_costs()
    whole = {at: (cost + deciding[at]).macs for at, cost in {**heads, network.exit_points: last}.items()}
    return tuple(stage.macs for stage in stages), whole


def memory_width(readers: Sequence[ExitReader]) -> int:
    """How many tensors each exit leaves to later ones: its logits, its answer, or both, or neither."""
    return sum(reader.memory for reader in readers)


def example_memory(network: ExitNetwork, count: int, tensors: int) -> Memory:
    """What earlier heads may have left, to trace with: so many tensors, (count, K) float32 each."""
    classes = len(network.classes)
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(count, classes, generator=generator) for _ in range(tensors))


def manifest_fields(network: ExitNetwork) -> Mapping[str, Any]:
    """What every manifest says of the network: plain values."""
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
    """Bytes to trace with: (count, C, H, W) uint8, `extra` pixels higher and twice that wider than read."""
    shape = count, len(network.mean), network.resolution + extra, network.resolution + 2 * extra
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
