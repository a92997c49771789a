"""Segments of an early-exit network, the parts that exporters write."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import ExitNetwork, ExitReader
from edanas.core.contracts.exit_network import Decide, Memory
from edanas.core.errors import ExportError
from edanas.core.idle_stages import running_costs
from edanas.core.preprocess import PREPROCESSING, by_channel, resampled, resize_all
from edanas.core.series import at_length
from edanas.core.tracing import measure, trace
from edanas.core.types import LABELS

IMAGE_NETWORKS = "image_networks"
"""Field of a manifest: true if each segment holds a network that reads the image."""


class ExportSegment(NamedTuple):
    """A segment of a network: the stages between two placed exits, and the head of the second exit.

    The first segment begins with the image. In shapes, B is the number of samples, C the number of channels,
    K the number of classes, and N the number of exit points.

    Args:
        exit: The index of the exit point, from 0; N for the last exit.
        threshold: The lowest confidence at which a sample exits; `None` for the last exit.
        body: A module of the stages. It takes images (B, C, H, W) uint8 in the first segment and the features
            of the previous segment in any other, and returns features.
        head: A module of the exit classifier and the decision. It takes the body's features and the outputs
            of earlier heads. It returns the predicted classes (B,) int64, the confidences (B,) float32 and,
            except in the last segment, the tensors (B, K) float32 that later heads read.
        before: Number of tensors that the head takes from earlier heads; 0 if exits have no memory.
        body_macs: Multiply-adds of the body for one sample.
        head_macs: Multiply-adds of the head for one sample.
    """

    exit: int
    threshold: float | None
    body: nn.Module
    head: nn.Module
    before: int
    body_macs: int
    head_macs: int


class Body(nn.Module):
    """The stages of a segment in sequence; in the first segment, the preprocessing comes first."""

    def __init__(self, stages: Sequence[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.Sequential(*stages)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """See `ExportSegment.body`."""
        output: torch.Tensor = self.stages(features)
        return output


class Head(nn.Module):
    """An exit classifier with the computation of prediction and confidence from its logits.

    Args:
        head: The exit classifier: features -> logits (B, K) for B samples and K classes.
        decide: A function from logits and memory to prediction, confidence and new memory.
        readers: The inference rule and the criterion.
        last: True for the last exit of the network.
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
        # `before` holds the tensors of one exit after the other. The function `decide` takes the logits of
        # all exits first, then the predictions of all exits.
        memory = tuple(each for kind in range(self.width) for each in before[kind :: self.width])
        prediction, confidence, new_memory = self.decide(self.head(features), memory)
        exits = len(before) // self.width + 1 if self.width else 1
        outputs = () if self.last else new_memory[exits - 1 :: exits]
        return prediction.argmax(dim=1), confidence.to(torch.float32), *outputs


class SeriesPreprocessing(nn.Module):
    """The computation of `edanas.core.preprocess.prepare` as a module for series of one length.

    Args:
        resolution: Length of the result.
        mean: The mean of each channel.
        std: The standard deviation of each channel.
        resizes: False if all series have the length `resolution`.
        padded: True if NaN may stand at the end of series.
    """

    channel_mean: torch.Tensor
    channel_std: torch.Tensor

    def __init__(
        self, resolution: int, mean: Sequence[float], std: Sequence[float], *, resizes: bool, padded: bool
    ) -> None:
        super().__init__()
        self.resolution, self.resizes, self.padded = resolution, resizes, padded
        host = torch.device("cpu")
        self.register_buffer("channel_mean", by_channel(mean, host))
        self.register_buffer("channel_std", by_channel(std, host))

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Series (B, C, 1, L) float32 -> normalised series (B, C, 1, `resolution`) float32."""
        if self.resizes:
            series = resampled(series, self.resolution, padded=self.padded, dtype=torch.float32)
        normalised: torch.Tensor = (series - self.channel_mean) / self.channel_std
        return normalised


class Preprocessing(nn.Module):
    """The computation of `edanas.core.preprocess.prepare` as a module for images of any size.

    Images are always resized with antialiasing, which has no effect when they are enlarged. So the exported
    graph needs no branch.

    Args:
        resolution: Height and width of the result in pixels.
        resizes: False if all images have the height and width `resolution`.
        mean: The mean of the pixels of each channel, in [0, 1].
        std: The standard deviation of the pixels of each channel.
    """

    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor

    def __init__(
        self, resolution: int, mean: Sequence[float], std: Sequence[float], *, resizes: bool = True
    ) -> None:
        super().__init__()
        self.resolution, self.resizes = resolution, resizes
        host = torch.device("cpu")
        self.register_buffer("pixel_mean", by_channel(mean, host))
        self.register_buffer("pixel_std", by_channel(std, host))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) uint8 -> normalised images (B, C, `resolution`, `resolution`) float32."""
        size = (self.resolution, self.resolution)
        pixels = images.float() / 255.0
        if self.resizes:
            pixels = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True)
        normalised: torch.Tensor = (pixels - self.pixel_mean) / self.pixel_std
        return normalised


