"""Base class of the providers `ofa-mbv3` and `ofa-proxyless`, and the check of their options."""

from typing import Any

from edanas.core.contracts import StagedBackbone, Supernet, SupernetProvider
from edanas.core.errors import ConfigError, WeightsError
from edanas.core.types import Backbone, SegmentCost, Task, Variable
from edanas.supernets.elastic_mobile import ElasticMobileNet, build_plain
from edanas.supernets.layer_costs import LayerCosts
from edanas.supernets.mobile_space import Family, MobileSpace, scaled
from edanas.supernets.ofa_weights import load
from edanas.supernets.option_checks import (
    checked_choices,
    checked_number,
    checked_numbers,
    checked_sides,
    is_stride,
    is_whole,
)


class MobileProvider(SupernetProvider):
    """Base class of providers of mobile networks, which consist of inverted residual blocks.

    Depth, kernel, expansion, width and resolution of a backbone are searched.

    Args:
        space: The search space.
    """

    def __init__(self, space: MobileSpace) -> None:
        self.space = space
        self.exit_points = space.family.stages - 1
        self._costs = LayerCosts(space)

    def variables(self) -> tuple[Variable, ...]:
        """Return the variables of the search space.

        Their names are `resolution`, `width`, and `stage1.depth`, `stage1.layer1.kernel`,
        `stage1.layer1.expand` and so on for each stage and layer, counted from 1.
        """
        return self.space.variables()

    def supernet(self, task: Task) -> Supernet:
        """Build the supernet; see `SupernetProvider.supernet`."""
        return ElasticMobileNet(self.space, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """Build a backbone as a separate network; see `SupernetProvider.build`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        return build_plain(self.space, self.space.plan(backbone), task)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """Return, for each exit point, the distinct numbers of channels at all widths, ascending."""
        points, widths = self.space.family.widths[: self.exit_points], self.space.widths
        return tuple(tuple(sorted({scaled(base, width) for width in widths})) for base in points)

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """Return the costs of a backbone, counted layer by layer; see `SupernetProvider.costs`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        return self._costs(backbone, task)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load weights from a file, or by name from the zoo of the authors of Once-for-All.

        Args:
            supernet: The supernet that gets the weights.
            weights: Path of a file, or a name in `edanas.supernets.ofa_weights.ZOO`.

        Returns:
            A sentence that reports the number of copied tensors, and the check of a download.

        Raises:
            WeightsError: There is no file or name `weights`, or its content does not fit `supernet`.
        """
        if not isinstance(supernet, ElasticMobileNet):
            raise WeightsError(
                f"weights '{weights}': {type(supernet).__name__} is not this provider's supernet"
            )
        return load(supernet, weights)


def checked_space(family: Family, options: dict[str, Any]) -> MobileSpace:
    """Return the search space of a family of mobile networks, after a check of the provider's options.

    Args:
        family: Properties that all backbones share.
        options: Name of an option -> value; `OFAMobileNetV3Provider` describes the options.

    Raises:
        ConfigError: An option is out of range.
    """
    strides = checked_numbers(
        "stage_strides", options["stage_strides"], "whole numbers from 1 to 4", is_stride
    )
    if len(strides) != family.stages:
        raise ConfigError(
            f"supernet.stage_strides: found {len(strides)} strides; allowed: {family.stages}, one per stage"
        )
    odd = is_whole(1, 15)
    return MobileSpace(
        family=family,
        widths=checked_choices("widths", options["widths"], "numbers from 0.1 to 4", lambda v: 0.1 <= v <= 4),
        resolutions=checked_sides(options["resolutions"]),
        depths=checked_choices("depths", options["depths"], "whole numbers from 1 to 8", is_whole(1, 8)),
        kernels=checked_choices(
            "kernels", options["kernels"], "odd numbers from 1 to 15", lambda v: odd(v) and v % 2 == 1
        ),
        expansions=checked_choices(
            "expansions", options["expansions"], "numbers above 1 and up to 12", lambda v: 1 < v <= 12
        ),
        stem_stride=checked_number(
            "stem_stride", options["stem_stride"], "a whole number from 1 to 4", is_stride
        ),
        stage_strides=strides,
        dropout=checked_number("dropout", options["dropout"], "a number >= 0 and < 1", lambda v: 0 <= v < 1),
        final_expand=checked_number(
            "final_expand", options["final_expand"], "a whole number from 0 to 8192", is_whole(0, 8192)
        ),
        last_width=checked_number(
            "last_width", options["last_width"], "a whole number from 0 to 8192", is_whole(0, 8192)
        ),
    )
