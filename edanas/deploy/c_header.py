"""Exporter of a C header, for a host loop on a microcontroller."""

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
    """Exporter of a C99 header: thresholds, multiply-adds by exit, class names, and pixel statistics.

    Another exporter writes the network itself; the header holds the conditions for stopping at an exit.
    """

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write `stem`.h, whose identifiers begin with the name of `stem`, as far as C allows."""
        check_folder(stem)
        path = stem.with_name(f"{stem.name}.h")
        replace_file(path, header(network, stem.name).encode("ascii"))
        return [path]


def header(network: ExitNetwork, name: str) -> str:
    """Return the header's text.

    Args:
        network: An EENN.
        name: The beginning of its identifiers.

    Raises:
        CostError: The multiply-adds of a part cannot be counted.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> header(toy_network(), "toy").splitlines()[0]
        '/* Exits of an early-exit network. C99, generated; do not edit.'
    """
    prefix = re.sub(r"\W", "_", name, flags=re.ASCII).lower()
    prefix = f"n{prefix}" if prefix[:1].isdigit() else prefix
    upper = prefix.upper()
    rows = _rows(network)
    table = ",\n    ".join(rows)
    mean, std = (_floats(values) for values in (network.mean, network.std))
    names = ",\n    ".join(_text(each) for each in network.classes)
    return f"""\
/* Exits of an early-exit network. C99, generated; do not edit.
 *
{_reader_comments(network)}
 */
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#define {upper}_EXITS {len(rows)} /* the placed exits and the last one */
#define {upper}_EXIT_POINTS {network.exit_points}
#define {upper}_CLASSES {len(network.classes)}
#define {upper}_CHANNELS {len(network.mean)}
#define {upper}_RESOLUTION {network.resolution} /* pixels, height and width */
#define {upper}_WEIGHTS_SHA256 "{hashlib.sha256(weights_bytes(network)).hexdigest()}"

/* In the order in which they run. Multiply-adds are those of one image. */
static const struct {{
    int32_t exit_point;     /* from 0; {upper}_EXIT_POINTS for the last exit */
    float threshold;        /* the exit fires at this confidence or more; the last one always */
    uint64_t body_macs;     /* from the exit before, or the image, up to this exit's head */
    uint64_t head_macs;
    uint64_t executed_macs; /* of an image that exits here, in all */
}} {prefix}_exits[{upper}_EXITS] = {{
    {table}
}};

static const char *const {prefix}_classes[{upper}_CLASSES] = {{
    {names}
}};

/* Pixels in [0, 1] are normalised by channel: (pixel - mean) / std. */
static const float {prefix}_mean[{upper}_CHANNELS] = {{{mean}}};
static const float {prefix}_std[{upper}_CHANNELS] = {{{std}}};

/* 1 if the exit of this row fires, else 0; it does not fire if the confidence is not a number. */
static inline int {prefix}_leaves(int row, float confidence)
{{
    return row == {upper}_EXITS - 1 || confidence >= {prefix}_exits[row].threshold;
}}

#endif
"""


def _reader_comments(network: ExitNetwork) -> str:
    """Describe the confidence criterion and the inference rule, as lines of a comment."""
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
    """Return C literals with nine digits, which round-trip a float32."""
    digits = [f"{np.float32(value):.9g}" for value in values]
    return ", ".join(f"{each}f" if set(each) & set(".e") else f"{each}.0f" for each in digits)


def _text(name: str) -> str:
    """Return a C string literal in UTF-8; question marks are escaped, since two begin a trigraph."""
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in name.encode()) + '"'


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """Return the exporter `c-header`."""
    return {"c-header": CHeaderExporter}
