"""Early-exit networks that compute as their 8-bit integers would."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import nn

from edanas.core.contracts import ExitNetwork
from edanas.core.errors import ExportError
from edanas.core.idle_stages import idle_stages
from edanas.core.preprocess import by_channel, prepare
from edanas.deploy.int8.layers import Layer, LayerGraph, Weights
from edanas.deploy.int8.part import Int8Part, Mode
from edanas.deploy.int8.recording import record

Network = TypeVar("Network", bound=ExitNetwork)

QUANTIZED = "quantized"
"""Key of a network's description: true if its thresholds hold for its 8-bit integers."""

LEAST_IMAGES = 16
"""Smallest number of images from which ranges of activations follow."""

IMAGES = 256
"""Largest number of images that set the ranges."""

_BATCH = 64
_PIXELS = (0.0, 255.0)


class ImagePart(Int8Part):
    """The first stage, which takes the bytes of images, and normalises them in a layer of its own.

    Its input in torch is a normalised image, whose bytes it computes and rounds.

    Args:
        graph: The layers of the stage, whose input is a normalised image.
        mean: Mean of each channel, for pixels in [0, 1].
        std: Standard deviation of each channel.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, graph: LayerGraph, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(_with_pixels(graph, mean, std))
        host = torch.device("cpu")
        self.register_buffer("mean", by_channel(mean, host))
        self.register_buffer("std", by_channel(std, host))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the features after the stage for normalised images (B, C, R, R)."""
        return super().forward((features * self.std + self.mean) * 255.0)

    def fix_ranges(self) -> None:
        """See `Int8Part.fix_ranges`; bytes have the range 0 to 255."""
        super().fix_ranges()
        first = self.graph.layers[0]
        black, white = (-self.mean / self.std).amin(), ((1 - self.mean) / self.std).amax()
        self.ranges[self.groups[self.graph.inputs[0]]] = _PIXELS
        self.ranges[self.groups[first.writes]] = float(black), float(white)


def int8_network(network: Network, images: torch.Tensor) -> Network:
    """Return a copy of a network that computes with the values of 8-bit integers.

    Everything between the bytes of an image, or a normalised series, and the logits of an exit is in
    integers; inference rule and criterion compute in floats. The copy is an early-exit network like any
    other: it can be trained (see `write_back`), profiled and asked for predictions. Its modules are
    `Int8Part`s.

    Args:
        network: The network, which stays unchanged.
        images: Images (B, C, H, W) uint8 of the calibration part; the first 256 set the ranges.

    Raises:
        ExportError: A layer cannot be expressed in integers, there are fewer than 16 images, or the network
            is frozen.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> from edanas.testing.toy_networks import toy_images
        >>> images = toy_images(32, seed=0).images
        >>> int8_network(toy_network(), images)(images).label.shape
        torch.Size([32])
    """
    if len(images) < LEAST_IMAGES:
        raise ExportError(
            f"calibration part: found {len(images)} samples; allowed: {LEAST_IMAGES} or more, since their "
            "activations set the scales of 8-bit integers"
        )
    clone = layered_network(network)
    set_mode(clone, "observe")
    with torch.no_grad():
        for batch in torch.split(images[:IMAGES], _BATCH):
            clone.prepared_logits(prepare(batch, clone.resolution, clone.mean, clone.std))
    _link_ranges(clone)
    set_mode(clone, "int8")
    return clone.to(network.device)


def layered_network(network: Network) -> Network:
    """Return a copy of a network, on the CPU, whose stages and heads are `Int8Part`s that compute in floats.

    Raises:
        ExportError: A layer cannot be expressed in integers, the network takes padding, or it is frozen.
    """
    if network.padded:
        raise ExportError(
            "found a network for series of unequal length, whose masks have no counterpart in 8-bit integers "
            "and `.tflite` files; allowed: the exporters `c`, `onnx` and `pt2`, or series of one length"
        )
    if network.frozen:
        raise ExportError(
            "a frozen network cannot be exported; export the original network, which `freeze` "
            "leaves unchanged"
        )
    clone = copy.deepcopy(network).eval().float().cpu()
    _replace_parts(clone)
    _check_same(network, clone)
    return clone


def set_mode(network: nn.Module, mode: Mode) -> None:
    """Set how all parts of a network compute."""
    for part in network.modules():
        if isinstance(part, Int8Part):
            part.mode = mode


def write_back(trained: ExitNetwork, network: ExitNetwork) -> None:
    """Give a network the weights of its trained integer copy.

    BatchNorm layers keep the trained bias and lose their statistics, which the kernels include.

    Args:
        trained: A copy that `int8_network` returned and that was trained.
        network: The network of which it is a copy; changed in place.
    """
    for part, module in zip(_parts(trained), _parts(network), strict=True):
        if isinstance(part, Int8Part):
            for index, layer in enumerate(part.graph.layers):
                if layer.weights is not None and part.kernels[str(index)].requires_grad:
                    kernel, bias = part.kernels[str(index)], part.biases[str(index)]
                    _write_layer(module, layer.weights, kernel.detach(), bias.detach())


