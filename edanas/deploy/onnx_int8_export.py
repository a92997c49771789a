"""Exporter of ONNX files with 8-bit integers, by onnxruntime's static quantisation on real images."""

import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import ExitNetwork, Exporter, Runner
from edanas.core.errors import ExportError
from edanas.core.hookspecs import hookimpl
from edanas.core.optional_packages import import_optional
from edanas.core.runfolder import replace_file
from edanas.core.types import ImageSet
from edanas.deploy.manifest import check_folder
from edanas.deploy.onnx_export import OnnxRunner, write_graphs
from edanas.deploy.onnx_graphs import Graphs, model_bytes, segment_graphs

IMAGES = 256
"""The largest number of images that set the scales of the quantisation."""

_BATCH = 32


class OnnxInt8Exporter(Exporter):
    """Exporter of the files of `onnx` with convolutions and matrix products in 8-bit integers.

    Images of the calibration part set the scales of the quantisation. The thresholds do not change. The
    manifest holds the accuracies on the validation part and the sizes, before and after quantisation.
    """

    exact = False
    ending = ".int8.onnx.json"

    def __init__(self) -> None:
        import_optional("exports", "onnx-int8", "onnx", "onnx", "onnxruntime.quantization", "onnxscript")
        self._calibration: ImageSet | None = None
        self._validation: ImageSet | None = None

    def prepare(self, calibration: ImageSet, validation: ImageSet) -> None:
        """See `Exporter.prepare`."""
        self._calibration, self._validation = calibration, validation

    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write the files of `OnnxExporter.export` for the stem `stem`.int8, and return their paths.

        Raises:
            RunError: The folder is missing or not writable.
            ExportError: `prepare` was not called or received no images, or onnxruntime cannot quantise the
                network.
        """
        check_folder(stem)
        calibration, validation = self._calibration, self._validation
        if calibration is None or validation is None or not (len(calibration) and len(validation)):
            raise ExportError(
                f"{stem.name}: found no samples; `onnx-int8` requires labelled samples for quantisation, "
                "e.g. `edanas export MODEL --to onnx-int8 --data FOLDER`"
            )
        images = calibration.images[:IMAGES].numpy()
        graphs = segment_graphs(network)
        try:
            int8 = quantised_graphs(graphs, images)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise ExportError(
                f"onnxruntime cannot quantise the network: {type(error).__name__}: {text}"
            ) from error
        stem = stem.with_name(f"{stem.name}.int8")
        accuracy = _accuracies(network, validation, {"float32": graphs, "int8": int8})
        sizes = {"float32": _size(graphs), "int8": _size(int8)}
        figures = {"calibration_images": len(images), "accuracy": accuracy, "bytes": sizes}
        return write_graphs(network, stem, int8, {"int8": figures})

    def open(self, path: Path, threads: int = 1) -> Runner:
        """See `OnnxExporter.open`."""
        return OnnxRunner(path, threads)

    def summary(self, path: Path) -> str:
        """Return a line with accuracy and size before and after quantisation; `path` is the manifest."""
        figures = json.loads(path.read_text(encoding="utf-8"))["int8"]
        accuracy, size = figures["accuracy"], figures["bytes"]
        return (
            f"int8: accuracy {accuracy['int8']:.2%} (float32: {accuracy['float32']:.2%}) on "
            f"{accuracy['images']} validation samples, {size['int8'] / 1e6:.2f} MB "
            f"(float32: {size['float32'] / 1e6:.2f} MB), scales from {figures['calibration_images']} samples"
        )


def _accuracies(
    network: ExitNetwork, samples: ImageSet, forms: Mapping[str, Sequence[Graphs]]
) -> dict[str, float | int]:
    """Return the accuracy of each exported form of a network on labelled images.

    Args:
        network: The original network.
        samples: The labelled images.
        forms: The graphs of each form by its name: `float32` and `int8`.

    Returns:
        The accuracy of each form by its name, and the number of images under the key `images`.
    """
    images, expected = samples.images.numpy(), samples.labels.numpy()
    accuracies: dict[str, float | int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, form in forms.items():
            runner = OnnxRunner(write_graphs(network, Path(folder) / name, form)[0])
            labels = [runner.predict(images[at : at + _BATCH])[0] for at in range(0, len(images), _BATCH)]
            accuracies[name] = float((np.concatenate(labels) == expected).mean())
    return {**accuracies, "images": len(images)}


def quantised_graphs(graphs: Sequence[Graphs], images: npt.NDArray[np.uint8]) -> list[Graphs]:
    """Return graphs with convolutions and matrix products in 8-bit integers; other operators stay in floats.

    Weights have one scale for each output channel.

    Args:
        graphs: The result of `segment_graphs`.
        images: Images (B, C, H, W) uint8. All images set the scales of all segments, also of segments after
            the exits that they take.
    """
    quantised = []
    features: Any = images
    memory: list[npt.NDArray[Any]] = []
    for segment, body, head in graphs:
        int8_body = _quantised(body, features)
        (features,) = _run(body, features)
        quantised.append(Graphs(segment, int8_body, _quantised(head, features, *memory)))
        memory += _run(head, features, *memory)[2:]
    return quantised


def _quantised(model: Any, *inputs: npt.NDArray[Any]) -> Any:
    import onnx
    from onnx import shape_inference
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    if not {node.op_type for node in model.graph.node} & set(_OPERATORS):
        return model
    with tempfile.TemporaryDirectory() as folder, _errors_only():
        before, after = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        replace_file(before, model_bytes(shape_inference.infer_shapes(model)))
        quantize_static(
            before,
            after,
            _BatchReader(_named_batches(model, inputs)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_OPERATORS),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        quantised = onnx.load(after)
    quantised.graph.ClearField("value_info")
    for field in ("producer_name", "producer_version", "metadata_props"):
        quantised.ClearField(field)
    return quantised


_OPERATORS = ("Conv", "Gemm", "MatMul")


class _BatchReader:
    """Batches of inputs with the interface that onnxruntime's quantiser requires."""

    def __init__(self, batches: Iterable[dict[str, Any]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        """Return the next batch, or `None` at the end."""
        return next(self._batches, None)


def _named_batches(model: Any, inputs: Sequence[npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """Return batches of a model's inputs; a batch holds the arrays by the names of the inputs."""
    starts = range(0, len(inputs[0]), _BATCH)
    names = [each.name for each in model.graph.input]
    return [{name: each[at : at + _BATCH] for name, each in zip(names, inputs, strict=True)} for at in starts]


def _run(model: Any, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Return a model's outputs for all samples, one array for each output."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model_bytes(model), options, providers=["CPUExecutionProvider"])
    outputs = [session.run(None, batch) for batch in _named_batches(model, inputs)]
    return [np.concatenate(each) for each in zip(*outputs, strict=True)]


@contextmanager
def _errors_only() -> Iterator[None]:
    """Hide log messages below errors, since the quantiser advises an optimisation that is already done."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)


def _size(graphs: Sequence[Graphs]) -> int:
    """Return the total size of all graphs in bytes."""
    return sum(len(model_bytes(model)) for _, *models in graphs for model in models)


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """Register the exporter `onnx-int8`."""
    return {"onnx-int8": OnnxInt8Exporter}
