"""What mobile networks of the once-for-all spaces cost, counted layer by layer without building one.

The convention is that of `edanas.core.costs`, which counts built networks: the two agree to the last unit.
"""

from collections.abc import Iterable
from typing import NamedTuple

from edanas.core.types import Backbone, Choice, SegmentCost, Task
from edanas.supernets.mobile_space import BlockPlan, MobileSpace, NetPlan, scaled

_SQUEEZE_REDUCTION = 4
_NORM = 2
"""Parameters of BatchNorm for a channel."""

Shape = tuple[int, int, int]
_Layer = tuple[int, bool, Choice, Choice]
"""A layer's stage, whether it is a later one than the stage's first, its kernel and its expansion."""


class LayerCosts:
    """Counts backbones of a layout, each distinct layer once. Picklable.

    Args:
        layout: What the numbers of a backbone mean.
    """

    def __init__(self, layout: MobileSpace) -> None:
        self._layout = layout
        self._known: dict[tuple[Task, Choice, Choice], _Known] = {}
        self._names = [
            (
                f"stage{stage}.depth",
                [
                    (f"stage{stage}.layer{n}.kernel", f"stage{stage}.layer{n}.expand")
                    for n in range(1, layout.depths_of(stage - 1)[-1] + 1)
                ],
            )
            for stage in range(1, layout.family.stages + 1)
        ]

    def __call__(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """The costs of the stages, and of the last exit.

        Raises:
            CandidateError: The backbone is not of this space.
        """
        try:
            known = self._known[task, backbone["resolution"], backbone["width"]]
            return self._stages(backbone, known), known.last
        except KeyError:
            # Something is new, or wrong: the plan is what knows and refuses.
            known = self._learn(self._layout.plan(backbone), backbone, task)
            return self._stages(backbone, known), known.last

    def _stages(self, backbone: Backbone, known: "_Known") -> tuple[SegmentCost, ...]:
        found = []
        layers = known.layers
        for stage, (depth_name, names) in enumerate(self._names):
            macs, params, activations, outputs = known.stem if stage == 0 else (0, 0, 0, 0)
            depth = backbone[depth_name]
            if depth not in self._layout.depths_of(stage):
                raise KeyError(depth_name)
            for layer in range(int(depth)):
                kernel, expand = names[layer]
                more, weights, largest, written = layers[stage, layer > 0, backbone[kernel], backbone[expand]]
                macs += more
                params += weights
                activations = max(activations, largest)
                outputs += written
            found.append(SegmentCost(macs, params, activations, known.shapes[stage], outputs))
        return tuple(found)

    def _learn(self, plan: NetPlan, backbone: Backbone, task: Task) -> "_Known":
        """Count every layer of one backbone, and remember them."""
        side = shrunk(plan.resolution, self._layout.stem_stride)
        stem = convolution(task.in_channels, plan.stem, 3, side)
        shape = (plan.stem, side, side)
        counts: list[Count] = []
        shapes: list[Shape] = []
        layers: dict[_Layer, Count] = {}
        for stage, blocks in enumerate(plan.stages):
            for position, block in enumerate(blocks):
                cost, shape = block_cost(block, shape)
                layer = position - 1 if stage == 0 else position
                if layer < 0:
                    counts.append(cost)
                    continue
                layers[stage, layer > 0, block.kernel, block.expand] = cost
            shapes.append(shape)
        key = task, backbone["resolution"], backbone["width"]
        if key not in self._known:
            last = _last_exit(plan, shape, task)
            self._known[key] = _Known(total([stem, *counts]), {}, tuple(shapes), last)
        self._known[key].layers.update(layers)
        return self._known[key]


class Count(NamedTuple):
    """Multiply-adds, parameters, and elements of the largest output and of all outputs."""

    macs: int
    params: int
    activations: int
    outputs: int


class _Known(NamedTuple):
    """What is known of the backbones of one width and resolution: the fixed layers, and those met so far."""

    stem: Count
    layers: dict[_Layer, Count]
    shapes: tuple[Shape, ...]
    last: SegmentCost


def block_cost(block: BlockPlan, shape: Shape) -> tuple[Count, Shape]:
    """One inverted-residual block on features of `shape` (C, H, W): its cost, and the shape it puts out."""
    channels, side, inner = shape[0], shape[1], block.mid_channels
    after = shrunk(side, block.stride)
    parts = [convolution(inner, inner, block.kernel, after, groups=inner)]
    if block.expand != 1:
        parts.append(convolution(channels, inner, 1, side))
    if block.squeeze:
        parts.append(_squeeze(inner))
    parts.append(convolution(inner, block.out_channels, 1, after))
    return total(parts), (block.out_channels, after, after)


def convolution(before: int, after: int, kernel: int, side: int, groups: int = 1) -> Count:
    """A normalised convolution without bias whose output is `side` pixels wide and high."""
    weights = kernel * kernel * before * after // groups
    outputs = after * side * side
    return Count(weights * side * side, weights + _NORM * after, outputs, outputs)


def _squeeze(channels: int) -> Count:
    """Squeeze-and-excitation: two linear layers with bias on pooled features."""
    inner = scaled(channels // _SQUEEZE_REDUCTION, 1)
    weights = 2 * channels * inner
    return Count(weights, weights + inner + channels, max(channels, inner), inner + channels)


def _last_exit(plan: NetPlan, shape: Shape, task: Task) -> SegmentCost:
    """Expansion, feature mix (neither normalised nor with a bias) and classifier."""
    channels, side, _ = shape
    parts = []
    if plan.final_expand:
        parts.append(convolution(channels, plan.final_expand, 1, side))
        channels = plan.final_expand
    if plan.last_width:
        weights = channels * plan.last_width
        parts.append(Count(weights, weights, plan.last_width, plan.last_width))
        channels = plan.last_width
    classes = task.num_classes
    parts.append(Count(channels * classes, (channels + 1) * classes, classes, classes))
    macs, params, activations, outputs = total(parts)
    return SegmentCost(macs, params, activations, (classes, 1, 1), outputs)


def total(parts: Iterable[Count]) -> Count:
    """What layers cost one after another."""
    macs, params, activations, outputs = zip(*parts, strict=True)
    return Count(sum(macs), sum(params), max(activations), sum(outputs))


def shrunk(side: int, stride: int) -> int:
    """The side after a convolution with an odd kernel, padded to keep the size at stride 1."""
    return (side - 1) // stride + 1
