"""Exporter of a C header with a network's thresholds, for programs on microcontrollers."""

import hashlib
import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edanas.core.contracts import ExitNetwork, Exporter
from edanas.core.hookspecs import hookimpl
from edanas.core.runfolder import replace_file
from edanas.deploy.manifest import check_folder
from edanas.deploy.safetensors_export import weights_bytes
from edanas.deploy.segments import part_macs


class CHeaderExporter(Exporter):
    """Exporter of a C99 header: thresholds, multiply-adds, class names and pixel statistics of a network.

    The header holds neither layers nor weights, which another exporter writes. A C program runs the layers
    and compares the confidence of each exit with the header's threshold.
    """

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write the header to `stem`.h, and return its path.

        Raises:
            RunError: The folder is missing or not writable.
            CostError: The multiply-adds of a stage or a head cannot be counted.
        """
        check_folder(stem)
        path = stem.with_name(f"{stem.name}.h")
        replace_file(path, header(network, stem.name).encode("ascii"))
        return [path]


def header(network: ExitNetwork, name: str) -> str:
    """Return the text of the C header.

    Args:
        network: An EENN.
        name: The first part of all identifiers in the header. Each character that C does not allow in
            identifiers becomes `_`.

    Raises:
        CostError: The multiply-adds of a stage or a head cannot be counted.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> header(toy_network(), "toy").splitlines()[0]
        '/* Exits of an early-exit network. C99, generated; do not edit.'
    """
    prefix = re.sub(r"\W", "_", name, flags=re.ASCII).lower()
    prefix = f"n{prefix}" if prefix[:1].isdigit() else prefix
    upper = prefix.upper()
    rows = _rows(network)
    width, height = network.image_size or (network.resolution, network.resolution)
    table = ",\n    ".join(rows)
    mean, std = (_floats(values) for values in (network.mean, network.std))
    names = ",\n    ".join(text_literal(each) for each in network.classes)
    return f"""\
/* Exits of an early-exit network. C99, generated; do not edit.
 *
{_reader_comments(network)}
 */
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#define {upper}_EXITS {len(rows)} /* number of exits: the placed exits and the last exit */
#define {upper}_EXIT_POINTS {network.exit_points}
#define {upper}_CLASSES {len(network.classes)}
#define {upper}_CHANNELS {len(network.mean)}
#define {upper}_RESOLUTION {network.resolution} /* pixels, height and width */
#define {upper}_IMAGE_WIDTH {width} /* images are resized to this size first, rounded to 8 bits, */
#define {upper}_IMAGE_HEIGHT {height} /* then bilinearly to the resolution */
#define {upper}_WEIGHTS_SHA256 "{hashlib.sha256(weights_bytes(network)).hexdigest()}"

/* The exits in the order in which they run. Multiply-adds (macs) are for one image. */
static const struct {{
    int32_t exit_point;     /* from 0; {upper}_EXIT_POINTS for the last exit */
    float threshold;        /* the exit fires at this confidence or higher; the last exit always fires */
    uint64_t body_macs;     /* of the layers from the previous exit, or the image, to this exit */
    uint64_t head_macs;     /* of this exit's head */
    uint64_t executed_macs; /* total of an image that exits here */
}} {prefix}_exits[{upper}_EXITS] = {{
    {table}
}};

static const char *const {prefix}_classes[{upper}_CLASSES] = {{
    {names}
}};

/* Pixels in [0, 1] are normalised by channel: (pixel - mean) / std. */
static const float {prefix}_mean[{upper}_CHANNELS] = {{{mean}}};
static const float {prefix}_std[{upper}_CHANNELS] = {{{std}}};

/* 1 if the exit of this row fires, else 0. No exit but the last fires at a confidence of NaN. */
static inline int {prefix}_leaves(int row, float confidence)
{{
    return row == {upper}_EXITS - 1 || confidence >= {prefix}_exits[row].threshold;
}}

#endif
"""


def _reader_comments(network: ExitNetwork) -> str:
    """Return lines of a C comment that describe the confidence criterion and the inference rule."""
    lines = []
    for label, key, reader in (
        ("Confidence", "criterion", network.criterion),
        ("Prediction", "inference", network.inference),
    ):
        component = network.description.get(key) or {"name": type(reader).__name__, "options": {}}
        options = ", ".join(f"{name} = {value}" for name, value in component["options"].items())
        summary = (inspect.getdoc(type(reader)) or "").split("\n\n")[0]
        text = f"{label}: {component['name']}{f' ({options})' if options else ''}. {summary}"
        if reader.memory:
            text += " It depends on the outputs of earlier exits, too."
        plain = text.encode("ascii", "replace").decode().replace("*/", "* /")
        lines += textwrap.wrap(plain, 96, initial_indent=" * ", subsequent_indent=" *     ")
    return "\n".join(lines)


def _rows(network: ExitNetwork) -> list[str]:
    stages, heads = part_macs(network)
    rows, begin, executed = [], 0, 0
    for at in (*network.scheme.placed, network.exit_points):
        body, head = sum(stages[begin : at + 1]), heads[at]
        begin, executed = at + 1, executed + body + head
        threshold = network.scheme.thresholds[at] if at < network.exit_points else 0.0
        macs = ", ".join(f"UINT64_C({value})" for value in (body, head, executed))
        rows.append(f"{{{at}, {_floats([threshold or 0.0])}, {macs}}}")
    return rows


def _floats(values: Sequence[float]) -> str:
    """Return C literals with nine digits, from which C reads the same float32 values."""
    digits = [f"{np.float32(value):.9g}" for value in values]
    return ", ".join(f"{each}f" if set(each) & set(".e") else f"{each}.0f" for each in digits)


def text_literal(name: str) -> str:
    """Return a C string literal in UTF-8. It escapes question marks, since `??` begins a trigraph of C."""
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in name.encode()) + '"'


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """Register the exporter `c-header`."""
    return {"c-header": CHeaderExporter}
