"""The supernet of mobile networks, built from the dynamic layers of the package `ofa`.

A dynamic layer holds the weights of its largest choice, and computes with a slice of the weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from edanas.core.contracts import StagedBackbone, Supernet
from edanas.core.kernel_reach import Reach
from edanas.core.types import Backbone, Choice, Task
from edanas.supernets.channel_order import sort_inner_channels
from edanas.supernets.kernel_cutting import cut_kernel
from edanas.supernets.memory_format import grey_in_channels_last
from edanas.supernets.mobile_space import BlockPlan, MobileSpace, NetPlan

_SQUEEZE, _DIVISOR = 4, 8
"""Factor by which squeeze-and-excitation reduces channels, and the divisor of the result, as in `ofa`."""


class LastExit(nn.Module):
    """The last exit: expansion, global average pooling, feature mix, and classifier.

    Args:
        expand: The expansion, a 1x1 convolution of the features.
        mix: The feature mix, a 1x1 convolution of the pooled features.
        classifier: The linear layer that returns the logits.
    """

    def __init__(self, expand: nn.Module, mix: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.expand = expand
        self.mix = mix
        self.classifier = classifier

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) for features (B, C, H, W), for B samples and K classes."""
        pooled = self.expand(features).mean((2, 3), keepdim=True)
        logits: torch.Tensor = self.classifier(self.mix(pooled).flatten(1))
        return logits


class Residual(nn.Module):
    """Residual connection: adds the output of a module to its input."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return `features + conv(features)`, in the shape of `features`."""
        out: torch.Tensor = features + self.conv(features)
        return out


@dataclass(frozen=True)
class LayerSlice:
    """The slice of a dynamic layer that a backbone uses.

    Args:
        layer: The dynamic layer.
        active: Attributes of `layer` that select the slice, by name, with their values.
        in_channels: Number of channels of the layer's input.
        residual: Add the input to the output; False by default.
        reach: The weights of the depthwise kernel that reach the features; `None`, the default, means that
            the layer has no depthwise kernel.
    """

    layer: nn.Module
    active: Mapping[str, Choice]
    in_channels: int
    residual: bool = False
    reach: Reach | None = None

    def activate(self) -> nn.Module:
        """Select this slice in the dynamic layer, and return the layer."""
        for name, value in self.active.items():
            setattr(self.layer, name, value)
        return self.layer

    def view(self) -> nn.Module:
        """Return a module that computes with this slice of the shared weights."""
        return _View(self)

    def extract(self) -> nn.Module:
        """Return a module of fixed size, with copies of the weights in this slice."""
        plain: Any = self.activate().get_active_subnet(self.in_channels)  # type: ignore[operator]
        if self.reach is not None:
            cut_kernel(plain.depth_conv.conv, self.reach)
        return Residual(plain) if self.residual else plain


class _View(nn.Module):
    """Runs a slice of a dynamic layer; slice and mode are set before each run, as other views change them."""

    def __init__(self, layer_slice: LayerSlice) -> None:
        super().__init__()
        self.layer = layer_slice.layer
        self._slice = layer_slice

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the output of the layer with this slice of its weights."""
        layer = self._slice.activate()
        if layer.training != self.training:
            layer.train(self.training)
        out: torch.Tensor = layer(features)
        return features + out if self._slice.residual else out


def assemble(
    stages: Sequence[Sequence[nn.Module]],
    last: tuple[nn.Module | None, nn.Module | None, nn.Module],
    resolution: int,
) -> StagedBackbone:
    """Return a staged backbone from its layers.

    Args:
        stages: The layers of each stage, in order.
        last: Expansion, feature mix and classifier of the last exit. `None` omits expansion or feature mix.
        resolution: Side of the input images in pixels.
    """
    expand, mix, classifier = last
    head = LastExit(expand or nn.Identity(), mix or nn.Identity(), classifier)
    return StagedBackbone([nn.Sequential(*layers) for layers in stages], head, resolution)


def use_torch_activations(net: nn.Module) -> None:
    """Replace hard swish and hard sigmoid of `ofa` with torch's equivalent operators, which are faster."""
    from ofa.utils import Hsigmoid, Hswish

    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, Hswish):
                setattr(module, name, nn.Hardswish(inplace=True))
            elif isinstance(child, Hsigmoid):
                setattr(module, name, nn.Hardsigmoid(inplace=True))


