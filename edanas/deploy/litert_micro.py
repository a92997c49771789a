"""TensorFlow Lite for Microcontrollers in Python: exported networks in its interpreter, and their memory."""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edanas.core.errors import ExportError
from edanas.deploy.run_litert import LitertNetwork, Values, real, stored

_LEAST_ARENA = 1 << 20
_ARENA_FACTOR = 24
"""Bytes of memory for each byte of a file, which is far more than the interpreter needs."""


class MicroNetwork(LitertNetwork):
    """An exported network in the interpreter for microcontrollers.

    Args:
        manifest: The manifest.
        form: The format that the manifest states.
    """

    def __init__(self, manifest: Path, form: str) -> None:
        self.form = form
        super().__init__(manifest)

    def _open(self, content: bytes, threads: int, providers: Sequence[str]) -> Callable[[Values], Any]:
        interpreter = _interpreter(content)
        source = interpreter.get_input_details(0)
        outputs = _output_count(content)
        before, after = _scale_and_zero(source), _scale_and_zero(interpreter.get_output_details(outputs - 1))

        def run(features: Values) -> tuple[Values, Values]:
            interpreter.set_input(stored(features, source["dtype"], *before), 0)
            interpreter.invoke()
            return interpreter.get_output(0), real(interpreter.get_output(outputs - 1), *after)

        return run


def arena_bytes(content: bytes) -> int:
    """Return the bytes of memory that the interpreter takes for a `.tflite` file, its bookkeeping included.

    The bookkeeping is that of a machine with addresses of 64 bits, so a microcontroller needs less.

    Raises:
        ExportError: The interpreter cannot run the file.
    """
    interpreter = _interpreter(content)
    # The interpreter prints the figure to the error output, and has no other way to report it.
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(before, 2)
            os.close(before)
        file.seek(0)
        text = file.read().decode(errors="replace")
    total = re.search(r"Arena allocation total (\d+) bytes", text)
    if total is None:
        raise ExportError(f"the interpreter for microcontrollers reports no memory, but: {text[:200]}")
    return int(total[1])


def _interpreter(content: bytes) -> Any:
    from tflite_micro.python.tflite_micro import runtime

    try:
        return runtime.Interpreter.from_bytes(content, arena_size=_LEAST_ARENA + _ARENA_FACTOR * len(content))
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ExportError(f"the interpreter for microcontrollers rejects the network: {text}") from error


def _scale_and_zero(tensor: Any) -> tuple[float, int]:
    details = tensor["quantization_parameters"]
    pairs = zip(details["scales"], details["zero_points"], strict=True)
    return next(((float(scale), int(zero)) for scale, zero in pairs), (0.0, 0))


def _output_count(content: bytes) -> int:
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAsModel(content, 0).Subgraphs(0)
    return int(graph.OutputsLength())