def segments(network: ExitNetwork) -> list[ExportSegment]:
    """Return the segments of a frozen copy of an EENN, in float32 on the CPU.

    Returns:
        One segment for each placed exit, ascending, then the segment of the last exit.

    Raises:
        ExportError: The network is frozen already; some operators of a frozen network cannot be exported.
        CostError: The multiply-adds of a stage or a head cannot be counted.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> [(segment.exit, segment.threshold, segment.body_macs) for segment in segments(toy_network())]
        [(0, 0.5, 10368), (2, None, 46656)]
    """
    if network.frozen:
        raise ExportError(
            "a frozen network cannot be exported; export the original network, which `freeze` "
            "leaves unchanged"
        )
    macs, heads = part_macs(network)
    frozen = network.freeze()
    frozen.float().cpu()
    decide = {each.exit: each.decide for each in frozen.segments()}
    readers = frozen.inference, frozen.criterion
    first: list[nn.Module] = [_preprocessing(network)]
    parts: list[ExportSegment] = []
    begin = 0
    for at, stages in frozen.backbone.segments(network.scheme.placed):
        last = at == network.exit_points
        threshold = None if last else network.scheme.thresholds[at]
        classifier = frozen.backbone.head if last else frozen.heads[str(at)]
        body, head = Body([*first, *stages]).eval(), Head(classifier, decide[at], readers, last=last).eval()
        before, body_macs = len(parts) * memory_width(readers), sum(macs[begin : at + 1])
        parts.append(ExportSegment(at, threshold, body, head, before, body_macs, heads[at]))
        first, begin = [], at + 1
    return parts


def _preprocessing(network: ExitNetwork) -> nn.Module:
    side, mean, std = network.resolution, network.mean, network.std
    resizes = network.image_size not in (None, network.input_size[::-1])
    if network.series:
        return SeriesPreprocessing(side, mean, std, resizes=resizes, padded=network.padded)
    return Preprocessing(side, mean, std, resizes=resizes or network.image_size is None)


def part_macs(network: ExitNetwork) -> tuple[tuple[int, ...], dict[int, int]]:
    """Return the multiply-adds of each stage and of each head, for one sample.

    Returns:
        The multiply-adds of the stages, in order, and those of the heads by the index of the exit. A stage
        that does not run has none.

    Raises:
        CostError: The multiply-adds of a stage or a head cannot be counted.
    """
    stages, last = trace(network.backbone, len(network.mean))
    heads = {at: measure(network.heads[str(at)], stages[at].shape) for at in network.scheme.placed}
    decisions = network.decision_costs()
    head_macs = {at: (cost + decisions[at]).macs for at, cost in {**heads, network.exit_points: last}.items()}
    return tuple(stage.macs for stage in running_costs(stages, network.scheme.placed)), head_macs


def memory_width(readers: Sequence[ExitReader]) -> int:
    """Return the number of tensors that an exit outputs for later exits, from 0 to 2.

    An inference rule with memory reads the logits of earlier exits, a criterion with memory their
    predictions.
    """
    return sum(reader.memory for reader in readers)


def example_memory(network: ExitNetwork, count: int, tensors: int) -> Memory:
    """Return random tensors (count, K) float32 of K classes, as outputs of earlier heads for tracing.

    Args:
        network: The network to trace.
        count: Number of samples.
        tensors: Number of tensors.
    """
    classes = len(network.classes)
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(count, classes, generator=generator) for _ in range(tensors))


def manifest_fields(network: ExitNetwork) -> Mapping[str, Any]:
    """Return the fields of a network that are the same in the manifests of all forms, as JSON values."""
    stated = {PREPROCESSING: network.description[PREPROCESSING]} if network.image_size else {}
    return {
        **stated,
        "exit_points": network.exit_points,
        "channels": len(network.mean),
        "resolution": network.resolution,
        "mean": list(network.mean),
        "std": list(network.std),
        "classes": list(network.classes),
        **({LABELS: network.description[LABELS]} if LABELS in network.description else {}),
        "looks_back": network.memory,
        **({IMAGE_NETWORKS: True} if network.backbone.image_stages else {}),
    }


def sized_samples(network: ExitNetwork, samples: torch.Tensor) -> torch.Tensor:
    """Return samples at the size of those of a network's run; without `image_size`, they stay as they are.

    Args:
        network: The network.
        samples: Images (B, C, H, W) uint8, or series (B, C, 1, L), which are cropped or padded at their end.
    """
    if network.image_size is None:
        return samples
    if network.series:
        return at_length(samples, network.image_size[0])
    return resize_all(samples, network.image_size)


def example_images(network: ExitNetwork, count: int, extra: int = 0) -> torch.Tensor:
    """Return random images (count, C, H, W) uint8 or series (count, C, 1, L) float32 for tracing.

    C is the network's number of channels. Series have the length of those of the network's run. H and W are
    those of `image_size`. Without it, H is R + extra and W is R + 2 extra, where R is the resolution in
    pixels.

    Args:
        network: The network to trace.
        count: Number of images.
        extra: Number of additional pixels in height; the width has twice as many. By default 0.
    """
    side = network.resolution
    if network.series:
        length = network.image_size[0] if network.image_size else side
        return torch.randn(count, len(network.mean), 1, length, generator=torch.Generator().manual_seed(0))
    width, height = network.image_size or (side + 2 * extra, side + extra)
    shape = count, len(network.mean), height, width
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
