"""Export of finished networks in other forms, each checked right after it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edanas.core.contracts import Exporter
from edanas.core.errors import ConfigError, RunError
from edanas.deploy.export_check import Check, export_checked
from edanas.model.eenn import EENN
from edanas.model.labelled_samples import read_two_parts
from edanas.model.loading import load
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry

_KIND, _NAME = "exporter", "eenn"


@dataclass(frozen=True)
class Exported:
    """One exported form of a network.

    Args:
        name: The exporter's name.
        files: The written files, the one to open first.
        check: The result of its check; `None` for a form that does not run here.
        summary: A sentence of the exporter, or empty.

    Example:
        >>> Exported("onnx", (Path("eenn.onnx.json"),), None, "").files[0].name
        'eenn.onnx.json'
    """

    name: str
    files: tuple[Path, ...]
    check: Check | None
    summary: str


def export(
    model: str | Path | EENN,
    to: str | Sequence[str] = ("onnx",),
    out: str | Path | None = None,
    data: str | Path | None = None,
) -> list[Exported]:
    """Write a finished network in other forms, and check that they match the network.

    Args:
        model: A network's `.safetensors` or `.json` file, whose name the files get; or a network, whose files
            are named `eenn`.
        to: Names of exporters, or one name.
        out: The folder to write to, created if it is missing. By default the model's own, or for a network
            the current folder.
        data: Labelled images for the check, and for the scales of 8-bit integers: the name of a data set, or
            the path of a folder of class folders. By default the data of the run in whose folder the file
            lies.

    Raises:
        ConfigError: The exporter is unknown, its package is not installed, or there are no images.
        DataError: The images cannot be read, or do not fit the network.
        WeightsError: The network cannot be loaded.
        ExportError: The network cannot be put into this form, or the form does not match the network.
        RunError: The folder cannot be written to.

    Example:
        >>> import tempfile
        >>> from edanas.testing.evaluations import toy_network
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     exported = export(toy_network(), "safetensors", folder)
        >>> [file.name for file in exported[0].files]
        ['eenn.json', 'eenn.safetensors']
    """
    registry = Registry(load_plugins())
    exporters = {
        name: _exporter(registry, name) for name in dict.fromkeys([to] if isinstance(to, str) else to)
    }
    if not exporters:
        raise ConfigError(f"exports: found none; allowed: {', '.join(registry.names(_KIND))}")
    path = None if isinstance(model, EENN) else Path(model)
    network = model if isinstance(model, EENN) else load(model)
    stem = _output_folder(path, out) / (_NAME if path is None else path.with_suffix("").name)
    images = None
    if any(exporter.runs for exporter in exporters.values()):
        calibration, validation = read_two_parts(registry, network, path, None if data is None else str(data))
        images = calibration.images
        for exporter in exporters.values():
            exporter.prepare(calibration, validation)
    forms = []
    for name, exporter in exporters.items():
        if images is None:
            files, check = exporter.export(network, stem), None
        else:
            files, check = export_checked(exporter, network, stem, images)
        forms.append(Exported(name, tuple(files), check, exporter.summary(files[0]) if files else ""))
    return forms


def _exporter(registry: Registry, name: str) -> Exporter:
    exporter: Exporter = registry.create(_KIND, name)
    return exporter


def _output_folder(model: Path | None, out: str | Path | None) -> Path:
    folder = (model.absolute().parent if model else Path()) if out is None else Path(out).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: is no folder to write to: {error.strerror or error}") from error
    return folder
