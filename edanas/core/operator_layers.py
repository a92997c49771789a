"""Builder of operator graphs from layers: sizes, weights and work of each operator that runs in int8.

Operators are those of TensorFlow Lite for Microcontrollers, which `OperatorGraph` describes. Padding is part
of a convolution. TensorFlow Lite's `SAME` pads the far end first, PyTorch both ends alike: at stride 2 and an
even side they agree once height and width of images, features and kernels are reversed. A converter that
writes padded copies instead needs more memory, which `padded_copies` counts.
"""

from edanas.core.operator_graph import CHANNEL_BYTES, NO_WORK, Footprint, Operator, OperatorGraph, Work

Shape = tuple[int, int, int]
"""Channels, height and width of features."""

Pair = tuple[int, int]
"""Numbers along height and width."""


class GraphBuilder:
    """Adds operators to a graph one by one. A tensor is named by its index; the input has index 0.

    Args:
        elements: Number of elements of the segment's input.
        padded_copies: True if a convolution whose padding is not that of `SAME` reads a padded copy of its
            input, as a plain conversion by `litert-torch` does; default False.

    Example:
        >>> builder = GraphBuilder(64)
        >>> features = builder.convolution(0, (1, 8, 8), (4, 8, 8), (3, 3), (1, 1), (1, 1))
        >>> builder.graph(builder.pooling(features, 4)).footprint().ram
        320
    """

    def __init__(self, elements: int, *, padded_copies: bool = False) -> None:
        self.padded_copies = padded_copies
        self.sizes = [elements]
        self.operators: list[Operator] = []

    def graph(self, result: int) -> OperatorGraph:
        """Return the graph of all operators so far; `result` is the index of the returned tensor."""
        return OperatorGraph(tuple(self.sizes), tuple(self.operators), 0, result)

    def footprint(self, result: int) -> Footprint:
        """Return memory and work of all operators so far; `result` is the index of the returned tensor."""
        return self.graph(result).footprint()

    def convolution(
        self,
        source: int,
        before: Shape,
        after: Shape,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        *,
        groups: int = 1,
        dilation: Pair = (1, 1),
    ) -> int:
        """Add a convolution, with BatchNorm and ReLU if there are any, and return its output.

        Args:
            source: Index of the input.
            before: Channels, height and width of the input.
            after: Channels, height and width of the output.
            kernel: Height and width of the kernel.
            stride: Stride along height and width.
            padding: Number of zeros on both ends of height and width.
            groups: Number of groups; 1 by default.
            dilation: Distance of the kernel's weights along height and width; 1 by default.
        """
        reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        sides = zip(before[1:], reach, stride, padding, strict=True)
        if self.padded_copies and not all(_is_same(*each) for each in sides):
            padded = (before[1] + 2 * padding[0]) * (before[2] + 2 * padding[1]) * before[0]
            source = self.add("padding", (source,), padded, Work(elements=padded))
        weights = kernel[0] * kernel[1] * (before[0] // groups) * after[0]
        macs = weights * after[1] * after[2]
        kind = _kind(kernel, groups, before[0])
        name = f"{kind} {kernel[0]}x{kernel[1]}, {before[0]} to {after[0]} channels"
        flash = weights + CHANNEL_BYTES * after[0]
        return self.add(name, (source,), after[0] * after[1] * after[2], Work(**{kind: macs}), flash)

    def linear(self, source: int, before: int, after: int, positions: int = 1) -> int:
        """Add a linear layer, with ReLU if there is one, and return its output.

        Args:
            source: Index of the input.
            before: Number of input features.
            after: Number of output features.
            positions: Number of vectors of features that the layer reads; 1 by default.
        """
        work, flash = Work(linear=before * after * positions), before * after + CHANNEL_BYTES * after
        return self.add(f"linear, {before} to {after}", (source,), after * positions, work, flash)

    def pooling(self, source: int, elements: int) -> int:
        """Add a pooling with a number of output elements, and return its output."""
        return self.add("pooling", (source,), elements, Work(elements=self.sizes[source]))

    def normalisation(self, source: int, channels: int) -> int:
        """Add a BatchNorm that is part of no layer, and return its output."""
        elements = self.sizes[source]
        return self.add(
            "normalisation", (source,), elements, Work(elements=elements), CHANNEL_BYTES * channels
        )

    def elementwise(self, name: str, *sources: int) -> int:
        """Add an operator that writes one number for each element of its largest input.

        Args:
            name: Name of the operator, e.g. `addition`.
            sources: Indices of the inputs.
        """
        elements = max(self.sizes[source] for source in sources)
        return self.add(name, sources, elements, Work(elements=elements))

    def add(
        self, name: str, sources: tuple[int, ...], elements: int, work: Work = NO_WORK, flash: int = 0
    ) -> int:
        """Add an operator, and return the index of its output.

        Args:
            name: Name of the operator.
            sources: Indices of the inputs.
            elements: Number of elements of the output.
            work: Work by kind; none by default.
            flash: Bytes of weights, biases and scales; 0 by default.
        """
        self.sizes.append(elements)
        self.operators.append(Operator(name, sources, len(self.sizes) - 1, flash, work))
        return len(self.sizes) - 1


def _is_same(side: int, kernel: int, stride: int, padding: int) -> bool:
    """Return whether padding along a side is none, or that of TensorFlow's `SAME`, which needs no copy."""
    if not padding:
        return True
    outputs = -(-side // stride)
    total = max(0, (outputs - 1) * stride + kernel - side)
    return total == 2 * padding


def _kind(kernel: Pair, groups: int, channels: int) -> str:
    if groups > 1 and groups == channels:
        return "depthwise"
    return "pointwise" if kernel == (1, 1) and groups == 1 else "convolution"
