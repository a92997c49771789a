"""Text of the exported C files: constants, layers, and the function that classifies an image."""

import textwrap
from collections.abc import Iterable, Sequence
from functools import singledispatchmethod

import numpy as np
import numpy.typing as npt

from edanas.deploy.c_code.decision import EXP_FRACTION, EXP_WHOLE
from edanas.deploy.c_code.layers import Add, Concat, Conv, Layer, Mul, Pad, Pool, Table, Tensor
from edanas.deploy.c_code.network import IntNetwork, IntSegment
from edanas.deploy.c_code.pixels import Pixels
from edanas.deploy.c_header import text_literal

FIXED = ("kernels.c", "kernels.h", "decision.c", "decision.h", "main.c", "Makefile")
"""Names of the files that are the same for all networks."""


def header(writer: "Writer") -> str:
    """Return `network.h`: sizes as macros, and the functions for users."""
    network = writer.network
    sizes = "\n".join(f"#define EDANAS_{name} {size}" for name, size in writer.sizes().items())
    rule, criterion = network.decisions.rule, network.decisions.criterion
    agreeing = int(criterion.numbers[0]) if criterion.numbers else 0
    return f"""\
/* An early-exit network with 8-bit integers. C99, generated; do not edit. */
#ifndef EDANAS_NETWORK_H
#define EDANAS_NETWORK_H

#include <stdint.h>

#define EDANAS_EXITS {len(network.segments)} /* the placed exits and the last exit */
#define EDANAS_CLASSES {len(network.classes)}
{sizes}
#define EDANAS_ARENA_BYTES {network.arena()[1]} /* features of all layers */

/* Inference rules and confidence criteria, and those of this network */
#define EDANAS_EARLY_STOP 0
#define EDANAS_MEAN_PROBABILITY 1
#define EDANAS_MEAN_LOGIT 2
#define EDANAS_RULE EDANAS_{_macro(rule.name)}
#define EDANAS_SCORE_MARGIN 0
#define EDANAS_MAX_PROBABILITY 1
#define EDANAS_ENTROPY 2
#define EDANAS_PATIENCE 3
#define EDANAS_CRITERION EDANAS_{_macro(criterion.name)}
#define EDANAS_AGREEING {agreeing}
#define EDANAS_EXP_WHOLE {len(EXP_WHOLE)}

typedef struct {{
    int32_t label;         /* index in edanas_classes */
    int32_t exit;          /* from 0; EDANAS_EXITS - 1 for the last exit */
    uint32_t confidence;   /* 24 bits after the binary point: 1 << 24 is certain */
    const int16_t *logits; /* of this exit, 8 bits after the binary point, until the next call */
}} edanas_result;

typedef struct {{
    int32_t exit_point;     /* from 0; {network.points} for the last exit */
    uint32_t threshold;     /* the exit fires at this confidence or higher; the last exit always fires */
    uint64_t executed_macs; /* multiply-adds of an image that leaves here */
}} edanas_exit;

extern const edanas_exit edanas_exits[EDANAS_EXITS];
extern const char *const edanas_classes[EDANAS_CLASSES];
extern const uint32_t edanas_exp_whole[EDANAS_EXP_WHOLE], edanas_exp_fraction[256];
extern const uint32_t edanas_shares[EDANAS_EXITS]; /* weights of the exits in a mean of probabilities */
#ifdef EDANAS_COUNT
extern uint32_t edanas_runs[EDANAS_EXITS]; /* number of runs of each segment */
#endif

/* {writer.description}
 * The layers after the exit that fires do not run. Features lie in one static array, so two calls may not
 * overlap. */
{writer.signature};

#endif
"""


