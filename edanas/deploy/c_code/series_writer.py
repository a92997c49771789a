"""Text of `network.c` of networks for series."""

from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.deploy.c_code.layers import Add, Conv, Layer, Mul, Pool, Tensor
from edanas.deploy.c_code.network import IntNetwork
from edanas.deploy.c_code.series import SeriesInput, width_after
from edanas.deploy.c_code.writer import FIXED, Writer, wrapped


class SeriesWriter(Writer):
    """Writer for networks of series of one length."""

    files = (*FIXED, "series.c", "series.h")
    includes = '#include "series.h"\n'
    signature = "int32_t edanas_classify(const float *series, int32_t length, edanas_result *result)"
    description = (
        "Classifies a series of `length` positions, EDANAS_SHORTEST to EDANAS_LENGTH, position after\n"
        " * position, with EDANAS_CHANNELS floats each in the training data's units, and returns the label."
    )

    def __init__(self, network: IntNetwork) -> None:
        super().__init__(network)
        assert isinstance(network.pixels, SeriesInput)  # noqa: S101 - for the type checker
        self.series = network.pixels

    def sizes(self) -> dict[str, int]:
        """See `Writer.sizes`."""
        longest = self.series.width
        shortest = 1 if self.series.padded else longest
        return {"CHANNELS": len(self.series.mean), "LENGTH": longest, "SHORTEST": shortest}

    def begin(self) -> str:
        """See `Writer.begin`."""
        series = self.series
        begins = weights = needed = "0"
        taps = 1
        if series.resizes:
            first, values = series.taps()
            taps = values.shape[1]
            begins, weights = self.array("uint16_t", "begins", first), self._floats("weights", values)
        if series.padded:
            needed = self.array("uint16_t", "needed", series.needed())
        scaling = [
            self._floats(name, values)
            for name, values in zip(("factors", "offsets"), series.scaling(), strict=True)
        ]
        _, width, channels = series.output.shape
        numbers = map(str, (series.width, width, channels, taps))
        self.struct("edanas_series_layer", "series_layer", [*numbers, begins, needed, weights, *scaling])
        return f"edanas_series(&series_layer, series, length, {self.place(series.output)});"

    def _floats(self, name: str, values: npt.NDArray[np.float32]) -> str:
        """Put an array of floats, written exactly, and return its name."""
        texts = (f"{float(value).hex()}f" for value in values.ravel())
        self.constants.append(f"static const float {name}[{values.size}] = {{\n{wrapped(texts)}\n}};\n")
        return name


class UnequalSeriesWriter(SeriesWriter):
    """Writer for networks of series of unequal length: each layer runs at the width that follows."""

    def __init__(self, network: IntNetwork) -> None:
        super().__init__(network)
        self._widths: dict[str, str] = {}
        """Width of each tensor as an expression of C."""

    def begin(self) -> str:
        """See `Writer.begin`."""
        call = super().begin()
        self._widths[self.series.output.name] = "width"
        return f"const int32_t width = {call}"

    def count(self, tensor: Tensor) -> str:
        """See `Writer.count`."""
        return self._widths[tensor.name]

    def layer_calls(self, layer: Layer) -> list[str]:
        """See `Writer.layer_calls`; a copy of the layer's numbers gets the widths of the series."""
        before, name = self._widths[layer.inputs[0].name], layer.output.name
        lines = []
        self._widths[name] = before if width_after(layer, 2) == 2 else "1"
        if isinstance(layer, Conv) and layer.stride[1] > 1 and before != "1":
            self._widths[name] = f"{name}_width"
            stride = layer.stride[1]
            lines.append(f"const int32_t {name}_width = ({before} + {stride - 1}) / {stride};")
        calls = self._layer(layer)
        if before == "1":
            return calls
        sizes: dict[str, Any] = {f"layer.in.width = {before};": Conv | Pool}
        sizes[f"layer.out.width = {self._widths[name]};"] = Conv
        sizes[f"const edanas_window whole = {{0, (uint16_t){before}, (uint16_t){before}}};"] = Pool
        sizes["layer.columns = &whole;"] = Pool
        sizes[f"layer.pixels = {before};"] = Add | Mul
        changes = [text for text, kinds in sizes.items() if isinstance(layer, kinds)]
        if not changes:
            return [*lines, *calls]
        kind = "conv" if isinstance(layer, Conv) else "pool" if isinstance(layer, Pool) else "pair"
        copied = [call.replace(f"&{name}_layer", "&layer") for call in calls]
        body = [f"edanas_{kind}_layer layer = {name}_layer;", *changes, *copied]
        return [*lines, "{", *(f"    {line}" for line in body), "}"]
