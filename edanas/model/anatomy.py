"""Costs of the segments of an early-exit network."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from edanas.core.contracts import ExitNetwork
from edanas.core.costs import Costs
from edanas.core.idle_stages import running_costs
from edanas.core.network_memory import NetworkMemory, network_memory
from edanas.core.tracing import exit_points, measure, trace
from edanas.core.types import SegmentCost, SelectionScheme


@dataclass(frozen=True)
class Anatomy:
    """Costs of the stages, heads and decisions of an early-exit network for one sample.

    Args:
        stages: Cost of each of the M stages.
        heads: For each exit point with a head, the cost of the head and of the decision there. The decision
            is the inference rule together with the confidence criterion.
        last: Cost of the last exit and its decision.
        figures: Costs in other units than multiply-adds, by the name of the meter that measured them. Empty
            by default.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> Anatomy.of(toy_network(), in_channels=1).costs
        Costs(stages=(10368, 41472, 5184), heads=(32, None), last=32)
    """

    stages: tuple[SegmentCost, ...]
    heads: Mapping[int, SegmentCost]
    last: SegmentCost
    figures: Mapping[str, Costs] = field(default_factory=dict)

    @classmethod
    def of(cls, network: ExitNetwork, in_channels: int) -> "Anatomy":
        """Return the costs of a network, by running each stage and head once on zeros.

        Args:
            network: The network to measure.
            in_channels: Number of channels of its images.

        Raises:
            CostError: The operations of a stage, head or decision cannot be counted.
        """
        stages, last = trace(network.backbone, in_channels)
        points, decisions = exit_points(stages), network.decision_costs()
        heads = {
            index: measure(network.heads[str(index)], (p.channels, p.height, p.width)) + decisions[index]
            for index, p in ((index, points[index]) for index in network.points)
        }
        return cls(stages, heads, last + decisions[-1])

    def running(self, exits: Collection[int]) -> "Anatomy":
        """Return the costs with exits at some exit points, where stages that do not run cost nothing."""
        return replace(self, stages=running_costs(self.stages, exits))

    def memory(self, scheme: SelectionScheme) -> NetworkMemory | None:
        """Return the memory on a microcontroller; `None` if the footprint of a segment is not known."""
        stages = running_costs(self.stages, scheme.placed)
        return network_memory(stages, self.heads, self.last, scheme.placed)

    @cached_property
    def costs(self) -> Costs:
        """The costs in multiply-adds."""
        return Costs.of(self.stages, self.heads, self.last)
