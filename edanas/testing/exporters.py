"""The conformance suite for exporters."""

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edanas.core.contracts import ExitNetwork, Exporter
from edanas.core.errors import EdanasError
from edanas.core.preprocess import PREPROCESSING, preprocessing_fields, resize_all
from edanas.core.types import ImageSet
from edanas.deploy.export_check import export_checked, resized_images
from edanas.model.eenn import EENN
from edanas.testing.conformance import ConformanceError, reported_call, require
from edanas.testing.evaluations import toy_network
from edanas.testing.toy_networks import toy_images
from edanas.testing.toy_series import toy_series

_STEM = "eenn-2.exits"
"""A stem with a dot, since exporters must not treat the text after the dot as a file ending."""


def check_exporter(
    exporter: Exporter, network: ExitNetwork | None = None, another: ExitNetwork | None = None
) -> None:
    """Check an exporter against its contract.

    The names of files must begin with the stem, and a network must give the same bytes each time. Existing
    files must be replaced as a whole. If the exporter can open its files, only the needed segments may run,
    and damaged files must raise an error. If the form is exact, it must predict as the network does.

    Args:
        exporter: The exporter.
        network: A finished EENN, for images or series; by default a toy network.
        another: A finished EENN with the structure of `network` and other weights; by default a toy network.

    Raises:
        ConformanceError: The exporter breaks its contract.

    Example:
        >>> from edanas.core.errors import RunError
        >>> class WeightsExporter(Exporter):
        ...     def export(self, network, stem):
        ...         path = stem.with_name(f"{stem.name}.txt")
        ...         weights = [parameter.tolist() for parameter in network.parameters()]
        ...         try:
        ...             path.with_suffix(".tmp").write_text(str(weights))
        ...             path.with_suffix(".tmp").replace(path)
        ...         except OSError as error:
        ...             raise RunError(f"{path}: cannot be written") from error
        ...         return [path]
        >>> check_exporter(WeightsExporter())
    """
    first, second = network or _toy(0), another or _toy(1)
    images = _images(first)
    with reported_call(exporter, "`prepare` with images"):
        exporter.prepare(images, images)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = _export(exporter, first, folder / "a")
        require(
            exporter,
            written == _export(exporter, first, folder / "b"),
            "the same network exported to two folders gives different bytes",
        )
        fresh = _export(exporter, second, folder / "c")
        require(exporter, fresh != written, "networks with other weights give the same bytes")
        _check_replacing(exporter, second, folder / "a", fresh)
        _check_beside(exporter, first, folder / "c", fresh)
        _check_missing_folder(exporter, first, folder / "missing")
        if exporter.runs:
            _check_running(exporter, first, folder / "run", images.images)


@cache
def _toy(seed: int) -> EENN:
    """Return a toy network, the same object for all exporters, so that exporters share cached graphs."""
    network = toy_network(seed).eval()
    side = network.resolution + 4
    network.description[PREPROCESSING] = preprocessing_fields((side, side), 1, network.resolution)
    network.scheme = (float(network.all_exits(_images(network).images)[1][:, 0].median()), None)
    return network


def _images(network: Any) -> ImageSet:
    if network.series:
        return toy_series(24, network.image_size[0], len(network.mean), network.classes)
    side = network.resolution + 4
    toys = toy_images(24, seed=7, side=side)
    channels = toys.images.expand(-1, len(network.mean), -1, -1).contiguous()
    channels = resize_all(channels, network.image_size or (side, side))
    return ImageSet(channels, toys.labels % len(network.classes), network.classes)


def _export(exporter: Exporter, network: ExitNetwork, folder: Path, stem: str = _STEM) -> dict[str, bytes]:
    """Export a network and return the content of the files by name.

    It checks the names of the files, and that the network is unchanged.
    """
    folder.mkdir(exist_ok=True)
    before = set(_contents(folder))
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    training = network.training
    with reported_call(exporter, f"export to the stem '{stem}'"):
        paths: object = exporter.export(network, folder / stem)
    if not isinstance(paths, list) or not paths or not all(isinstance(path, Path) for path in paths):
        raise ConformanceError(
            f"{type(exporter).__name__}: export returns {paths!r}; expected a list of paths"
        )
    for path in paths:
        require(
            exporter,
            folder in (path.parent, path.parent.parent)
            and path.is_file()
            and str(path).startswith(str(folder / stem)),
            f"export to '{folder / stem}' returns '{path}'; expected files whose paths begin with the stem",
        )
    names = {path.relative_to(folder).as_posix() for path in paths}
    spare = set(_contents(folder)) - before - names
    require(exporter, not spare, f"leaves {', '.join(sorted(spare))}, which it does not return")
    after = network.state_dict()
    same = all(torch.equal(tensor, after[name]) for name, tensor in weights.items())
    if not same or network.training != training:
        _toy.cache_clear()
        raise ConformanceError(f"{type(exporter).__name__}: changes the network")
    return {name: (folder / name).read_bytes() for name in sorted(names)}


