"""Supernet provider `elastic-resnet`: dense 3x3 convolutions for small images."""

from collections.abc import Callable, Mapping
from typing import Literal

from edanas.core.contracts import StagedBackbone, Supernet, SupernetProvider
from edanas.core.errors import WeightsError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Backbone, SegmentCost, Task, Variable
from edanas.supernets.dense_footprints import with_dense_footprints
from edanas.supernets.dense_space import STAGES, DenseSpace, plan_costs, strides_for
from edanas.supernets.elastic_dense import ACTIVATIONS, ElasticDenseNet, build_dense
from edanas.supernets.option_checks import (
    checked_choices,
    checked_name,
    checked_number,
    checked_sides,
    is_stride,
    is_whole,
)
from edanas.supernets.stage_options import for_each_stage
from edanas.supernets.weights import TensorNames, fill, locate, read_tensors

NAMES = TensorNames(
    classifier=("last_exit.linear.weight", "last_exit.linear.bias"),
    stem="stem.main.conv.weight",
    misfit="The file is of a network with other widths, depths or channels",
)
"""Names of the supernet's tensors."""


class ElasticResNetProvider(SupernetProvider):
    """Dense 3x3 convolutions with searched depth, width and resolution, for small images.

    A backbone has 5 stages and 4 exit points, after stages 1 to 4. Stage 1 also contains the stem. A stage
    consists of 3x3 convolutions with BatchNorm and an activation, each with a shortcut. In the first
    shortcut of a stage are average pooling and a 1x1 convolution. With `downsampling = "pooled"` the first
    convolution of a stage has no shortcut, and max-pooling in place of a stride. The last exit is global
    pooling and a linear layer. Networks of smaller width use the first channels of the shared
    weights. Shortcuts follow He et al., Deep Residual Learning, CVPR 2016; as in Ding et al., RepVGG,
    CVPR 2021, each skips one convolution.

    Args:
        widths: Choices of the width multiplier of a stage; 0.2, 0.4, 0.7 and 1 by default. Numbers of
            channels are rounded to multiples of 4.
        resolutions: Choices of the side of the input images, in pixels; 32 by default.
        depths: Choices of the number of convolutions of a stage; 1, 2 and 3 by default.
        channels: Number of output channels of each of the 5 stages at width 1. The stem has half as many
            channels as stage 1.
        stem_stride: Stride of the first convolution, from 1 to 4; 0, the default, derives it from
            `resolutions`.
        stage_strides: Stride of each of the 5 stages; an empty list, the default, derives the strides from
            `resolutions`. The derived strides leave features of 2 to 4 pixels after the last stage.
        dropout: Share of the classifier's input features that is dropped in training; 0 by default.
        downsampling: `strided` (default) or `pooled`. Max-pooling costs four times the multiply-adds of a
            stride of 2, and is more accurate at equal multiply-adds on photographs of 32 pixels.
        activation: `relu` (default) or `gelu`.
        stem: `convolution` (default), of 3x3 pixels; or `whitened`, fixed filters that whiten overlapping
            patches twice as wide as the stride. There are 8 filters for each channel of the images. Networks
            for photographs then learn in fewer epochs.
        pooling: Global pooling before the last layer: `average` (default) or `max`.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> provider = ElasticResNetProvider(resolutions=(8,))
        >>> provider.exit_points, provider.space.stage_strides
        (4, (2, 2, 1, 1, 1))
    """

    exit_points = STAGES - 1

    def __init__(
        self,
        *,
        widths: tuple[float, ...] = (0.2, 0.4, 0.7, 1.0),
        resolutions: tuple[int, ...] = (32,),
        depths: tuple[int, ...] = (1, 2, 3),
        channels: tuple[int, ...] = (32, 64, 96, 128, 160),
        stem_stride: int = 0,
        stage_strides: tuple[int, ...] = (),
        dropout: float = 0.0,
        downsampling: Literal["strided", "pooled"] = "strided",
        activation: Literal["relu", "gelu"] = "relu",
        stem: Literal["convolution", "whitened"] = "convolution",
        pooling: Literal["average", "max"] = "average",
    ) -> None:
        sides = checked_sides(resolutions)
        derived_stride, strides = strides_for(sides)
        self.space = DenseSpace(
            widths=checked_choices("widths", widths, "numbers from 0.05 to 4", lambda v: 0.05 <= v <= 4),
            resolutions=sides,
            depths=checked_choices("depths", depths, "whole numbers from 1 to 8", is_whole(1, 8)),
            channels=for_each_stage("channels", channels, "whole numbers from 4 to 2048", is_whole(4, 2048)),
            stem_stride=checked_number(
                "stem_stride", stem_stride, "a whole number from 0 to 4", is_whole(0, 4)
            )
            or derived_stride,
            stage_strides=for_each_stage(
                "stage_strides", stage_strides or strides, "whole numbers from 1 to 4", is_stride
            ),
            dropout=checked_number("dropout", dropout, "a number >= 0 and < 1", lambda v: 0 <= v < 1),
            downsampling=checked_name("downsampling", downsampling, ("strided", "pooled")),
            activation=checked_name("activation", activation, tuple(ACTIVATIONS)),
            stem=checked_name("stem", stem, ("convolution", "whitened")),
            pooling=checked_name("pooling", pooling, ("average", "max")),
        )

    def variables(self) -> tuple[Variable, ...]:
        """Return the variables of the search space.

        Their names are `resolution`, and `stage1.width`, `stage1.depth` and so on for each stage, counted
        from 1.
        """
        return self.space.variables()

    def supernet(self, task: Task) -> Supernet:
        """Build the supernet; see `SupernetProvider.supernet`."""
        return ElasticDenseNet(self.space, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """Build a backbone as a separate network; see `SupernetProvider.build`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        return build_dense(self.space, backbone, task)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """Return, for each exit point, the distinct numbers of channels at all widths, ascending."""
        return tuple(self.space.channels_of(stage) for stage in range(self.exit_points))

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """Return the costs of a backbone, counted layer by layer; see `SupernetProvider.costs`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        plan = self.space.plan(backbone, task.in_channels)
        return with_dense_footprints(plan_costs(plan, task), plan)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load weights from a file.

        Args:
            supernet: The supernet that gets the weights.
            weights: Path of a file with the tensors of a supernet of this provider.

        Returns:
            A sentence that reports the number of copied tensors.

        Raises:
            WeightsError: The file does not exist, has no weights, or has the weights of another network.
        """
        if not isinstance(supernet, ElasticDenseNet):
            raise WeightsError(
                f"weights '{weights}': {type(supernet).__name__} is not this provider's supernet"
            )
        path, _ = locate(weights, {})
        return fill(supernet, supernet.task, read_tensors(path), str(path), NAMES)


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register the provider `elastic-resnet`."""
    return {"elastic-resnet": ElasticResNetProvider}
