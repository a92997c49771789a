"""Programs that run exported `.tflite` files: a loop in Python, and one in C++ for microcontrollers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas.deploy import run_litert, run_onnx

_IMPORT = "from edanas.deploy.run_onnx import"
_MAIN = '\n\nif __name__ == "__main__":'
_PER_LINE = 20

_METHODS = {
    "ADD": "AddAdd",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "CONCATENATION": "AddConcatenation",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "FULLY_CONNECTED": "AddFullyConnected",
    "HARD_SWISH": "AddHardSwish",
    "LOGISTIC": "AddLogistic",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MINIMUM": "AddMinimum",
    "MUL": "AddMul",
    "PAD": "AddPad",
    "PADV2": "AddPadV2",
    "RELU": "AddRelu",
    "RELU6": "AddRelu6",
    "RESHAPE": "AddReshape",
    "SLICE": "AddSlice",
    "TANH": "AddTanh",
    "TRANSPOSE": "AddTranspose",
}
"""Methods of TensorFlow Lite for Microcontrollers that register operators."""


def host_programs(form: str, name: str) -> dict[str, bytes]:
    """Return the programs by the names of their files.

    Args:
        form: Format of the manifest.
        name: Name of the files without ending.
    """
    program = Path(__file__).with_name("litert_host.cc").read_text(encoding="utf-8")
    return {
        f"{name}.run_litert.py": python_program(form).encode(),
        f"{name}.cc": program.replace("NETWORK_HEADER", f"{name}.h").encode(),
    }


def python_program(form: str) -> str:
    """Return a Python program for manifests of a format; it stands alone."""
    general = Path(run_onnx.__file__).read_text(encoding="utf-8")
    own = Path(run_litert.__file__).read_text(encoding="utf-8")
    docstring, rest = own.split('"""\n', 1)
    # The general program comes first, without its docstring and the call of its main function.
    body = general.split('"""\n', 1)[1].split(_MAIN)[0]
    lines = [line for line in rest.splitlines() if not line.startswith(_IMPORT)]
    text = "\n".join(lines).replace(f'FORMAT, VERSION = "{run_litert.FORMAT}"', f'FORMAT, VERSION = "{form}"')
    return f'{docstring}"""\n{body}\n\n{text}\n'


def header(manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> str:
    """Return a C++ header with the `.tflite` files as arrays, and the numbers of the manifest."""
    segments: Sequence[Mapping[str, Any]] = manifest["segments"]
    criterion, rule = manifest["criterion"], manifest["inference"]
    shares = [rule["numbers"][each["point"]] if rule["numbers"] else 1.0 for each in segments]
    operators = sorted({method for content in contents.values() for method in _registrations(content)})
    arrays = [
        f"alignas(16) constexpr unsigned char kSegment{number}[] = {{\n{_bytes(content)}\n}};"
        for number, content in enumerate(contents.values(), 1)
    ]
    rows = [
        f"    {{kSegment{number}, {_number(each['threshold'])}, {each['exit']}, {each['body_macs']}, "
        f"{each['head_macs']}}},"
        for number, each in enumerate(segments, 1)
    ]
    series = manifest.get("preprocessing", {}).get("series", False)
    plain = [0.0] * manifest["channels"], [1.0] * manifest["channels"]
    means, deviations = (
        list(map(_number, values)) for values in ((manifest["mean"], manifest["std"]) if series else plain)
    )
    names = ", ".join(_text(name) for name in manifest["classes"])
    return "\n".join(
        [
            "// Written by edanas. The network as arrays, for NAME.cc.",
            "#pragma once",
            "#include <cstdint>",
            "",
            '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"',
            "",
            "namespace network {",
            "",
            *arrays,
            "",
            "struct Segment {",
            "  const unsigned char* model;",
            "  float threshold;  // smallest confidence at which a sample exits; negative: always",
            "  int exit;         // number of the exit point, from 0",
            "  long body_macs;   // multiply-adds of the stages",
            "  long head_macs;   // multiply-adds of the exit",
            "};",
            "",
            f"constexpr int kSegments = {len(segments)};",
            "constexpr Segment kSegment[kSegments] = {",
            *rows,
            "};",
            "",
            f"constexpr int kClasses = {len(manifest['classes'])};",
            f"constexpr const char* kClassNames[kClasses] = {{{names}}};",
            f"constexpr int kWidth = {manifest['resolution']};",
            f"constexpr int kHeight = {1 if series else manifest['resolution']};",
            f"constexpr int kChannels = {manifest['channels']};",
            f"using Value = {'float' if series else 'uint8_t'};  // of a sample",
            "// Series are normalised with these numbers; the network itself normalises images.",
            f"constexpr float kMean[kChannels] = {{{', '.join(means)}}};",
            f"constexpr float kDeviation[kChannels] = {{{', '.join(deviations)}}};",
            "// Bytes of memory: the sum of what the segments take on a machine of 64 bits.",
            f"constexpr int kArena = {sum(each['arena'] for each in segments) + 1024};",
            "",
            "enum class Criterion { kScoreMargin, kMaxProbability, kEntropy, kPatience };",
            f"constexpr Criterion kCriterion = Criterion::{_constant(criterion['name'])};",
            f"constexpr float kAgreeing = {_number(next(iter(criterion['numbers']), 1.0))};",
            "enum class Rule { kEarlyStop, kMeanProbability, kMeanLogit };",
            f"constexpr Rule kRule = Rule::{_constant(rule['name'])};",
            f"constexpr float kShares[kSegments] = {{{', '.join(map(_number, shares))}}};",
            "",
            f"using Resolver = tflite::MicroMutableOpResolver<{len(operators)}>;",
            "inline void RegisterOperators(Resolver* resolver) {",
            *(f"  resolver->{method}();" for method in operators),
            "}",
            "",
            "}  // namespace network",
            "",
        ]
    )


def _registrations(content: bytes) -> list[str]:
    """Return the methods that register the operators of a `.tflite` file."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    model = schema.Model.GetRootAsModel(content, 0)
    codes = (model.OperatorCodes(at).BuiltinCode() for at in range(model.OperatorCodesLength()))
    return [_METHODS[names[code]] for code in codes]


def _bytes(content: bytes) -> str:
    rows = (content[at : at + _PER_LINE] for at in range(0, len(content), _PER_LINE))
    return "\n".join("  " + ",".join(map(str, row)) + "," for row in rows)


def _number(value: float | None) -> str:
    """Return a float constant of C++; -1 for no threshold."""
    text = repr(float(-1.0 if value is None else value))
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def _constant(name: str) -> str:
    return "k" + "".join(word.capitalize() for word in name.split("-"))


def _text(name: str) -> str:
    """Return a string constant of C++ in UTF-8, with every unusual byte as an octal escape."""
    plain = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in name.encode("utf-8", "backslashreplace")
    )
    return f'"{plain}"'
