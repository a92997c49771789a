"""Base class of the providers of mobile networks, whose spaces differ in their `Family`."""

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
        space: The search space.
    """

    def __init__(self, space: MobileSpace) -> None:
        self.space = space
        self.exit_points = space.family.stages - 1
        self._costs = LayerCosts(space)

    def variables(self) -> tuple[Variable, ...]:
        """Return `resolution`, `width`, `stageS.depth`, `stageS.layerL.kernel` and `.expand`, from 1."""
        return self.space.variables()

    def supernet(self, task: Task) -> Supernet:
        """Build the elastic network; see `SupernetProvider.supernet`."""
        return ElasticMobileNet(self.space, task)

    def build(self, backbone: Backbone, task: Task) -> StagedBackbone:
        """Build the backbone in plain layers; see `SupernetProvider.build`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        return build_plain(self.space, self.space.plan(backbone), task)

    def exit_channels(self) -> tuple[tuple[int, ...], ...]:
        """Return the distinct channels of all widths, for each exit point."""
        points, widths = self.space.family.widths[: self.exit_points], self.space.widths
        return tuple(tuple(sorted({scaled(base, width) for width in widths})) for base in points)

    def costs(self, backbone: Backbone, task: Task) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """Return the costs, counting each distinct layer once; see `SupernetProvider.costs`.

        Raises:
            CandidateError: The backbone is not in this space.
        """
        return self._costs(backbone, task)

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load weights from a file, or by name from the zoo of the once-for-all authors.

        Raises:
            WeightsError: See `edanas.supernets.ofa_weights.load`.
        """
        if not isinstance(supernet, ElasticMobileNet):
            raise WeightsError(
                f"weights '{weights}': {type(supernet).__name__} is not this provider's supernet"
            )
        return load(supernet, weights)


def checked_space(family: Family, options: dict[str, Any]) -> MobileSpace:
    """Return the search space of a family of mobile networks, from a provider's options by name.

    Raises:
        ConfigError: An option is out of range.
    """
    strides = checked_numbers(
        "stage_strides", options["stage_strides"], "whole numbers from 1 to 4", is_stride
    )
    if len(strides) != family.stages:
        raise ConfigError(
            f"supernet.stage_strides: {len(strides)} strides; allowed: {family.stages}, one a stage"
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
            "expansions", options["expansions"], "numbers above 1, to 12", lambda v: 1 < v <= 12
        ),
        stem_stride=checked_number(
            "stem_stride", options["stem_stride"], "a whole number from 1 to 4", is_stride
        ),
        stage_strides=strides,
        dropout=checked_number(
            "dropout", options["dropout"], "a number from 0 to below 1", lambda v: 0 <= v < 1
        ),
        final_expand=checked_number(
            "final_expand", options["final_expand"], "a whole number from 0 to 8192", is_whole(0, 8192)
        ),
        last_width=checked_number(
            "last_width", options["last_width"], "a whole number from 0 to 8192", is_whole(0, 8192)
        ),
    )