def _set_epsilon(net: nn.Module, epsilon: float) -> None:
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = epsilon


class ElasticMobileNet(Supernet):
    """The supernet of a `MobileProvider`.

    Smaller widths and depths use the first channels and the first layers. Smaller kernels are learned linear
    maps of the centre of larger kernels. Cai et al., Once-for-All, ICLR 2020, Section 3. The initial weights
    are those of the package `ofa` (He initialisation by fan-out).

    Args:
        space: The search space.
        task: Number of channels of the images, and number of classes.
    """

    def __init__(self, space: MobileSpace, task: Task) -> None:
        from ofa.imagenet_classification.elastic_nn.modules.dynamic_layers import (
            DynamicConvLayer,
            DynamicLinearLayer,
        )
        from ofa.utils import init_models

        super().__init__()
        self.space = space
        self.task = task
        full, outer = space.largest(), space.family.outer
        self.first_conv: nn.Module = DynamicConvLayer(
            [task.in_channels], [full.stem], 3, space.stem_stride, act_func=outer
        )
        self.blocks = nn.ModuleList(self._block(plan) for stage in full.stages for plan in stage)
        channels = full.stages[-1][-1].out_channels
        self.final_expand_layer: nn.Module | None = None
        if full.final_expand:
            self.final_expand_layer = DynamicConvLayer([channels], [full.final_expand], 1, act_func=outer)
        self.feature_mix_layer: nn.Module | None = None
        if full.last_width:
            self.feature_mix_layer = DynamicConvLayer(
                [full.final_expand or channels], [full.last_width], 1, use_bn=False, act_func=outer
            )
        self.classifier: nn.Module = DynamicLinearLayer(
            [full.features], task.num_classes, dropout_rate=space.dropout
        )
        init_models(self)
        _set_epsilon(self, space.family.epsilon)
        use_torch_activations(self)
        grey_in_channels_last(self.first_conv)

    def _block(self, plan: BlockPlan) -> nn.Module:
        from ofa.imagenet_classification.elastic_nn.modules.dynamic_layers import DynamicMBConvLayer

        first = plan.index == 0
        block: nn.Module = DynamicMBConvLayer(
            [plan.in_channels],
            [plan.out_channels],
            [plan.kernel] if first else list(self.space.kernels),
            [plan.expand] if first else list(self.space.expansions),
            plan.stride,
            plan.activation,
            plan.squeeze,
        )
        return block

    def view(self, backbone: Backbone) -> StagedBackbone:
        """Return a view with its own training mode; see `Supernet.view`.

        The parameters of the view are all weights of the dynamic layers, not only the slices that it uses.
        """
        return self._staged(backbone, LayerSlice.view)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """Return a copy; see `Supernet.extract`. torch's global generator stays unchanged."""
        with torch.random.fork_rng(devices=[]):
            net = self._staged(backbone, LayerSlice.extract)
        _set_epsilon(net, self.space.family.epsilon)
        use_torch_activations(net)
        grey_in_channels_last(net.stages[0])
        return net

    def sort_channels(self, trained: int = 1) -> None:
        """Sort the inner channels of blocks by importance; see `Supernet.sort_channels`."""
        from ofa.utils import make_divisible

        largest = sorted(self.space.expansions)[-trained:]
        plans = [plan for stage in self.space.largest().stages for plan in stage]
        for plan, shared in list(zip(plans, self.blocks, strict=True))[1:]:
            block: Any = shared
            sizes = [replace(plan, expand=each).mid_channels for each in largest]
            expand, depthwise, squeeze = block.inverted_bottleneck, block.depth_conv, None
            if plan.squeeze:
                squeeze = depthwise.se.fc.reduce, depthwise.se.fc.expand
            before = [(expand.conv.conv, expand.bn.bn), (depthwise.conv.conv, depthwise.bn.bn)]
            inside = [make_divisible(size // _SQUEEZE, _DIVISOR) for size in sizes]
            sort_inner_channels(before, block.point_linear.conv.conv, squeeze, sizes, inside)

    def _staged(self, backbone: Backbone, make: Callable[[LayerSlice], nn.Module]) -> StagedBackbone:
        """Return a backbone in the supernet's training mode; `make` turns a slice into a layer."""
        plan = self.space.plan(backbone)
        stages = [[make(self._block_slice(block)) for block in stage] for stage in plan.stages]
        stem = LayerSlice(self.first_conv, {"active_out_channel": plan.stem}, self.task.in_channels)
        stages[0].insert(0, make(stem))
        channels = plan.stages[-1][-1].out_channels
        expand = mix = None
        if self.final_expand_layer is not None:
            expand = make(
                LayerSlice(self.final_expand_layer, {"active_out_channel": plan.final_expand}, channels)
            )
            channels = plan.final_expand
        if self.feature_mix_layer is not None:
            mix = make(LayerSlice(self.feature_mix_layer, {"active_out_channel": plan.last_width}, channels))
        classifier = make(LayerSlice(self.classifier, {}, plan.features))
        staged = assemble(stages, (expand, mix, classifier), plan.resolution)
        # New modules are in training mode. Views set the mode of shared layers only when they run.
        return staged if self.training else staged.eval()

    def _block_slice(self, plan: BlockPlan) -> LayerSlice:
        active = {
            "active_out_channel": plan.out_channels,
            "active_kernel_size": plan.kernel,
            "active_expand_ratio": plan.expand,
        }
        return LayerSlice(self.blocks[plan.index], active, plan.in_channels, plan.residual, plan.reach)


def build_plain(space: MobileSpace, plan: NetPlan, task: Task) -> StagedBackbone:
    """Return a backbone with fresh weights, in the same layers as `ElasticMobileNet.extract`.

    Args:
        space: The search space.
        plan: The sizes of the backbone.
        task: Number of channels of the images, and number of classes.
    """
    from ofa.utils import init_models
    from ofa.utils.layers import ConvLayer, LinearLayer, MBConvLayer

    def build_block(block: BlockPlan) -> nn.Module:
        conv: Any = MBConvLayer(
            block.in_channels,
            block.out_channels,
            block.kernel,
            block.stride,
            block.expand,
            block.mid_channels,
            block.activation,
            block.squeeze,
        )
        cut_kernel(conv.depth_conv.conv, block.reach)
        return Residual(conv) if block.residual else conv

    outer = space.family.outer
    stages = [[build_block(block) for block in stage] for stage in plan.stages]
    stages[0].insert(0, ConvLayer(task.in_channels, plan.stem, 3, space.stem_stride, act_func=outer))
    channels = plan.stages[-1][-1].out_channels
    expand = mix = None
    if plan.final_expand:
        expand = ConvLayer(channels, plan.final_expand, 1, act_func=outer)
        channels = plan.final_expand
    if plan.last_width:
        mix = ConvLayer(channels, plan.last_width, 1, use_bn=False, act_func=outer)
    classifier = LinearLayer(plan.features, task.num_classes, dropout_rate=space.dropout)
    net = assemble(stages, (expand, mix, classifier), plan.resolution)
    init_models(net)
    _set_epsilon(net, space.family.epsilon)
    use_torch_activations(net)
    grey_in_channels_last(net.stages[0])
    return net
