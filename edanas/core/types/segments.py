"""Exit points of a backbone, and the costs of its segments."""

from dataclasses import dataclass, field

from edanas.core.operator_graph import Footprint


@dataclass(frozen=True)
class ExitPoint:
    """A place between two stages for an exit.

    Args:
        index: Number of the exit point, from 0.
        channels: Number of channels of the features there.
        height: Height of the features there.
        width: Width of the features there.

    Example:
        >>> ExitPoint(index=0, channels=16, height=8, width=8).channels
        16
    """

    index: int
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class SegmentCost:
    """Costs of one segment of a network for one sample.

    Args:
        macs: Number of multiply-adds.
        params: Number of parameters.
        activations: Number of elements in the largest output of the segment's convolutions, linear layers and
            matrix products.
        shape: Channels, height and width of the segment's output; (K, 1, 1) for logits of K classes.
        outputs: Number of elements in all outputs of the same layers together; `None`, the default, means
            that they were not counted.
        footprint: Memory and work on a microcontroller; `None`, the default, means that it was not counted.
            Comparisons ignore it.
        reads_image: True if the segment is a stage after the first one that reads the image and not the
            features before it; see `StagedBackbone`. By default false.

    Example:
        >>> first, second = SegmentCost(100, 10, 64, (4, 4, 4)), SegmentCost(50, 5, 32, (8, 2, 2))
        >>> (first + second).macs
        150
    """

    macs: int
    params: int
    activations: int
    shape: tuple[int, int, int]
    outputs: int | None = None
    footprint: Footprint | None = field(default=None, compare=False)
    reads_image: bool = False

    def __add__(self, other: "SegmentCost") -> "SegmentCost":
        """Return the costs of this segment and of `other` together, with the shape of this segment.

        Numbers are added, except for `activations` and the memory, of which the larger number counts. `other`
        must only read the output of this segment, as a decision does.
        """
        return SegmentCost(
            self.macs + other.macs,
            self.params + other.params,
            max(self.activations, other.activations),
            self.shape,
            None if self.outputs is None or other.outputs is None else self.outputs + other.outputs,
            self.footprint.then(other.footprint) if self.footprint and other.footprint else None,
            self.reads_image,
        )


@dataclass(frozen=True)
class SegmentFigures:
    """Costs of the segments of one backbone for one sample, in the unit of a meter.

    Args:
        stages: Cost of each of the M stages.
        heads: Cost of the head at each of the N exit points.
        last: Cost of the last exit.

    Example:
        >>> SegmentFigures(stages=(5, 7), heads=(1,), last=2).heads
        (1,)
    """

    stages: tuple[int, ...]
    heads: tuple[int, ...]
    last: int
