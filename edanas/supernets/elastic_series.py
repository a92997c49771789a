"""The supernet of `elastic-1d`: shared depthwise convolutions, whose first channels form smaller networks.

Series (C, L) are features (C, 1, L), and convolutions are two-dimensional with kernels of height 1.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from edanas.core.contracts import StagedBackbone, Supernet
from edanas.core.types import Backbone, Task
from edanas.supernets.channel_order import sort_inner_channels
from edanas.supernets.memory_format import grey_in_channels_last
from edanas.supernets.series_blocks import (
    Block1d,
    LastExit1d,
    NormalisedConv1d,
    SeriesStage,
    Squeeze,
    Stem,
    masked,
    run_block,
)
from edanas.supernets.series_space import BlockPlan, SeriesPlan, SeriesSpace, rounded


class _SlicedConv:
    """A shared convolution with BatchNorm, of which the first channels and the middle of the kernel are used.

    Args:
        layer: The shared layer.
        channels: Numbers of input channels of a group, and of output channels.
        part: Index of the first weight of the kernel, number of weights, and padding.
        stride: Stride of the convolution.
        owner: Module whose mode, training or eval, applies.
    """

    def __init__(
        self,
        layer: nn.Module,
        channels: tuple[int, int],
        part: tuple[int, int, int],
        stride: int,
        owner: nn.Module,
    ) -> None:
        self.layer = cast("NormalisedConv1d", layer)
        self.channels, self.part, self.stride, self.owner = channels, part, stride, owner

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        before, count = self.channels
        first, size, padding = self.part
        conv, bn = self.layer.conv, self.layer.bn
        weight = conv.weight[:count, :before, :, first : first + size]
        mean, variance = cast("torch.Tensor", bn.running_mean), cast("torch.Tensor", bn.running_var)
        groups = count if conv.groups > 1 else 1
        return F.batch_norm(
            torch.conv2d(features, weight, None, self.stride, (0, padding), 1, groups),
            mean[:count],
            variance[:count],
            bn.weight[:count],
            bn.bias[:count],
            self.owner.training,
            bn.momentum or 0.0,
            bn.eps,
        )


class _BlockView(nn.Module):
    """Runs a block with a slice of a shared block's weights."""

    def __init__(self, shared: Block1d, plan: BlockPlan) -> None:
        super().__init__()
        self.shared, self._plan = shared, plan
        mid, reach = plan.mid_channels, plan.reach
        whole = shared.depthwise.conv.kernel_size[1]
        part = ((whole - plan.kernel) // 2 + reach.first, reach.size, reach.padding)
        self._expand = None
        if mid != plan.in_channels and shared.expand is not None:
            self._expand = _SlicedConv(shared.expand, (plan.in_channels, mid), (0, 1, 0), 1, self)
        self._depthwise = _SlicedConv(shared.depthwise, (1, mid), part, plan.stride, self)
        self._project = _SlicedConv(shared.project, (mid, plan.out_channels), (0, 1, 0), 1, self)

    def forward(
        self, features: torch.Tensor, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        squeeze = None if self.shared.squeeze is None else self._factors
        return run_block(self._plan, self._expand, self._depthwise, squeeze, self._project, features, mask)

    def _factors(self, means: torch.Tensor) -> torch.Tensor:
        reduce, expand = (
            cast("Squeeze", self.shared.squeeze).reduce,
            cast("Squeeze", self.shared.squeeze).expand,
        )
        mid, inner = self._plan.mid_channels, self._plan.inner
        bias, after = cast("torch.Tensor", reduce.bias), cast("torch.Tensor", expand.bias)
        hidden = F.relu(torch.conv2d(means, reduce.weight[:inner, :mid], bias[:inner]))
        return F.hardsigmoid(torch.conv2d(hidden, expand.weight[:mid, :inner], after[:mid]))


class _StemView(nn.Module):
    """Runs the stem with the first channels of the shared weights."""

    def __init__(self, shared: Stem, space: SeriesSpace, plan: SeriesPlan, task: Task) -> None:
        super().__init__()
        self.shared = shared
        reach = space.stem_reach(plan.length)
        conv = _SlicedConv(shared.conv, (task.in_channels, plan.stem), reach, shared.stride, self)
        self._run = (conv, shared.stride)

    def forward(
        self, series: torch.Tensor, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        conv, stride = self._run
        after = None if mask is None else mask[..., ::stride]
        return masked(F.relu(conv(series)), after), after


class _LastExitView(nn.Module):
    """Runs the last exit with the first columns of the shared weights."""

    def __init__(self, shared: LastExit1d, channels: int) -> None:
        super().__init__()
        self.shared, self._channels = shared, channels

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        means = F.dropout(features.mean((2, 3))[:, : self._channels], self.shared.dropout.p, self.training)
        linear = self.shared.linear
        return F.linear(means, linear.weight[:, : self._channels], linear.bias)


class ElasticSeriesNet(Supernet):
    """The supernet of `Elastic1dProvider`.

    Smaller widths and depths use the first channels and the first blocks of the shared weights. Smaller
    kernels are the middle of the longest kernels. Cai et al., Once-for-All, ICLR 2020, also map between
    kernels. Initial weights follow He et al., Delving Deep into Rectifiers, ICCV 2015, by fan-out.

    Args:
        space: The search space.
        task: Number of channels of the series, and number of classes.
    """

    def __init__(self, space: SeriesSpace, task: Task) -> None:
        super().__init__()
        self.space, self.task = space, task
        full = space.largest()
        kernel = space.stem_kernel
        stem = NormalisedConv1d(task.in_channels, full.stem, kernel, space.stem_stride, kernel // 2)
        self.stem = Stem(stem, space.stem_stride)
        self.stages = nn.ModuleList(
            nn.ModuleList(Block1d(block, space.kernels[-1]) for block in stage) for stage in full.stages
        )
        self.last_exit = LastExit1d(full.features, task.num_classes, space.dropout)
        initialise(self)
        grey_in_channels_last(self.stem)

    def view(self, backbone: Backbone) -> StagedBackbone:
        """Return a view with its own training mode; see `Supernet.view`.

        The parameters of the view are all weights of the shared blocks, not only the slices that it uses.
        """
        plan = self.space.plan(backbone)
        stem = _StemView(self.stem, self.space, plan, self.task)
        blocks = [
            [_BlockView(cast("Block1d", shared), part) for shared, part in self._pairs(at, stage)]
            for at, stage in enumerate(plan.stages)
        ]
        head = _LastExitView(self.last_exit, plan.features)
        return assemble(self.space, plan, stem, blocks, head).train(self.training)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """Return a copy; see `Supernet.extract`. torch's global generator stays unchanged."""
        with torch.random.fork_rng(devices=[]):
            net = build_series(self.space, backbone, self.task).to(self.last_exit.linear.weight.device)
        plan = self.space.plan(backbone)
        first, *others = net.stages
        copied = cast("list[nn.Module]", [*cast("SeriesStage", first).blocks][1:])
        stem = cast("Stem", cast("SeriesStage", first).blocks[0])
        _copy(self.stem.conv, stem.conv, self.space.stem_reach(plan.length).first)
        blocks = [copied, *([*cast("SeriesStage", stage).blocks] for stage in others)]
        for at, stage in enumerate(plan.stages):
            for (shared, part), block in zip(self._pairs(at, stage), blocks[at], strict=True):
                start = (self.space.kernels[-1] - part.kernel) // 2 + part.reach.first
                _copy(shared, block, start)
        _copy(self.last_exit, net.head, 0)
        return net.train(self.training)

    def sort_channels(self, trained: int = 1) -> None:
        """Sort the inner channels of blocks by importance; see `Supernet.sort_channels`."""
        largest = sorted(self.space.expansions)[-trained:]
        for stage in self.stages:
            for block in cast("list[Block1d]", stage):
                expand, depthwise, plan = block.expand, block.depthwise, block.plan
                if expand is None:
                    continue
                sizes = [rounded(plan.in_channels, each) for each in largest]
                squeeze = None if block.squeeze is None else (block.squeeze.reduce, block.squeeze.expand)
                inside = [replace(plan, mid_channels=size).inner for size in sizes]
                before = [(expand.conv, expand.bn), (depthwise.conv, depthwise.bn)]
                sort_inner_channels(before, block.project.conv, squeeze, sizes, inside)

    def _pairs(self, at: int, stage: Sequence[BlockPlan]) -> list[tuple[nn.Module, BlockPlan]]:
        return list(zip(cast("nn.ModuleList", self.stages[at]), stage, strict=False))


def build_series(space: SeriesSpace, backbone: Backbone, task: Task) -> StagedBackbone:
    """Return a backbone with fresh weights, in the same modules as `ElasticSeriesNet.extract`.

    Args:
        space: The search space.
        backbone: The backbone.
        task: Number of channels of the series, and number of classes.

    Raises:
        CandidateError: The backbone is not in the space.
    """
    plan = space.plan(backbone)
    _, size, padding = space.stem_reach(plan.length)
    stem = Stem(
        NormalisedConv1d(task.in_channels, plan.stem, size, space.stem_stride, padding), space.stem_stride
    )
    blocks = [[Block1d(part) for part in stage] for stage in plan.stages]
    net = assemble(space, plan, stem, blocks, LastExit1d(plan.features, task.num_classes, space.dropout))
    initialise(net)
    grey_in_channels_last(stem)
    return net


def assemble(
    space: SeriesSpace,
    plan: SeriesPlan,
    stem: nn.Module,
    blocks: Sequence[Sequence[nn.Module]],
    head: nn.Module,
) -> StagedBackbone:
    """Return a backbone from its modules; the first stage begins with the stem."""
    stages = [
        SeriesStage([*([stem] if number == 0 else []), *each], masked=space.masked, first=number == 0)
        for number, each in enumerate(blocks)
    ]
    return StagedBackbone(stages, head, plan.length, series=True)


def initialise(net: nn.Module) -> None:
    """Draw the weights of convolutions by He et al., by fan-out, and set biases of linear layers to 0."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


@torch.no_grad()
def _copy(shared: nn.Module, target: nn.Module, start: int) -> None:
    """Copy the first channels of each tensor of `shared` into the equally named, smaller tensor.

    Kernels that are longer than those of `target` are cut from the index `start` on.
    """
    tensors = shared.state_dict()
    for name, tensor in target.state_dict().items():
        source = tensors[name]
        if tensor.ndim == 4 and source.shape[3] != tensor.shape[3]:
            source = source[..., start : start + tensor.shape[3]]
        tensor.copy_(source[tuple(slice(size) for size in tensor.shape)])
