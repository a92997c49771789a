"""The supernet of `elastic-resnet`: shared 3x3 convolutions, whose first channels form smaller networks."""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from edanas.core.contracts import StagedBackbone, Supernet
from edanas.core.types import Backbone, Task
from edanas.supernets.dense_space import DenseBlockPlan, DensePlan, DenseSpace
from edanas.supernets.kernel_cutting import cut_kernel
from edanas.supernets.memory_format import grey_in_channels_last
from edanas.supernets.whitening import whiten


class NormalisedConv(nn.Module):
    """A convolution without bias, max-pooling, and BatchNorm.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel: Side of the kernel.
        stride: Stride of the convolution.
        pool: Side and stride of the max-pooling; 1, the default, for none.
        padding: Number of zeros on each end of the features; 0 by default.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        pool: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
        self.pool = nn.Identity() if pool == 1 else nn.MaxPool2d(pool, ceil_mode=True)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the normalised output channels (B, D, H', W') of features (B, C, H, W)."""
        out: torch.Tensor = self.bn(self.pool(self.conv(features)))
        return out


ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}
"""Activations of the blocks, by name."""


class DenseBlock(nn.Module):
    """A convolution with BatchNorm, max-pooling or a shortcut, and an activation.

    Args:
        plan: The sizes of the block.
    """

    def __init__(self, plan: DenseBlockPlan) -> None:
        super().__init__()
        channels = plan.in_channels, plan.out_channels
        self.main = NormalisedConv(*channels, plan.kernel, plan.stride, plan.pool, plan.padding)
        self.main.conv.weight.requires_grad = not plan.whitened
        self.shortcut: nn.Module | None = None
        if plan.shortcut == "identity":
            self.shortcut = nn.Identity()
        elif plan.shortcut == "projected":
            self.shortcut = nn.Sequential(_pool(plan.stride), NormalisedConv(*channels, 1))
        self.activation = ACTIVATIONS[plan.activation]()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the output features (B, D, H', W') of features (B, C, H, W)."""
        out: torch.Tensor = self.main(features)
        out = out if self.shortcut is None else out + self.shortcut(features)
        activated: torch.Tensor = self.activation(out)
        return activated


def _pool(stride: int) -> nn.Module:
    return nn.Identity() if stride == 1 else nn.AvgPool2d(stride, ceil_mode=True)


class _BlockView(nn.Module):
    """Runs a block with the first channels of a shared block's weights."""

    def __init__(self, shared: DenseBlock, plan: DenseBlockPlan) -> None:
        super().__init__()
        self.shared, self._plan = shared, plan
        self._pool = _pool(plan.stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        out = self._sliced(self.shared.main, features, self._plan.stride)
        if self._plan.shortcut == "identity":
            out = out + features
        elif isinstance(self.shared.shortcut, nn.Sequential):
            projection = cast("NormalisedConv", self.shared.shortcut[1])
            out = out + self._sliced(projection, self._pool(features))
        activated: torch.Tensor = self.shared.activation(out)
        return activated

    def _sliced(self, layer: NormalisedConv, features: torch.Tensor, stride: int = 1) -> torch.Tensor:
        """Return the output of a layer that uses its first input and output channels only."""
        count, bn = self._plan.out_channels, layer.bn
        weight = layer.conv.weight[:count, : features.shape[1]]
        mean, variance = cast("torch.Tensor", bn.running_mean), cast("torch.Tensor", bn.running_var)
        return F.batch_norm(
            layer.pool(torch.conv2d(features, weight, None, stride, layer.conv.padding)),
            mean[:count],
            variance[:count],
            bn.weight[:count],
            bn.bias[:count],
            self.training,
            bn.momentum or 0.0,
            bn.eps,
        )


class LastDenseExit(nn.Module):
    """The last exit: global pooling, dropout, and a linear layer.

    Args:
        features: Number of features that the linear layer reads.
        classes: Number of classes.
        space: The search space, with the pooling, and the share of the features that is dropped in training.
    """

    def __init__(self, features: int, classes: int, space: DenseSpace) -> None:
        super().__init__()
        self.pooling = space.pooling
        self.dropout = nn.Dropout(space.dropout)
        self.linear = nn.Linear(features, classes)

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        """Return the pooled features (B, C) of features (B, C, H, W)."""
        if self.pooling == "max":
            return F.adaptive_max_pool2d(features, 1).flatten(1)
        return features.mean((2, 3))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) for features (B, C, H, W)."""
        logits: torch.Tensor = self.linear(self.dropout(self.pooled(features)))
        return logits


class _LastExitView(nn.Module):
    """Runs the last exit with the first columns of the shared weights."""

    def __init__(self, shared: LastDenseExit) -> None:
        super().__init__()
        self.shared = shared

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        pooled = F.dropout(self.shared.pooled(features), self.shared.dropout.p, self.training)
        linear = self.shared.linear
        return F.linear(pooled, linear.weight[:, : features.shape[1]], linear.bias)


class ElasticDenseNet(Supernet):
    """The supernet of `ElasticResNetProvider`.

    Smaller widths and depths use the first channels and the first convolutions of the shared weights. Initial
    weights follow He et al., Delving Deep into Rectifiers, ICCV 2015, by fan-out.

    Args:
        space: The search space.
        task: Number of channels of the images, and number of classes.
    """

    def __init__(self, space: DenseSpace, task: Task) -> None:
        super().__init__()
        self.space, self.task = space, task
        full = space.largest(task.in_channels)
        self.stem = DenseBlock(full.stem)
        self.stages = nn.ModuleList(
            nn.ModuleList(DenseBlock(block) for block in stage) for stage in full.stages
        )
        self.last_exit = LastDenseExit(full.features, task.num_classes, space)
        _initialise(self)
        grey_in_channels_last(self.stem)

    def initialise(self, images: torch.Tensor) -> None:
        """Whiten the stem, if it is a whitened one; see `Supernet.initialise`."""
        if self.space.stem == "whitened":
            whiten(self.stem.main.conv, images)

    def view(self, backbone: Backbone) -> StagedBackbone:
        """Return a view with its own training mode; see `Supernet.view`.

        The parameters of the view are all weights of the shared blocks, not only the slices that it uses.
        """
        plan = self.space.plan(backbone, self.task.in_channels)
        return _assemble(plan, self._blocks(plan, _BlockView), _LastExitView(self.last_exit)).train(
            self.training
        )

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """Return a copy; see `Supernet.extract`. torch's global generator stays unchanged."""
        plan = self.space.plan(backbone, self.task.in_channels)
        with torch.random.fork_rng(devices=[]):
            head = LastDenseExit(plan.features, self.task.num_classes, self.space)
            net = _assemble(plan, self._blocks(plan, _block_copy), head).train(self.training)
        head.to(self.last_exit.linear.weight.device)
        _copy_slices(self.last_exit, head)
        grey_in_channels_last(net.stages[0])
        return net

    def _blocks(
        self, plan: DensePlan, make: Callable[[DenseBlock, DenseBlockPlan], nn.Module]
    ) -> list[list[nn.Module]]:
        """Return the modules of each stage; `make` turns a shared block and a plan into a module."""
        blocks = [[make(self.stem, plan.stem)]]
        for index, stage in enumerate(plan.stages):
            if index:
                blocks.append([])
            shared: nn.ModuleList = self.stages[index]  # type: ignore[assignment]
            blocks[-1] += [make(block, part) for block, part in zip(shared, stage, strict=False)]  # type: ignore[arg-type]
        return blocks


