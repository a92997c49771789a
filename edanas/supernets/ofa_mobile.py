"""What the providers of mobile networks share, whose spaces differ in their `Family`."""

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
    """Inverted residual blocks with elastic depth, kernel, expansion, width and resolution.

    Args:
        layout: The options, checked.
    """

    def __init__(self, layout: MobileSpace) -> None:
        self.layout = layout
        self.exit_points = layout.family.stages - 1
        self._costs = LayerCosts(layout)

    def variables(self) -> tuple[Variable, ...]:
        """`resolution`, `width`, `stageS.depth`, `stageS.layerL.kernel`, `stageS.layerL.expand`, from 1."""
        return self.layout.variables()

    def supernet(self, task: Task) -> Supernet:
        """See `SupernetProvider.supernet`."""
        return ElasticMobileNet(self.layout, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """See `SupernetProvider.build`.

        Raises:
            CandidateError: The backbone is not of this space.
        """
        return build_plain(self.layout, self.layout.plan(backbone), task)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """See `SupernetProvider.exit_channels`: one number of channels for each width, where they differ."""
        points, widths = self.layout.family.widths[: self.exit_points], self.layout.widths
        return tuple(tuple(sorted({scaled(base, width) for width in widths})) for base in points)

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """See `SupernetProvider.costs`: counted, each distinct layer once.

        Raises:
            CandidateError: The backbone is not of this space.
        """
        return self._costs(backbone, task)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Fill `supernet` from a file, or from a supernet in the zoo of the once-for-all authors by its name.

        Raises:
            WeightsError: See `edanas.supernets.ofa_weights.load`.
        """
        if not isinstance(supernet, ElasticMobileNet):
            raise WeightsError(
                f"weights '{weights}': {type(supernet).__name__} is not this provider's supernet"
            )
        return load(supernet, weights)


def checked_space(family: Family, options: dict[str, Any]) -> MobileSpace:
    """The layout of a family of mobile networks from a provider's options, by name.

    Raises:
        ConfigError: An option is out of range.
    """
    given = options
    strides = checked_numbers("stage_strides", given["stage_strides"], "whole numbers from 1 to 4", is_stride)
    if len(strides) != family.stages:
        raise ConfigError(
            f"supernet.stage_strides: {len(strides)} strides; allowed: {family.stages}, one a stage"
        )
    odd = is_whole(1, 15)
    return MobileSpace(
        family=family,
        widths=checked_choices("widths", given["widths"], "numbers from 0.1 to 4", lambda v: 0.1 <= v <= 4),
        resolutions=checked_sides(given["resolutions"]),
        depths=checked_choices("depths", given["depths"], "whole numbers from 1 to 8", is_whole(1, 8)),
        kernels=checked_choices(
            "kernels", given["kernels"], "odd numbers from 1 to 15", lambda v: odd(v) and v % 2 == 1
        ),
        expansions=checked_choices(
            "expansions", given["expansions"], "numbers above 1, to 12", lambda v: 1 < v <= 12
        ),
        stem_stride=checked_number(
            "stem_stride", given["stem_stride"], "a whole number from 1 to 4", is_stride
        ),
        stage_strides=strides,
        dropout=checked_number(
            "dropout", given["dropout"], "a number from 0 to below 1", lambda v: 0 <= v < 1
        ),
        final_expand=checked_number(
            "final_expand", given["final_expand"], "a whole number from 0 to 8192", is_whole(0, 8192)
        ),
        last_width=checked_number(
            "last_width", given["last_width"], "a whole number from 0 to 8192", is_whole(0, 8192)
        ),
    )
