"""Memory of the features: a place in one array for each tensor, so that tensors in use never overlap."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

from edanas.deploy.c_code.layers import Layer, Tensor


@dataclass
class _Block:
    """Memory that one tensor, or several tensors in place of each other, occupy."""

    size: int
    begin: int
    end: int
    names: list[str]
    offset: int = 0


_ORDERS: tuple[Callable[[_Block], tuple[int, ...]], ...] = (
    lambda block: (-block.size, block.begin),
    lambda block: (block.begin - block.end, -block.size),
    lambda block: (-block.size * (1 + block.end - block.begin), block.begin),
    lambda block: (block.begin, -block.size),
)
"""Orders in which blocks are placed."""


def plan_arena(source: Tensor, layers: Sequence[Layer]) -> tuple[dict[str, int], int]:
    """Return the offset of each tensor, and the size of the arena in bytes.

    A tensor occupies memory from the layer that writes it to the last layer that reads it. Tables and sums
    overwrite an input that no later layer reads. Tensors are placed one after the other, each at the lowest
    free offset: the larger first, as LiteRT for microcontrollers does, then in other orders. The result is
    the smallest arena.

    Args:
        source: The tensor that exists before the first layer.
        layers: The layers of all segments in the order in which they run. Logits are not in the arena.

    Example:
        >>> plan_arena(Tensor("image", (2, 2, 1), 1.0, 0), [])
        ({'image': 0}, 4)
    """
    blocks = _blocks(source, layers)
    best = min((_place(blocks, key) for key in _ORDERS), key=_size)
    return {name: block.offset for block in best for name in block.names}, _size(best)


def _place(blocks: Sequence[_Block], order: Callable[[_Block], tuple[int, ...]]) -> list[_Block]:
    """Return copies of the blocks, placed in an order, each at the lowest free offset."""
    placed: list[_Block] = []
    for block in sorted(map(copy, blocks), key=order):
        overlapping = sorted(
            (each for each in placed if each.begin <= block.end and block.begin <= each.end),
            key=lambda each: each.offset,
        )
        block.offset = 0
        for other in overlapping:
            if block.offset + block.size <= other.offset:
                break
            block.offset = max(block.offset, other.offset + other.size)
        placed.append(block)
    return placed


def _size(blocks: Sequence[_Block]) -> int:
    return max(block.offset + block.size for block in blocks)


def peak_bytes(source: Tensor, layers: Sequence[Layer]) -> int:
    """Return the largest number of bytes in use at once, which no placement can undercut."""
    blocks = _blocks(source, layers)
    return max(
        sum(block.size for block in blocks if block.begin <= time <= block.end)
        for time in range(-1, len(layers))
    )


def _blocks(source: Tensor, layers: Sequence[Layer]) -> list[_Block]:
    last_use = {tensor.name: at for at, layer in enumerate(layers) for tensor in layer.inputs}
    owner = {source.name: _Block(source.size, -1, last_use.get(source.name, -1), [source.name])}
    blocks = [owner[source.name]]
    for at, layer in enumerate(layers):
        output = layer.output
        if output.name not in last_use:  # logits
            continue
        end = last_use[output.name]
        free = [
            each
            for each in layer.inputs
            if layer.in_place and last_use[each.name] == at and each.size == output.size
        ]
        if free:
            block = owner[free[0].name]
            block.end = end
            block.names.append(output.name)
        else:
            block = _Block(output.size, at, end, [output.name])
            blocks.append(block)
        owner[output.name] = block
    return blocks
