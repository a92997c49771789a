"""ONNX with 8-bit integers, by onnxruntime's static quantisation: scales from real images."""

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
"""Calibration images that are used, at most."""

_BATCH = 32


class OnnxInt8Exporter(Exporter):
    """As `onnx`, quantised to 8 bits by onnxruntime with images of the calibration part.

    Thresholds stay those of the network in floats. What it costs in accuracy is measured on the validation
    part, and written into the manifest with the sizes of both.
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
        """Write the files of `onnx`, with `.int8` behind `stem`.

        Raises:
            ExportError: `prepare` had no images, or onnxruntime cannot quantise the network.
        """
        check_folder(stem)
        calibration, validation = self._calibration, self._validation
        if calibration is None or validation is None or not (len(calibration) and len(validation)):
            raise ExportError(
                f"{stem.name}: `onnx-int8` needs images to set its scales by, and got none; give labelled "
                "images, e.g. `edanas export MODEL --to onnx-int8 --data FOLDER`"
            )
        images = calibration.images[:IMAGES].numpy()
        made = segment_graphs(network)
        try:
            whole = quantised_graphs(made, images)
        except Exception as error:
            text = " ".join(str(error).split())[:300]
            raise ExportError(
                f"onnxruntime cannot quantise the network: {type(error).__name__}: {text}"
            ) from error
        stem = stem.with_name(f"{stem.name}.int8")
        accuracy = _accuracies(network, validation, {"float32": made, "int8": whole})
        sizes = {"float32": _size(made), "int8": _size(whole)}
        figures = {"calibration_images": len(images), "accuracy": accuracy, "bytes": sizes}
        return write_graphs(network, stem, whole, {"int8": figures})

    def open(self, path: Path, threads: int = 1) -> Runner:
        """As `onnx`."""
        return OnnxRunner(path, threads)

    def summary(self, path: Path) -> str:
        """Accuracy and size, before and after."""
        found = json.loads(path.read_text(encoding="utf-8"))["int8"]
        accuracy, size = found["accuracy"], found["bytes"]
        return (
            f"int8: accuracy {accuracy['int8']:.2%} (float32: {accuracy['float32']:.2%}) on "
            f"{accuracy['images']} validation images, {size['int8'] / 1e6:.2f} MB "
            f"(float32: {size['float32'] / 1e6:.2f} MB), scales from {found['calibration_images']} images"
        )


def _accuracies(
    network: ExitNetwork, samples: ImageSet, forms: Mapping[str, Sequence[Graphs]]
) -> dict[str, float | int]:
    """Of each form, with the exits that it takes; and of how many images."""
    asked, right = samples.images.numpy(), samples.labels.numpy()
    found: dict[str, float | int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, form in forms.items():
            runner = OnnxRunner(write_graphs(network, Path(folder) / name, form)[0])
            labels = [runner.predict(asked[at : at + _BATCH])[0] for at in range(0, len(asked), _BATCH)]
            found[name] = float((np.concatenate(labels) == right).mean())
    return {**found, "images": len(asked)}


def quantised_graphs(made: Sequence[Graphs], images: npt.NDArray[np.uint8]) -> list[Graphs]:
    """Convolutions and matrix products in 8 bits, weights by channel; all else stays in floats.

    Args:
        made: What `graphs` gives.
        images: (B, C, H, W); every segment's scales are set by all of them, also by those that would leave.
    """
    found = []
    features: Any = images
    said: list[npt.NDArray[Any]] = []
    for segment, body, head in made:
        body8 = _quantised(body, features)
        (features,) = _run(body, features)
        found.append(Graphs(segment, body8, _quantised(head, features, *said)))
        said += _run(head, features, *said)[2:]
    return found


def _quantised(model: Any, *inputs: npt.NDArray[Any]) -> Any:
    import onnx
    from onnx import shape_inference
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    if not {node.op_type for node in model.graph.node} & set(_OPERATORS):
        return model
    with tempfile.TemporaryDirectory() as folder, _quiet():
        before, after = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        replace_file(before, model_bytes(shape_inference.infer_shapes(model)))
        quantize_static(
            before,
            after,
            _Reader(_named(model, inputs)),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_OPERATORS),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
        )
        made = onnx.load(after)
    made.graph.ClearField("value_info")
    for field in ("producer_name", "producer_version", "metadata_props"):
        made.ClearField(field)
    return made


_OPERATORS = ("Conv", "Gemm", "MatMul")


class _Reader:
    """Batches of inputs, as onnxruntime's calibrator takes them."""

    def __init__(self, batches: Iterable[dict[str, Any]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, or `None`."""
        return next(self._batches, None)


def _named(model: Any, inputs: Sequence[npt.NDArray[Any]]) -> list[dict[str, Any]]:
    """A model's inputs by name, in batches."""
    starts = range(0, len(inputs[0]), _BATCH)
    names = [each.name for each in model.graph.input]
    return [{name: each[at : at + _BATCH] for name, each in zip(names, inputs, strict=True)} for at in starts]


def _run(model: Any, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """What a model gives for all samples."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model_bytes(model), options, providers=["CPUExecutionProvider"])
    answers = [session.run(None, batch) for batch in _named(model, inputs)]
    return [np.concatenate(each) for each in zip(*answers, strict=True)]


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises to optimise the graph first; it has no BatchNorm left to fold."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)


def _size(made: Sequence[Graphs]) -> int:
    """Bytes of all graphs."""
    return sum(len(model_bytes(model)) for _, *models in made for model in models)


@hookimpl
def edanas_exporters() -> dict[str, Callable[..., Exporter]]:
    """The exporter `onnx-int8`."""
    return {"onnx-int8": OnnxInt8Exporter}
