"""Supernet provider `ofa-resnet50`: the ResNet-50 search space of Once-for-All (Cai et al., ICLR 2020)."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from edanas.core.contracts import StagedBackbone, Supernet, SupernetProvider
from edanas.core.errors import CandidateError, WeightsError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Backbone, SegmentCost, Task, Variable
from edanas.supernets.elastic_mobile import LayerSlice, Residual
from edanas.supernets.memory_format import grey_in_channels_last
from edanas.supernets.mobile_space import scaled
from edanas.supernets.ofa_weights import canonical
from edanas.supernets.option_checks import checked_choices, checked_number, checked_sides, is_stride, is_whole
from edanas.supernets.resnet_plan import (
    BASE_DEPTHS,
    STAGE_WIDTHS,
    STAGES,
    BottleneckPlan,
    ResNetPlan,
    plan_costs,
)
from edanas.supernets.weights import TensorNames, fill, locate, read_tensors

NAMES = TensorNames(
    canonical=canonical,
    classifier=("classifier.linear.weight", "classifier.linear.bias"),
    stem="input_stem.0.conv.weight",
    misfit="The file is of a network with other widths, depths or expansions",
)
"""Names of the supernet's tensors."""


class OFAResNet50Provider(SupernetProvider):
    """ResNet-50 with searched depth, width and expansion.

    A backbone has 4 stages of bottleneck blocks, and 3 exit points, after stages 1 to 3. Stage 1 also
    contains the stem, which has two or three 3x3 convolutions, and max-pooling. The shortcuts contain average
    pooling. The weights `ofa_resnet50` of the authors of Once-for-All can be loaded from a file, which the
    user has to download.

    Args:
        widths: Choices of the width multiplier, which is searched for each stage, for the inner channels of
            the stem and for the output of the stem. Numbers of channels are rounded to multiples of 8.
        resolutions: Choices of the side of the input images, in pixels; 224 by default.
        depths: Choices of the number of blocks that a stage has in addition to 2, 2, 4 and 2 blocks in stages
            1 to 4.
        expansions: Choices of the ratio of a block's inner channels to its output channels.
        stem_stride: Stride of the first convolution, from 1 to 4; 2 by default.
        dropout: Share of the classifier's input features that is dropped in training; 0 by default.

    Raises:
        ConfigError: An option is out of range.
    """

    exit_points = STAGES - 1

    def __init__(
        self,
        *,
        widths: tuple[float, ...] = (0.65, 0.8, 1.0),
        resolutions: tuple[int, ...] = (224,),
        depths: tuple[int, ...] = (0, 1, 2),
        expansions: tuple[float, ...] = (0.2, 0.25, 0.35),
        stem_stride: int = 2,
        dropout: float = 0.0,
    ) -> None:
        self.widths = checked_choices("widths", widths, "numbers from 0.05 to 4", lambda v: 0.05 <= v <= 4)
        self.resolutions = checked_sides(resolutions)
        self.depths = checked_choices("depths", depths, "whole numbers from 0 to 8", is_whole(0, 8))
        self.expansions = checked_choices(
            "expansions", expansions, "numbers above 0 and up to 4", lambda v: 0 < v <= 4
        )
        self.stem_stride: int = checked_number(
            "stem_stride", stem_stride, "a whole number from 1 to 4", is_stride
        )
        self.dropout: float = checked_number(
            "dropout", dropout, "a number >= 0 and < 1", lambda v: 0 <= v < 1
        )

    def variables(self) -> tuple[Variable, ...]:
        """Return the variables of the search space.

        Their names are `resolution`, `stem.depth`, `stem.inner`, `stem.width`, and `stage1.width`,
        `stage1.depth`, `stage1.layer1.expand` and so on for each stage and layer, counted from 1.
        """
        variables = [Variable("resolution", self.resolutions), Variable("stem.depth", (2, 3))]
        variables += [Variable("stem.inner", self.widths), Variable("stem.width", self.widths)]
        for stage, base in enumerate(BASE_DEPTHS, 1):
            depths = tuple(base + more for more in self.depths)
            variables += [
                Variable(f"stage{stage}.width", self.widths, stage=stage),
                Variable(f"stage{stage}.depth", depths, stage=stage),
            ]
            for layer in range(1, depths[-1] + 1):
                name, when = f"stage{stage}.layer{layer}.expand", frozenset(d for d in depths if d >= layer)
                parent = None if len(when) == len(depths) else f"stage{stage}.depth"
                condition = when if parent else frozenset()
                variables.append(Variable(name, self.expansions, parent, condition, stage))
        return tuple(variables)

    def supernet(self, task: Task) -> Supernet:
        """Build the supernet; see `SupernetProvider.supernet`."""
        return ElasticResNet(self, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """Build a backbone as a separate network; see `SupernetProvider.build`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        from ofa.utils import init_models
        from ofa.utils.layers import ConvLayer, LinearLayer

        plan = self.plan(backbone)
        inner = plan.inner
        stem = [ConvLayer(task.in_channels, inner, 3, self.stem_stride, act_func="relu")]
        if plan.deep_stem:
            stem.append(Residual(ConvLayer(inner, inner, 3, act_func="relu")))
        stem.append(ConvLayer(inner, plan.stem, 3, act_func="relu"))
        stages = [[_static_block(block) for block in stage] for stage in plan.stages]
        classifier = LinearLayer(plan.features, task.num_classes, dropout_rate=self.dropout)
        net = _assemble(stem, stages, classifier, plan)
        init_models(net)
        grey_in_channels_last(net.stages[0])
        return net

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """Return, for each exit point, the distinct numbers of channels at all widths, ascending."""
        points = STAGE_WIDTHS[: self.exit_points]
        return tuple(tuple(sorted({scaled(base, width) for width in self.widths})) for base in points)

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """Return the costs of a backbone, counted layer by layer; see `SupernetProvider.costs`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        return plan_costs(self.plan(backbone), self.stem_stride, task)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load weights from a file.

        Args:
            supernet: The supernet that gets the weights.
            weights: Path of a file with the tensors of `ofa_resnet50`, or of a supernet of this provider.

        Returns:
            A sentence that reports the number of copied tensors.

        Raises:
            WeightsError: The file does not exist, has no weights, or has the weights of another network.
        """
        if not isinstance(supernet, ElasticResNet):
            raise WeightsError(
                f"weights '{weights}': {type(supernet).__name__} is not this provider's supernet"
            )
        path, _ = locate(weights, {})
        return fill(supernet, supernet.task, read_tensors(path), str(path), NAMES)

    def plan(self, backbone: Backbone) -> ResNetPlan:
        """Return the sizes of a backbone.

        Raises:
            CandidateError: A choice is missing, or is not allowed in this space.
        """
        for variable in self.variables():
            if variable.parent is not None and backbone[variable.parent] not in variable.when:
                continue
            if variable.name not in backbone or backbone[variable.name] not in variable.choices:
                choice = dict(backbone.choices).get(variable.name, "nothing")
                raise CandidateError(
                    f"backbone: {variable.name}: found {choice}; allowed: {variable.choices}"
                )
        stem = scaled(64, float(backbone["stem.width"]))
        before, stages, start = stem, [], 0
        for stage, base in enumerate(BASE_DEPTHS):
            after = scaled(STAGE_WIDTHS[stage], float(backbone[f"stage{stage + 1}.width"]))
            blocks = []
            for layer in range(int(backbone[f"stage{stage + 1}.depth"])):
                expand = backbone[f"stage{stage + 1}.layer{layer + 1}.expand"]
                shrinks = layer == 0 and stage > 0
                blocks.append(
                    BottleneckPlan(start + layer, before, after, expand, 2 if shrinks else 1, layer == 0)
                )
                before = after
            stages.append(tuple(blocks))
            start += base + self.depths[-1]
        inner = scaled(scaled(64, float(backbone["stem.inner"])) // 2, 1)
        return ResNetPlan(
            int(backbone["resolution"]), inner, stem, backbone["stem.depth"] == 3, tuple(stages)
        )


class ElasticResNet(Supernet):
    """The supernet of `OFAResNet50Provider`, built from the dynamic layers of the package `ofa`.

    Smaller widths use the first channels of the shared weights.

    Args:
        provider: The provider, which defines the search space.
        task: Number of channels of the images, and number of classes.
    """

    def __init__(self, provider: OFAResNet50Provider, task: Task) -> None:
        from ofa.imagenet_classification.elastic_nn.modules.dynamic_layers import DynamicConvLayer
        from ofa.imagenet_classification.elastic_nn.networks.ofa_resnets import OFAResNets

        super().__init__()
        self.plan, self.task = provider.plan, task
        resnet = OFAResNets(
            task.num_classes,
            dropout_rate=provider.dropout,
            depth_list=list(provider.depths),
            expand_ratio_list=list(provider.expansions),
            width_mult_list=list(provider.widths),
        )
        self.input_stem, self.blocks = resnet.input_stem, resnet.blocks
        self.classifier: nn.Module = resnet.classifier
        inner = max(self.input_stem[0].out_channel_list)
        self.input_stem[0] = DynamicConvLayer(
            [task.in_channels], [inner], 3, provider.stem_stride, act_func="relu"
        )
        grey_in_channels_last(self.input_stem[0])

    def view(self, backbone: Backbone) -> StagedBackbone:
        """Return a view with its own training mode; see `Supernet.view`.

        The parameters of the view are all weights of the dynamic layers, not only the slices that it uses.
        """
        return self._staged(backbone, LayerSlice.view)

    def extract(self, backbone: Backbone) -> StagedBackbone:
        """Return a copy; see `Supernet.extract`. torch's global generator stays unchanged."""
        with torch.random.fork_rng(devices=[]):
            net = self._staged(backbone, lambda layer_slice: layer_slice.extract())
        grey_in_channels_last(net.stages[0])
        return net

    def _staged(self, backbone: Backbone, make: Callable[[LayerSlice], nn.Module]) -> StagedBackbone:
        plan = self.plan(backbone)
        first, second, third = self.input_stem
        stem = [make(LayerSlice(first, {"active_out_channel": plan.inner}, self.task.in_channels))]
        if plan.deep_stem:
            conv: nn.Module = second.conv
            stem.append(make(LayerSlice(conv, {"active_out_channel": plan.inner}, plan.inner, residual=True)))
        stem.append(make(LayerSlice(third, {"active_out_channel": plan.stem}, plan.inner)))
        stages = [[make(self._block_slice(block)) for block in stage] for stage in plan.stages]
        net = _assemble(stem, stages, make(LayerSlice(self.classifier, {}, plan.features)), plan)
        return net.train(self.training)

    def _block_slice(self, block: BottleneckPlan) -> LayerSlice:
        active = {"active_expand_ratio": block.expand, "active_out_channel": block.out_channels}
        return _BlockSlice(self.blocks[block.index], active, block.in_channels, plan=block)


@dataclass(frozen=True)
class _BlockSlice(LayerSlice):
    """The slice of a dynamic bottleneck block that a backbone uses.

    Args:
        plan: The sizes of the slice.
    """

    plan: BottleneckPlan = field(kw_only=True)

    def extract(self) -> nn.Module:
        """Return a block of fixed size, with copies of the weights in this slice."""
        shared = {canonical(name): tensor for name, tensor in self.layer.state_dict().items()}
        block = _static_block(self.plan).to(next(self.layer.parameters()).device)
        for name, tensor in block.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                tensor.copy_(shared[name][tuple(slice(size) for size in tensor.shape)])
        return block


def _static_block(plan: BottleneckPlan) -> nn.Module:
    """Return a block of fixed size. The first block of a stage has a convolution in its shortcut."""
    from ofa.utils.layers import IdentityLayer, ResNetBottleneckBlock

    channels = plan.out_channels
    block: nn.Module = ResNetBottleneckBlock(
        plan.in_channels, channels, 3, plan.stride, plan.expand, plan.mid_channels
    )
    if plan.first and isinstance(block.downsample, IdentityLayer):
        # At equal numbers of channels `ofa` omits the convolution, but its supernet runs one.
        shortcut = {"conv": nn.Conv2d(channels, channels, 1, bias=False), "bn": nn.BatchNorm2d(channels)}
        block.downsample = nn.Sequential(OrderedDict(shortcut))
    return block


def _assemble(
    stem: Sequence[nn.Module], stages: Sequence[Sequence[nn.Module]], classifier: nn.Module, plan: ResNetPlan
) -> StagedBackbone:
    parts = [list(stage) for stage in stages]
    parts[0][:0] = [*stem, nn.MaxPool2d(3, stride=2, padding=1)]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), classifier)
    return StagedBackbone([nn.Sequential(*part) for part in parts], head, plan.resolution)


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register the provider `ofa-resnet50`."""
    return {"ofa-resnet50": OFAResNet50Provider}
