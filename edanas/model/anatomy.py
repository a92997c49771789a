"""Costs of the segments of an early-exit network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edanas.core.contracts import ExitNetwork
from edanas.core.costs import Costs
from edanas.core.tracing import exit_points, measure, trace
from edanas.core.types import SegmentCost


@dataclass(frozen=True)
class Anatomy:
    """What the segments of an EENN cost.

    Args:
        stages: Each of the M stages.
        heads: Each head that was built, by exit point, with what is made of its logits.
        last: The last exit, as `heads`.
        figures: Another unit's instead of multiply-adds, by the name of the meter that told them.
    """

    stages: tuple[SegmentCost, ...]
    heads: Mapping[int, SegmentCost]
    last: SegmentCost
    figures: Mapping[str, Costs] = field(default_factory=dict)

    @classmethod
    def of(cls, network: ExitNetwork, in_channels: int) -> "Anatomy":
        """By running each segment once on zeros.

        Raises:
            CostError: A segment cannot be counted.
        """
        stages, last = trace(network.backbone, in_channels)
        points, deciding = exit_points(stages), network.decision_costs()
        heads = {
            index: measure(network.heads[str(index)], (p.channels, p.height, p.width)) + deciding[index]
            for index, p in ((index, points[index]) for index in network.points)
        }
        return cls(stages, heads, last + deciding[-1])

    @property
    def costs(self) -> Costs:
        """Multiply-adds alone."""
        return Costs.of(self.stages, self.heads, self.last)