def build_dense(space: DenseSpace, backbone: Backbone, task: Task) -> StagedBackbone:
    """Return a backbone with fresh weights, in the same modules as `ElasticDenseNet.extract`.

    Args:
        space: The search space.
        backbone: The backbone.
        task: Number of channels of the images, and number of classes.

    Raises:
        CandidateError: The backbone is not in the space.
    """
    plan = space.plan(backbone, task.in_channels)
    stages: list[list[nn.Module]] = [[_new_block(part) for part in stage] for stage in plan.stages]
    stages[0].insert(0, _new_block(plan.stem))
    head = LastDenseExit(plan.features, task.num_classes, space)
    net = _assemble(plan, stages, head)
    _initialise(net)
    grey_in_channels_last(net.stages[0])
    return net


def _assemble(plan: DensePlan, stages: list[list[nn.Module]], head: nn.Module) -> StagedBackbone:
    return StagedBackbone([nn.Sequential(*stage) for stage in stages], head, plan.resolution)


def _initialise(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


def _block_copy(shared: DenseBlock, plan: DenseBlockPlan) -> nn.Module:
    block = DenseBlock(plan).to(shared.main.conv.weight.device)
    _copy_slices(shared, block)
    cut_kernel(block.main.conv, plan.reach)
    return block


def _new_block(plan: DenseBlockPlan) -> nn.Module:
    block = DenseBlock(plan)
    cut_kernel(block.main.conv, plan.reach)
    return block


@torch.no_grad()
def _copy_slices(shared: nn.Module, target: nn.Module) -> None:
    """Copy the first rows and columns of each tensor of `shared` into the equally named, smaller tensor."""
    tensors = shared.state_dict()
    for name, tensor in target.state_dict().items():
        tensor.copy_(tensors[name][tuple(slice(size) for size in tensor.shape)])