class Writer:
    """Writer of `network.c` and of the parts of `network.h` that depend on the kind of samples."""

    files: tuple[str, ...] = FIXED
    includes = ""
    signature = "int32_t edanas_classify(const uint8_t *image, edanas_result *result)"
    description = (
        "Classifies an image of EDANAS_IMAGE_BYTES bytes, pixel after pixel, row after row, and returns\n"
        " * the label."
    )

    def __init__(self, network: IntNetwork) -> None:
        self.network = network
        self.offsets, self.arena = network.arena()
        self.constants: list[str] = []
        self._names: dict[tuple[str, bytes], str] = {}

    def text(self, executed_macs: Sequence[int]) -> str:
        """Return the file."""
        network = self.network
        begin = self.begin()
        bodies = [
            self._segment(number, segment, begin if number == 0 else "")
            for number, segment in enumerate(network.segments)
        ]
        exits = ",\n    ".join(
            f"{{{segment.exit}, UINT32_C({segment.threshold}), UINT64_C({macs})}}"
            for segment, macs in zip(network.segments, executed_macs, strict=True)
        )
        classes = ",\n    ".join(text_literal(name) for name in network.classes)
        shared = [
            _array("const uint32_t", "edanas_exp_whole", EXP_WHOLE, "EDANAS_EXP_WHOLE", unsigned=True),
            _array("const uint32_t", "edanas_exp_fraction", EXP_FRACTION, "256", unsigned=True),
            _array(
                "const uint32_t", "edanas_shares", network.decisions.shares, "EDANAS_EXITS", unsigned=True
            ),
        ]
        return f"""\
/* Weights, layers and exits of an early-exit network. C99, generated; do not edit. */
#include "network.h"

#include "decision.h"
#include "kernels.h"
{self.includes}
const edanas_exit edanas_exits[EDANAS_EXITS] = {{
    {exits}
}};

const char *const edanas_classes[EDANAS_CLASSES] = {{
    {classes}
}};

{"".join(shared)}
{"".join(self.constants)}
static int8_t arena[EDANAS_ARENA_BYTES];
static int16_t logits[EDANAS_CLASSES];

#ifdef EDANAS_COUNT
uint32_t edanas_runs[EDANAS_EXITS];
#define EDANAS_RUN(segment) edanas_runs[segment]++
#else
#define EDANAS_RUN(segment) (void)0
#endif

/* Returns 1 if the image leaves at this exit. */
static int leaves(int32_t exit, edanas_result *result)
{{
    result->exit = exit;
    result->logits = logits;
    result->confidence = edanas_decide(logits, exit, &result->label);
    return exit == EDANAS_EXITS - 1 || result->confidence >= edanas_exits[exit].threshold;
}}

{self.signature}
{{
    edanas_begin();
{"".join(bodies)}    return result->label;
}}
"""

    def _segment(self, number: int, segment: IntSegment, begin: str) -> str:
        lines = [f"EDANAS_RUN({number});"] + ([begin] if begin else [])
        for layer in (*segment.body, *segment.head):
            lines += self.layer_calls(layer)
        if number == len(self.network.segments) - 1:
            lines.append(f"(void)leaves({number}, result);")
        else:
            lines += [f"if (leaves({number}, result))", "    return result->label;"]
        return "".join(f"    {line}\n" for line in lines) + "\n"

    def sizes(self) -> dict[str, int]:
        """Return the sizes of a sample by the names of their macros, without `EDANAS_`."""
        pixels = self.network.pixels
        height, width, channels = pixels.height, pixels.width, pixels.output.shape[2]
        return {
            "CHANNELS": channels,
            "IMAGE_WIDTH": width,
            "IMAGE_HEIGHT": height,
            "IMAGE_BYTES": width * height * channels,
        }

    def layer_calls(self, layer: Layer) -> list[str]:
        """Put the constants of a layer, and return the calls that run it."""
        return self._layer(layer)

    def count(self, tensor: Tensor) -> str:
        """Return the number of positions of a tensor as an expression of C."""
        return str(tensor.shape[0] * tensor.shape[1])

    def begin(self) -> str:
        """Put the constants of the preprocessing, and return the call that runs it."""
        pixels = self.network.pixels
        assert isinstance(pixels, Pixels)  # noqa: S101 - for the type checker
        table = self.array("int8_t", "pixels", pixels.table)
        windows = ["0"] * 4
        if pixels.resizes:
            sides = dict(zip(("rows", "columns"), pixels.weights(), strict=True))
            taps = {name: [np.flatnonzero(row) for row in weights] for name, weights in sides.items()}
            spans = {name: [(each[0], each[-1] + 1 - each[0]) for each in taps[name]] for name in taps}
            windows = [self.array("uint16_t", name, np.array(spans[name])) for name in spans]
            windows += [
                self.array(
                    "uint16_t",
                    f"{name}_weights",
                    np.concatenate(
                        [row[a : a + n] for row, (a, n) in zip(sides[name], spans[name], strict=True)]
                    ),
                )
                for name in sides
            ]
        shape = shape_text(pixels.output)
        self.struct(
            "edanas_pixels_layer",
            "pixels_layer",
            [str(pixels.height), str(pixels.width), shape, *windows, table],
        )
        return f"edanas_pixels(&pixels_layer, image, {self.place(pixels.output)});"

    @singledispatchmethod
    def _layer(self, layer: Layer) -> list[str]:
        """Put the constants of a layer, and return the calls that run it."""
        raise NotImplementedError(type(layer).__name__)

    @_layer.register
    def _(self, layer: Conv) -> list[str]:
        (source,) = layer.inputs
        name = layer.output.name
        numbers = [
            *layer.weight.shape[1:3],
            *layer.stride,
            *layer.pad,
            *layer.dilation,
            layer.groups,
            source.zero,
            0 if layer.logits else layer.output.zero,
            layer.low,
            layer.high,
        ]
        values, shifts = zip(*layer.multipliers, strict=True)
        arrays = [
            self.array("int8_t", f"{name}_weights", layer.weight),
            self.array("int32_t", f"{name}_bias", layer.bias),
            self.array("int32_t", f"{name}_multipliers", np.array(values)),
            self.array("uint8_t", f"{name}_shifts", np.array(shifts)),
        ]
        sizes = [shape_text(source), shape_text(layer.output), *map(str, numbers)]
        self.struct("edanas_conv_layer", f"{name}_layer", [*sizes, *arrays])
        if layer.logits:
            return [f"edanas_conv_logits(&{name}_layer, {self.place(source)}, logits);"]
        return [f"edanas_conv(&{name}_layer, {self.place(source)}, {self.place(layer.output)});"]

    @_layer.register
    def _(self, layer: Pool) -> list[str]:
        (source,) = layer.inputs
        name = layer.output.name
        rows, columns = (
            self._windows(f"{name}_{kind}", windows)
            for kind, windows in (("rows", layer.rows), ("columns", layer.columns))
        )
        value, shift = layer.mean or (0, 0)
        numbers = map(str, (source.zero, layer.output.zero, value, shift))
        self.struct(
            "edanas_pool_layer",
            f"{name}_layer",
            [shape_text(source), shape_text(layer.output), *numbers, rows, columns],
        )
        return [f"edanas_pool(&{name}_layer, {self.place(source)}, {self.place(layer.output)});"]

    @_layer.register(Add)
    @_layer.register(Mul)
    def _(self, layer: Add | Mul) -> list[str]:
        first, second = layer.inputs
        name, kind = layer.output.name, "add" if isinstance(layer, Add) else "mul"
        factors = layer.factors if isinstance(layer, Add) else (layer.factor, layer.factor)
        height, width, channels = layer.output.shape
        numbers = [
            *(height * width, second.shape[0] * second.shape[1], channels),
            *(first.zero, second.zero, layer.output.zero, layer.low, layer.high),
            *(factors[0].value, factors[1].value, factors[0].shift),
        ]
        self.struct("edanas_pair_layer", f"{name}_layer", [str(number) for number in numbers])
        places = ", ".join(self.place(each) for each in (first, second, layer.output))
        return [f"edanas_{kind}(&{name}_layer, {places});"]

    @_layer.register
    def _(self, layer: Table) -> list[str]:
        (source,) = layer.inputs
        name, count = layer.output.name, f"{self.count(source)} * {source.shape[2]}"
        if layer.values.dtype == np.int16:
            table = self.array("int16_t", f"{name}_table", layer.values)
            return [f"edanas_table_logits({table}, {count}, {self.place(source)}, logits);"]
        table = self.array("int8_t", f"{name}_table", layer.values)
        return [f"edanas_table({table}, {count}, {self.place(source)}, {self.place(layer.output)});"]

    @_layer.register
    def _(self, layer: Concat) -> list[str]:
        calls, first = [], 0
        channels = layer.output.shape[2]
        for at, (source, values) in enumerate(zip(layer.inputs, layer.tables, strict=True)):
            table = self.array("int8_t", f"{layer.output.name}_table{at}", values)
            numbers = f"{self.count(source)}, {source.shape[2]}, {channels}, {first}"
            calls.append(
                f"edanas_channels({table}, {numbers}, {self.place(source)}, {self.place(layer.output)});"
            )
            first += source.shape[2]
        return calls

    @_layer.register
    def _(self, layer: Pad) -> list[str]:
        (source,) = layer.inputs
        name = layer.output.name
        numbers = map(str, (*layer.pad, layer.output.zero))
        self.struct(
            "edanas_pad_layer", f"{name}_layer", [shape_text(source), shape_text(layer.output), *numbers]
        )
        return [f"edanas_pad(&{name}_layer, {self.place(source)}, {self.place(layer.output)});"]

    def place(self, tensor: Tensor) -> str:
        """Return the address of a tensor as an expression of C."""
        return f"arena + {self.offsets[tensor.name]}"

    def array(self, kind: str, name: str, values: npt.NDArray[np.integer]) -> str:
        """Put an array of constants, and return its name; equal arrays are written once."""
        key = kind, np.ascontiguousarray(values, dtype=np.int64).tobytes()
        if key not in self._names:
            self._names[key] = name
            self.constants.append(
                _array(f"static const {kind}", name, values.ravel().tolist(), str(values.size))
            )
        return self._names[key]

    def _windows(self, name: str, windows: Iterable[tuple[int, int, int]]) -> str:
        values = np.array([tuple(each) for each in windows])
        key = "edanas_window", values.astype(np.int64).tobytes()
        if key not in self._names:
            self._names[key] = name
            body = wrapped(f"{{{a}, {b}, {size}}}" for a, b, size in values.tolist())
            self.constants.append(f"static const edanas_window {name}[{len(values)}] = {{\n{body}\n}};\n")
        return self._names[key]

    def struct(self, kind: str, name: str, fields: Sequence[str]) -> None:
        """Put a structure of constants."""
        self.constants.append(f"static const {kind} {name} = {{\n{wrapped(fields)}\n}};\n")


def _array(kind: str, name: str, values: Iterable[int], size: str, *, unsigned: bool = False) -> str:
    body = wrapped(f"UINT32_C({value})" if unsigned else str(value) for value in values)
    return f"{kind} {name}[{size}] = {{\n{body}\n}};\n"


def wrapped(items: Iterable[str]) -> str:
    """Return items with commas, in lines of at most 110 characters."""
    return textwrap.fill(
        ", ".join(items), 110, initial_indent="    ", subsequent_indent="    ", break_long_words=False
    )


def shape_text(tensor: Tensor) -> str:
    """Return the shape of a tensor as a structure of C."""
    return "{" + ", ".join(str(size) for size in tensor.shape) + "}"


def _macro(name: str) -> str:
    return name.upper().replace("-", "_")
