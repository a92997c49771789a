"""Small networks that train fast: a supernet of three stages, exits, and images of four classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from edanas.core.contracts import (
    ConfidenceCriterion,
    ExitBatch,
    ExitClassifier,
    Formula,
    StagedBackbone,
    Supernet,
    SupernetProvider,
    TrainingScheme,
)
from edanas.core.types import Backbone, ExitPoint, ImageSet, SegmentCost, Task, Variable

_WIDTHS = (4, 8)
_KERNELS = (1, 3)
_STAGES = 3


class ToyProvider(SupernetProvider):
    """A supernet provider with three stages of one or two convolutions, and with two exit points.

    Args:
        resolutions: The choices of height and width of images in pixels, by default 8 and 12.
    """

    exit_points = _STAGES - 1

    def __init__(self, resolutions: tuple[int, ...] = (8, 12)) -> None:
        self.resolutions = resolutions

    def variables(self) -> tuple[Variable, ...]:
        """See `SupernetProvider.variables`; only the second stage has a variable number of layers."""
        second = Variable("layer4.kernel", _KERNELS, parent="depth", when=frozenset({2}), stage=2)
        return (
            Variable("resolution", self.resolutions),
            Variable("width", _WIDTHS),
            Variable("depth", (1, 2), stage=2),
            *(Variable(f"layer{n}.kernel", _KERNELS, stage=n) for n in range(1, _STAGES + 1)),
            second,
        )

    def supernet(self, task: Task) -> Supernet:
        """See `SupernetProvider.supernet`."""
        return ToySupernet(task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """See `SupernetProvider.build`."""
        stages = [[plan.plain() for plan in stage] for stage in _plan(backbone, task)]
        return _staged(stages, PoolLinear(int(backbone["width"]), task.num_classes), backbone)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """See `SupernetProvider.exit_channels`."""
        return (_WIDTHS,) * self.exit_points

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """See `SupernetProvider.costs`."""
        side, width = int(backbone["resolution"]), int(backbone["width"])
        stages = []
        for number, layers in enumerate(_plan(backbone, task)):
            side = side // 2 if number else side
            weights = [plan.kernel**2 * plan.inputs * plan.outputs for plan in layers]
            params = sum(weights) + 2 * width * len(layers)
            area = side * side
            shape, outputs = (width, side, side), width * area * len(layers)
            stages.append(SegmentCost(sum(weights) * area, params, width * area, shape, outputs))
        classes = task.num_classes
        last = SegmentCost(width * classes, (width + 1) * classes, classes, (classes, 1, 1), classes)
        return tuple(stages), last


class ToySupernet(Supernet):
    """The supernet of `ToyProvider`.

    Narrow layers use the first channels of wide layers, and 1x1 kernels the centre of 3x3 kernels.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        largest, kernel = _WIDTHS[-1], _KERNELS[-1]
        self.layers = nn.ModuleList(
            _Plan(index, task.in_channels if index == 0 else largest, largest, kernel).plain()
            for index in range(_STAGES + 1)
        )
        self.head = PoolLinear(largest, task.num_classes)

    def view(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.view`."""
        plans = _plan(backbone, self.task)
        stages = [[_View(self.layers[plan.index], plan) for plan in stage] for stage in plans]
        head = _HeadView(self.head, int(backbone["width"]))
        return _staged(stages, head, backbone).train(self.training)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """See `Supernet.extract`."""
        plans = _plan(backbone, self.task)
        stages = [[plan.cut(self.layers[plan.index]) for plan in stage] for stage in plans]
        width = int(backbone["width"])
        head = PoolLinear(width, self.task.num_classes)
        head.linear.weight.data = self.head.linear.weight.detach()[:, :width].clone()
        head.linear.bias.data = self.head.linear.bias.detach().clone()
        return _staged(stages, head, backbone).train(self.training)


class PoolLinear(nn.Module):
    """A module of global average pooling and a linear layer."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (B, C, H, W) of C channels -> logits (B, K) of K classes."""
        logits: torch.Tensor = self.linear(features.mean((2, 3)))
        return logits


@dataclass(frozen=True)
class _Plan:
    """The sizes of a layer of a backbone, and the index of the supernet's layer that holds its weights."""

    index: int
    inputs: int
    outputs: int
    kernel: int

    def plain(self) -> nn.Sequential:
        conv = nn.Conv2d(self.inputs, self.outputs, self.kernel, padding=self.kernel // 2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(self.outputs), nn.ReLU())

    def weight(self, layer: nn.Module) -> torch.Tensor:
        """Return the slice of the kernel of the supernet's layer that this layer uses."""
        whole: torch.Tensor = layer.get_parameter("0.weight")
        edge = (whole.shape[-1] - self.kernel) // 2
        inner = slice(edge, edge + self.kernel)
        return whole[: self.outputs, : self.inputs, inner, inner]

    def cut(self, layer: nn.Module) -> nn.Sequential:
        """Return a layer with copies of the weights and statistics that it uses of the supernet's layer."""
        with torch.random.fork_rng(devices=[]):
            layer_copy = self.plain()
        layer_copy[0].weight.data = self.weight(layer).detach().clone()
        for name, tensor in layer[1].state_dict().items():  # type: ignore[index]
            layer_copy[1].state_dict()[name].copy_(tensor[: self.outputs] if tensor.ndim else tensor)
        return layer_copy


class _View(nn.Module):
    """A layer of a backbone on slices of the supernet's layer, with a separate training mode."""

    def __init__(self, layer: nn.Module, plan: _Plan) -> None:
        super().__init__()
        self.layer = layer
        self._plan = plan

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        plan, norm = self._plan, self.layer.get_submodule("1")
        mean, var, weight, bias = (
            getattr(norm, name)[: plan.outputs] for name in ("running_mean", "running_var", "weight", "bias")
        )
        raw = F.conv2d(features, plan.weight(self.layer), padding=plan.kernel // 2)
        return F.relu(F.batch_norm(raw, mean, var, weight, bias, self.training))


class _HeadView(nn.Module):
    def __init__(self, head: PoolLinear, width: int) -> None:
        super().__init__()
        self.head = head
        self._width = width

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        linear = self.head.linear
        return F.linear(features.mean((2, 3)), linear.weight[:, : self._width], linear.bias)


def _plan(backbone: Backbone, task: Task) -> list[list[_Plan]]:
    width = int(backbone["width"])

    def layer(number: int) -> _Plan:
        inputs = task.in_channels if number == 1 else width
        return _Plan(number - 1, inputs, width, int(backbone[f"layer{number}.kernel"]))

    second = [layer(2), layer(4)] if backbone["depth"] == 2 else [layer(2)]
    return [[layer(1)], second, [layer(3)]]


def _staged(stages: Sequence[Sequence[nn.Module]], head: nn.Module, backbone: Backbone) -> StagedBackbone:
    """Return a backbone of the stages; all stages but the first halve height and width of the features."""
    halved = [
        nn.Sequential(*([nn.AvgPool2d(2)] if number else []), *stage) for number, stage in enumerate(stages)
    ]
    return StagedBackbone(halved, head, int(backbone["resolution"]))


class ToyClassifier(ExitClassifier):
    """An exit classifier of global average pooling and a linear layer."""

    def build(self, point: ExitPoint, num_classes: int) -> nn.Module:
        """See `ExitClassifier.build`."""
        return PoolLinear(point.channels, num_classes)


class ToyCriterion(ConfidenceCriterion):
    """A confidence criterion: the largest class probability."""

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of K classes -> confidence (B,)."""
        return torch.nan_to_num(logits.float()).softmax(dim=1).amax(dim=1)

    def formula(self) -> Formula:
        """See `ExitReader.formula`."""
        return Formula("max-probability")


class ToyScheme(TrainingScheme):
    """A training scheme whose loss is the mean cross-entropy of all exits."""

    def loss(self, batch: ExitBatch) -> torch.Tensor:
        """See `TrainingScheme.loss`."""
        return batch.cross_entropies().mean()


def toy_images(count: int, seed: int, side: int = 12) -> ImageSet:
    """Return images of noise with one bright quarter, whose place in the image is the class.

    Args:
        count: Number of images; the four classes occur in turn.
        seed: The seed of the noise.
        side: Height and width in pixels, by default 12.

    Example:
        >>> toy_images(8, seed=0).labels
        tensor([0, 1, 2, 3, 0, 1, 2, 3])
    """
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 120, (count, 1, side, side), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % 4
    half = side // 2
    for label in range(4):
        top, left = half * (label // 2), half * (label % 2)
        images[labels == label, :, top : top + half, left : left + half] += 100
    return ImageSet(images, labels, ("upper left", "upper right", "lower left", "lower right"))
