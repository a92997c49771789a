"""Footprints on a microcontroller of the layers of `elastic-resnet`, counted without building them.

They equal those of `edanas.core.tracing`, which records built networks. Each distinct block is counted once.
"""

from functools import lru_cache

from edanas.core.operator_graph import Footprint
from edanas.core.types import SegmentCost
from edanas.supernets.block_footprints import Layers, with_footprint
from edanas.supernets.dense_space import DenseBlockPlan, DensePlan


def with_dense_footprints(
    costs: tuple[tuple[SegmentCost, ...], SegmentCost], plan: DensePlan
) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
    """Return the costs of each stage and of the last exit with their footprints.

    Args:
        costs: The costs without footprints.
        plan: The sizes of the backbone.
    """
    stages, last = costs
    blocks = [list(stage) for stage in plan.stages]
    blocks[0].insert(0, plan.stem)
    counted = tuple(
        with_footprint(cost, map(dense_block, stage)) for cost, stage in zip(stages, blocks, strict=True)
    )
    return counted, with_footprint(last, [dense_last_exit(blocks[-1][-1], last.shape[0])])


@lru_cache(maxsize=8192)
def dense_block(plan: DenseBlockPlan) -> Footprint:
    """Return the footprint of a block with a dense 3x3 convolution."""
    layers, kernel = Layers(plan.in_channels, plan.side), plan.reach
    main = layers.conv(plan.out_channels, kernel.size, plan.stride, kernel.padding)
    if plan.pool > 1:
        # BatchNorm follows the max-pooling, and is not part of the convolution.
        layers.pool(plan.out_side)
        layers.last = main = layers.normalisation(layers.last, plan.out_channels)
    if plan.shortcut == "identity":
        layers.last = layers.elementwise("add", main, 0)
    if plan.shortcut == "projected":
        shape, layers.shape, layers.last = layers.shape, (plan.in_channels, plan.side, plan.side), 0
        if plan.stride > 1:
            layers.pool(shape[1])
        layers.last = layers.elementwise("add", main, layers.conv(plan.out_channels, 1))
    layers.activated(plan.activation)
    return layers.end()


@lru_cache(maxsize=1024)
def dense_last_exit(plan: DenseBlockPlan, classes: int) -> Footprint:
    """Return the footprint of a mean and a linear layer after the last block of a dense network."""
    layers = Layers(plan.out_channels, plan.out_side)
    layers.pool(1)
    layers.last = layers.linear(layers.last, plan.out_channels, classes)
    return layers.end()
