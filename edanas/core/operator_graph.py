"""Operators of an int8 network in a microcontroller's memory: the peak of activations, and bytes of weights.

All numbers are for one sample in int8: a tensor has one byte for each element. An operator reads whole
tensors and writes a new one; only ReLU, ReLU6 and BatchNorm work inside the operator before them. Liberis and
Lane, Neural Networks on Microcontrollers: Saving Memory at Inference via Operator Reordering, 2019.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

CHANNEL_BYTES = 12
"""Bytes of an output channel besides its weights: bias, multiplier and shift, 4 bytes each."""

_ORDERS = 20_000
"""Largest number of sets of finished operators in the search for the best order; beyond, the order stays."""

KINDS = ("convolution", "pointwise", "depthwise", "linear", "elements")
"""Kinds of work: multiply-adds of four kinds of layers, and the outputs of all operators without weights."""


class Work(NamedTuple):
    """Work of a segment by kind, for one sample.

    Args:
        convolution: Multiply-adds of convolutions with larger kernels, grouped ones included.
        pointwise: Multiply-adds of 1x1 convolutions.
        depthwise: Multiply-adds of depthwise convolutions.
        linear: Multiply-adds of linear layers and other matrix products.
        elements: Number of elements that additions, activations, pooling and the like write.
    """

    convolution: int = 0
    pointwise: int = 0
    depthwise: int = 0
    linear: int = 0
    elements: int = 0

    def __add__(self, other: "Work") -> "Work":  # type: ignore[override]
        """Return the work of both."""
        return Work(*map(sum, zip(self, other, strict=True)))


NO_WORK = Work()
"""No work of any kind."""


@dataclass(frozen=True)
class Operator:
    """One operator of a network as it runs on a microcontroller.

    Args:
        name: Name for messages, e.g. `depthwise 5x5`.
        reads: Indices of the tensors that the operator reads, without weights.
        writes: Index of the tensor that it writes.
        flash: Bytes of its weights, biases and scales.
        work: Its work by kind.
    """

    name: str
    reads: tuple[int, ...]
    writes: int
    flash: int = 0
    work: Work = NO_WORK


@dataclass(frozen=True)
class Footprint:
    """Memory and work of one segment of an int8 network on a microcontroller, for one sample.

    Args:
        reads: Bytes of the segment's input.
        ram: Largest number of bytes of all tensors alive at once, input and output included.
        held: The same number if the input stays in memory until the segment's end, as features do while the
            head of an exit runs.
        flash: Bytes of weights, biases and scales.
        work: Work by kind.
        largest: Name of the operator during which `ram` bytes are alive.

    Example:
        >>> first, second = Footprint(64, 192, 192, 300, Work(100)), Footprint(128, 138, 138, 90, Work(9))
        >>> both = first.then(second)
        >>> both.ram, both.held, both.flash
        (192, 202, 390)
    """

    reads: int
    ram: int
    held: int
    flash: int
    work: Work = NO_WORK
    largest: str = ""

    def then(self, other: "Footprint") -> "Footprint":
        """Return the footprint of this segment and `other` in sequence; `other` reads only its output."""
        return Footprint(
            self.reads,
            max(self.ram, other.ram),
            max(self.held, self.reads + other.ram),
            self.flash + other.flash,
            self.work + other.work,
            self.largest if self.ram >= other.ram else other.largest,
        )


def in_sequence(parts: Iterable[Footprint]) -> Footprint:
    """Return the footprint of one or more segments in sequence."""
    first, *others = parts
    for each in others:
        first = first.then(each)
    return first


@dataclass(frozen=True)
class OperatorGraph:
    """The operators of a segment, and the tensors between them.

    Args:
        sizes: Bytes of each tensor.
        operators: The operators, in an order in which they can run.
        source: Index of the tensor that the segment reads.
        result: Index of the tensor that it returns.

    Example:
        A convolution, and the addition of its input: input and output of the convolution, then the sum, are
        alive at once.

        >>> graph = OperatorGraph((64, 64, 64), (Operator("conv", (0,), 1), Operator("add", (0, 1), 2)), 0, 2)
        >>> graph.peak()
        (192, 'add')
    """

    sizes: tuple[int, ...]
    operators: tuple[Operator, ...]
    source: int
    result: int

    def footprint(self) -> Footprint:
        """Return memory and work of the segment, in the order of operators that needs the least memory."""
        ram, largest = self.peak()
        work = NO_WORK
        for each in self.operators:
            work += each.work
        held, _ = self.peak(keeps_source=True)
        flash = sum(each.flash for each in self.operators)
        return Footprint(self.sizes[self.source], ram, held, flash, work, largest)

    def peak(self, *, keeps_source: bool = False) -> tuple[int, str]:
        """Return the largest number of bytes alive at once, and the name of the operator at that time.

        The order of operators is the best one.

        Args:
            keeps_source: True if the input stays in memory until the end.
        """
        if not self.operators:
            return self.sizes[self.source], ""
        order = self.best_order(keeps_source=keeps_source)
        alive = self.bytes_alive(order, keeps_source=keeps_source)
        at = alive.index(max(alive))
        return alive[at], self.operators[order[at]].name

    def bytes_alive(self, order: Sequence[int], *, keeps_source: bool = False) -> list[int]:
        """Return the bytes of all tensors alive during each operator.

        Args:
            order: Indices of all operators, in the order in which they run.
            keeps_source: True if the input stays in memory until the end.
        """
        plan = _Plan(self, keeps_source=keeps_source)
        done, between, alive = 0, self.sizes[self.source], []
        for index in order:
            during, between = plan.run(index, done, between)
            done |= 1 << index
            alive.append(during)
        return alive

    def best_order(self, *, keeps_source: bool = False) -> tuple[int, ...]:
        """Return the order of operators with the smallest peak; of equal orders, the first.

        The order of `operators` is returned if more than 20,000 sets of finished operators would have to be
        compared, as in a network with many parallel branches.
        """
        plan = _Plan(self, keeps_source=keeps_source)
        every = range(len(self.operators))
        # For each set of finished operators, as bits: best peak, bytes alive after it, and its order.
        states: dict[int, tuple[int, int, tuple[int, ...]]] = {0: (0, self.sizes[self.source], ())}
        compared = 0
        for _ in every:
            grown: dict[int, tuple[int, int, tuple[int, ...]]] = {}
            for done, (peak, between, order) in states.items():
                for index in every:
                    if done >> index & 1 or plan.needs[index] & ~done:
                        continue
                    during, after = plan.run(index, done, between)
                    key, most = done | 1 << index, max(peak, during)
                    if key not in grown or most < grown[key][0]:
                        grown[key] = most, after, (*order, index)
            states = grown
            compared += len(states)
            if compared > _ORDERS:
                return tuple(every)
        return next(iter(states.values()))[2]


class _Plan:
    """Dependencies of a graph's operators, as bits, and the bytes alive while they run.

    Args:
        graph: The graph.
        keeps_source: True if the input stays in memory until the end.

    Attributes:
        needs: For each operator, the operators whose outputs it reads.
    """

    def __init__(self, graph: OperatorGraph, *, keeps_source: bool) -> None:
        self._sizes, self._operators = graph.sizes, graph.operators
        writers = {each.writes: 1 << index for index, each in enumerate(graph.operators)}
        self.needs = [sum(writers.get(t, 0) for t in set(each.reads)) for each in graph.operators]
        self._readers = [0] * len(graph.sizes)
        for index, each in enumerate(graph.operators):
            for tensor in each.reads:
                self._readers[tensor] |= 1 << index
        self._kept = {graph.result, *([graph.source] if keeps_source else [])}

    def run(self, index: int, done: int, between: int) -> tuple[int, int]:
        """Return the bytes alive during and after an operator.

        Args:
            index: Index of the operator.
            done: The operators that are finished before.
            between: Bytes alive before.
        """
        operator, after = self._operators[index], done | 1 << index
        during = between + self._sizes[operator.writes]
        ended = {*operator.reads, operator.writes} - self._kept
        freed = sum(self._sizes[tensor] for tensor in ended if not self._readers[tensor] & ~after)
        return during, during - freed
