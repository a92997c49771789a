"""Export of finished networks to files of other formats, with a check of each written file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edanas.core.contracts import Exporter
from edanas.core.errors import ConfigError, RunError
from edanas.core.finite import check_finite
from edanas.core.machine import user_path
from edanas.data.passed_data import data_name
from edanas.deploy.export_check import Check, export_checked
from edanas.model.eenn import EENN
from edanas.model.labelled_samples import read_two_parts
from edanas.model.loading import load
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry

_KIND, _NAME = "exporter", "eenn"


@dataclass(frozen=True)
class Exported:
    """The files that one exporter wrote for a network.

    Args:
        name: Name of the exporter.
        files: Paths of the written files; the first is the file to open.
        check: Result of the comparison with the network; `None` for files that edanas cannot run.
        summary: A sentence about the files by the exporter; may be empty.

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
    data: Any = None,
    *,
    skip_unreadable: bool = False,
) -> list[Exported]:
    """Write a finished network to files of other formats, and check that the files match the network.

    Args:
        model: A network, or the path of its `.safetensors` or `.json` file. The written files have the name
            of that file; for a network their name is `eenn`.
        to: Name of an exporter, or several names; `onnx` by default.
        out: Folder for the written files, created if it is missing. By default the folder of the model's
            file or, for a network, the current folder.
        data: Labelled images for the check and for the scales of 8-bit quantization, in any form that
            `edanas.search` takes. By default the data of the run in whose folder the model's file lies.
        skip_unreadable: Skip files of a folder that cannot be read as images; by default they are an error.

    Returns:
        The written files of each exporter, in the order of `to`.

    Raises:
        ConfigError: An exporter is unknown, its package is not installed, or no images are available.
        DataError: The images cannot be read, or do not fit the network.
        WeightsError: The network cannot be loaded, or holds weights that are not finite.
        ExportError: The network cannot be written in this format, or the files do not match the network.
        RunError: Files cannot be written to the folder.

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
        raise ConfigError(
            f"exports: found no exporter; allowed: one or more of {', '.join(registry.names(_KIND))}"
        )
    path = None if isinstance(model, EENN) else Path(model)
    network = model if isinstance(model, EENN) else load(model)
    check_finite(network.state_dict(), "the network")
    stem = _output_folder(path, out) / (_NAME if path is None else path.with_suffix("").name)
    images = None
    if any(exporter.runs or exporter.needs_images for exporter in exporters.values()):
        name = None if data is None else data_name(data)
        calibration, validation = read_two_parts(
            registry, network, path, name, skip_unreadable=skip_unreadable
        )
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
    """Return the folder for the written files, after creating it; see `export`."""
    folder = (model.absolute().parent if model else Path()) if out is None else user_path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be created as a folder: {error.strerror or error}") from error
    return folder