@torch.no_grad()
def _write_layer(module: nn.Module, weights: Weights, kernel: torch.Tensor, bias: torch.Tensor) -> None:
    layer: Any = module.get_submodule(weights.module)
    layer.weight.copy_(kernel.view_as(layer.weight))
    if weights.norm:
        norm: Any = module.get_submodule(weights.norm)
        norm.running_mean.zero_()
        norm.running_var.fill_(1.0 - norm.eps)
        norm.weight.fill_(1.0)
        norm.bias.copy_(bias)
        if weights.has_bias:
            layer.bias.zero_()
    elif weights.has_bias:
        layer.bias.copy_(bias)


def _parts(network: ExitNetwork) -> Iterator[nn.Module]:
    """Yield the stages that run, the heads and the last exit."""
    stages = (network.backbone.stages[at] for at in _running(network))
    yield from (*stages, *network.heads.values(), network.backbone.head)


def _running(network: ExitNetwork) -> list[int]:
    """Return the indices of the stages that run for the exits with a head."""
    idle = idle_stages(network.backbone.image_stages, network.points)
    return [at for at in range(network.backbone.ends) if at not in idle]


def _replace_parts(network: ExitNetwork) -> None:
    """Replace stages and heads by their integer parts, in place."""
    backbone = network.backbone
    features = torch.zeros(1, len(network.mean), *network.input_size)
    running = _running(network)
    for at in running:
        stage = backbone.stages[at]
        graph = record(stage, tuple(features.shape[1:]), f"stage {at + 1}")
        with torch.no_grad():
            features = stage(features)
        takes_bytes = at == running[0] and not network.series
        part = ImagePart(graph, network.mean, network.std) if takes_bytes else Int8Part(graph)
        backbone.stages[at] = part
        if str(at) in network.heads:
            head = record(network.heads[str(at)], tuple(features.shape[1:]), f"head {at + 1}")
            network.heads[str(at)] = Int8Part(head)
    backbone.head = Int8Part(record(backbone.head, tuple(features.shape[1:]), "the last exit"))


def _with_pixels(graph: LayerGraph, mean: Sequence[float], std: Sequence[float]) -> LayerGraph:
    """Return a graph with a first layer that normalises the pixels, 0 to 255."""
    (source,), pixels, count = graph.inputs, max(graph.shapes) + 1, len(mean)
    deviation = torch.tensor(std, dtype=torch.float32)
    weights = Weights(
        (1 / (255 * deviation)).view(-1, 1, 1, 1),
        -torch.tensor(mean, dtype=torch.float32) / deviation,
        torch.ones(count),
        torch.zeros(count),
    )
    options = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": count}
    layer = Layer("conv", (pixels,), source, "normalisation of pixels", options, None, weights)
    shapes = {**graph.shapes, pixels: graph.shapes[source]}
    return replace(graph, inputs=(pixels,), layers=(layer, *graph.layers), shapes=shapes)


def _link_ranges(network: ExitNetwork) -> None:
    """Give the output of a stage and the inputs of its readers the same range, in place."""
    for module in network.modules():
        if isinstance(module, Int8Part):
            module.fix_ranges()
    for stage, readers in connections(network):
        ends = [(stage, stage.graph.outputs[0]), *((each, each.graph.inputs[0]) for each in readers)]
        ranges = [part.ranges[part.groups[number]] for part, number in ends]
        joint = min(low for low, _ in ranges), max(high for _, high in ranges)
        for part, number in ends:
            part.ranges[part.groups[number]] = joint


def connections(network: ExitNetwork) -> list[tuple[Any, list[Any]]]:
    """Return each stage that runs, with the parts that read its features: the head, then the next stage."""
    running, connected = _running(network), []
    stages: list[Any] = [network.backbone.stages[at] for at in running]
    readers = [*stages[1:], network.backbone.head]
    for at, stage, following in zip(running, stages, readers, strict=True):
        heads = [network.heads[str(at)]] if str(at) in network.heads else []
        connected.append((stage, [*heads, following]))
    return connected


@torch.no_grad()
def _check_same(network: ExitNetwork, clone: ExitNetwork) -> None:
    """Check that the layers of a copy compute the logits of the network, in floats.

    Raises:
        ExportError: They do not, since a module of the network hides a part of its computation.
    """
    original = copy.deepcopy(network).eval().float().cpu()
    shape = 2, len(network.mean), *network.input_size
    prepared = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    pairs = zip(original.prepared_logits(prepared), clone.prepared_logits(prepared), strict=True)
    for expected, logits in pairs:
        if not torch.allclose(expected, logits, rtol=1e-3, atol=1e-3 * float(expected.abs().amax()) + 1e-4):
            gap = float((expected - logits).abs().max())
            raise ExportError(
                f"the layers of the network give logits that differ by {gap:.1e}; a module of it computes "
                "anything that its operators do not show"
            )