def _contents(folder: Path) -> list[str]:
    """Return the names of all files in a folder, those in its folders as `folder/name`."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _check_replacing(
    exporter: Exporter, network: ExitNetwork, folder: Path, expected: dict[str, bytes]
) -> None:
    """Check that an export replaces old files instead of writing into them.

    A program that reads an old file at the time can then read it to the end.
    """
    old = {name: (folder / name).read_bytes() for name in _contents(folder)}
    links = folder.with_name("links")
    for name in old:
        (links / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(folder / name, links / name)
    content = _export(exporter, network, folder)
    require(
        exporter,
        content == expected,
        "a network exported over older files gives other bytes than in an empty folder",
    )
    changed = [name for name, content in old.items() if (links / name).read_bytes() != content]
    require(
        exporter,
        not changed,
        f"writes into the old {', '.join(changed)}; expected a file written beside it and then renamed",
    )


def _check_beside(exporter: Exporter, network: ExitNetwork, folder: Path, expected: dict[str, bytes]) -> None:
    """Check that exports to two stems that differ only after a dot do not share files."""
    _export(exporter, network, folder, stem="eenn-2.static")
    content = {name: (folder / name).read_bytes() for name in expected if (folder / name).exists()}
    require(exporter, content == expected, f"an export to 'eenn-2.static' changes the files of '{_STEM}'")


def _check_missing_folder(exporter: Exporter, network: ExitNetwork, folder: Path) -> None:
    try:
        result: object = exporter.export(network, folder / _STEM)
    except EdanasError:
        return
    except Exception as error:
        result = error
    raise ConformanceError(
        f"{type(exporter).__name__}: an export to a folder that does not exist gives {result!r}; expected an "
        "EdanasError"
    )


def _check_running(exporter: Exporter, network: ExitNetwork, folder: Path, images: torch.Tensor) -> None:
    folder.mkdir()
    with reported_call(exporter, "opening the files and classifying images"):
        paths, check = export_checked(exporter, network, folder / _STEM, images)
    require(exporter, check is not None and check.images == len(images), "does not classify all images")
    require(
        exporter,
        paths[0].name == f"{_STEM}{exporter.ending}" and bool(exporter.ending),
        f"`ending` is '{exporter.ending}', but the file to open is {paths[0].name} for the stem '{_STEM}'",
    )
    runner = exporter.open(paths[0])
    one = runner.predict(resized_images(images[:1], runner).numpy())
    require(
        exporter, [each.shape for each in one] == [(1,)] * 3, f"one image gives {one!r}; expected shapes (1,)"
    )
    expected = [np.dtype(np.int64), np.dtype(np.int64), np.dtype(np.float32)]
    require(
        exporter,
        [each.dtype for each in one] == expected,
        f"one image gives {one!r}; expected the types {expected}",
    )
    points = network.exit_points
    require(exporter, runner.exit_points == points, f"exit_points is {runner.exit_points}, not {points}")
    runner.close()
    for path in paths:
        if path.suffix in (".py", ".cc"):  # users may change the programs
            continue
        content = path.read_bytes()
        _check_damaged(exporter, paths[0], path, content[: len(content) // 2])
        _check_damaged(exporter, paths[0], path, None)
        path.write_bytes(content)


def _check_damaged(exporter: Exporter, first: Path, path: Path, content: bytes | None) -> None:
    """Check that `open` raises an `EdanasError` for a truncated or missing file.

    Args:
        exporter: The exporter.
        first: The path that `open` takes.
        path: The file to damage.
        content: The truncated content; `None` = delete the file.
    """
    path.unlink() if content is None else path.write_bytes(content)
    try:
        result: object = exporter.open(first)
    except EdanasError:
        return
    except Exception as error:
        result = error
    state = "missing" if content is None else "truncated"
    raise ConformanceError(
        f"{type(exporter).__name__}: with {path.name} {state}, open gives {result!r}; expected an EdanasError"
    )
