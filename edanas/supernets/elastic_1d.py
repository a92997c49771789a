"""Supernet provider `elastic-1d`: networks for series, with depthwise convolutions along the series."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import StagedBackbone, Supernet, SupernetProvider
from edanas.core.errors import WeightsError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Backbone, SegmentCost, Task, Variable
from edanas.supernets.elastic_series import ElasticSeriesNet, build_series
from edanas.supernets.option_checks import checked_choices, checked_lengths, checked_number, is_whole
from edanas.supernets.series_space import SeriesSpace, plan_costs, strides_for
from edanas.supernets.stage_options import for_each_stage
from edanas.supernets.weights import TensorNames, fill, locate, read_tensors

NAMES = TensorNames(
    classifier=("last_exit.linear.weight", "last_exit.linear.bias"),
    stem="stem.conv.conv.weight",
    misfit="The file is of a network with other widths, depths, kernels or channels",
)
"""Names of the supernet's tensors."""


class Elastic1dProvider(SupernetProvider):
    """Inverted residual blocks for series, with searched depth, kernel, expansion, width and length.

    A backbone has 5 stages and 4 exit points, after stages 1 to 4. Stage 1 also contains the stem. A block is
    an expansion, a depthwise convolution along the series, squeeze-and-excitation and a projection, with
    ReLU. The last exit is average pooling and a linear layer. Series are resampled to the length of a
    backbone. Smaller networks use the first channels, the first blocks and the middle of the kernels of the
    shared weights, as in Cai et al., Once-for-All, ICLR 2020.

    Args:
        resolutions: Choices of the length of the input series, from 4 to 16,000; 128 by default.
        widths: Choices of the width multiplier of a stage; 0.25, 0.5 and 1 by default. Numbers of channels
            are rounded to multiples of 4.
        depths: Choices of the number of blocks of a stage; 1 and 2 by default.
        kernels: Choices of the length of depthwise kernels, odd, from 3 to 25; 5, 9 and 15 by default.
        expansions: Choices of the ratio of inner channels to input channels; 1, 2 and 3 by default.
        channels: Number of output channels of each of the 5 stages at width 1. The stem has three quarters of
            the channels of stage 1.
        stem_kernel: Length of the first kernel, odd; 9 by default.
        stem_stride: Stride of the first convolution, from 1 to 8; 0, the default, derives it from
            `resolutions`.
        stage_strides: Stride of each of the 5 stages, from 1 to 4; an empty list, the default, derives the
            strides from `resolutions`. The derived strides leave features of length 4 to 8 after the last
            stage.
        squeeze: For each stage, true if its blocks have squeeze-and-excitation; by default, all stages but
            the first.
        masked: True if series may be padded: padding, NaN at the end of a series, is left out of all means,
            and features carry a mask. False by default.
        dropout: Share of the classifier's input features that is dropped in training; 0 by default.

    Raises:
        ConfigError: An option is out of range.

    Example:
        >>> provider = Elastic1dProvider(resolutions=(103, 206))
        >>> provider.exit_points, provider.space.stem_stride, provider.space.stage_strides
        (4, 2, (2, 2, 2, 2, 1))
    """

    exit_points = 4
    series = True

    def __init__(
        self,
        *,
        resolutions: tuple[int, ...] = (128,),
        widths: tuple[float, ...] = (0.25, 0.5, 1.0),
        depths: tuple[int, ...] = (1, 2),
        kernels: tuple[int, ...] = (5, 9, 15),
        expansions: tuple[float, ...] = (1.0, 2.0, 3.0),
        channels: tuple[int, ...] = (16, 24, 40, 64, 96),
        stem_kernel: int = 9,
        stem_stride: int = 0,
        stage_strides: tuple[int, ...] = (),
        squeeze: tuple[bool, ...] = (False, True, True, True, True),
        masked: bool = False,
        dropout: float = 0.0,
    ) -> None:
        lengths = checked_lengths(resolutions)
        stem, strides = strides_for(lengths)
        self.masked, flags = masked, tuple(map(int, squeeze))
        self.space = SeriesSpace(
            lengths=lengths,
            widths=checked_choices("widths", widths, "numbers from 0.05 to 4", lambda v: 0.05 <= v <= 4),
            depths=checked_choices("depths", depths, "whole numbers from 1 to 8", is_whole(1, 8)),
            kernels=checked_choices("kernels", kernels, "odd numbers from 3 to 25", _is_odd(3, 25)),
            expansions=checked_choices(
                "expansions", expansions, "numbers from 1 to 8", lambda v: 1 <= v <= 8
            ),
            channels=for_each_stage("channels", channels, "whole numbers from 4 to 2048", is_whole(4, 2048)),
            stem_kernel=checked_number(
                "stem_kernel", stem_kernel, "an odd number from 3 to 25", _is_odd(3, 25)
            ),
            stem_stride=checked_number(
                "stem_stride", stem_stride, "a whole number from 0 to 8", is_whole(0, 8)
            )
            or stem,
            stage_strides=for_each_stage(
                "stage_strides", stage_strides or strides, "whole numbers from 1 to 4", is_whole(1, 4)
            ),
            squeeze=tuple(map(bool, for_each_stage("squeeze", flags, "true or false", is_whole(0, 1)))),
            masked=masked,
            dropout=checked_number("dropout", dropout, "a number >= 0 and < 1", lambda v: 0 <= v < 1),
        )

    def variables(self) -> tuple[Variable, ...]:
        """Return the variables of the search space.

        Their names are `resolution`, the length, and `stage1.width`, `stage1.depth`, `stage1.layer1.kernel`,
        `stage1.layer1.expand` and so on for each stage and layer, counted from 1.
        """
        return self.space.variables()

    def supernet(self, task: Task) -> Supernet:
        """Build the supernet; see `SupernetProvider.supernet`."""
        return ElasticSeriesNet(self.space, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """Build a backbone as a separate network; see `SupernetProvider.build`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        return build_series(self.space, backbone, task)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """Return, for each exit point, the distinct numbers of channels, a mask included, ascending."""
        channels = [self.space.channels_of(stage) for stage in range(self.exit_points)]
        return tuple(tuple(each + self.masked for each in choices) for choices in channels)

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """Return the costs of a backbone, counted layer by layer; see `SupernetProvider.costs`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        return plan_costs(self.space, self.space.plan(backbone), task)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load weights from a file with the tensors of a supernet of this provider.

        Args:
            supernet: The supernet that gets the weights.
            weights: Path of the file.

        Returns:
            A sentence that reports the number of copied tensors.

        Raises:
            WeightsError: The file does not exist, has no weights, or has the weights of another network.
        """
        if not isinstance(supernet, ElasticSeriesNet):
            raise WeightsError(
                f"weights '{weights}': {type(supernet).__name__} is not this provider's supernet"
            )
        path, _ = locate(weights, {})
        return fill(supernet, supernet.task, read_tensors(path), str(path), NAMES)


def _is_odd(low: int, high: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int) and low <= value <= high and value % 2 == 1


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register the provider `elastic-1d`."""
    return {"elastic-1d": Elastic1dProvider}
