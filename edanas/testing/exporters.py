"""The conformance suite of exporters."""

import os
import tempfile
from pathlib import Path

import torch
from torch import nn

from edanas.core.contracts import Exporter
from edanas.core.errors import EdanasError
from edanas.testing.evaluations import toy_network
from edanas.testing.failure import ConformanceError, asked, require

_STEM = "eenn-2.exits"
"""With a dot, since what follows a dot is no suffix of a stem."""


def check_exporter(
    exporter: Exporter, network: nn.Module | None = None, another: nn.Module | None = None
) -> None:
    """Hold an exporter against its contract: files named after the stem, the same bytes each time.

    Files that are there already are replaced as wholes, never written into.

    Args:
        exporter: What to check.
        network: A finished EENN; by default a toy one.
        another: One with other weights.

    Raises:
        ConformanceError: Something does not hold.
    """
    first, second = network or toy_network(seed=0), another or toy_network(seed=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = _export(exporter, first, folder / "a")
        require(
            exporter,
            written == _export(exporter, first, folder / "b"),
            "the same network in two folders gives files of other bytes",
        )
        fresh = _export(exporter, second, folder / "c")
        require(exporter, fresh != written, "networks with other weights give the same bytes")
        _check_replacing(exporter, second, folder / "a", fresh)
        _check_beside(exporter, first, folder / "c", fresh)
        _check_missing_folder(exporter, first, folder / "missing")


def _export(exporter: Exporter, network: nn.Module, folder: Path, stem: str = _STEM) -> dict[str, bytes]:
    """The files by name with their content; the network is unchanged."""
    folder.mkdir(exist_ok=True)
    before = {path.name for path in folder.iterdir()}
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    training = network.training
    with asked(exporter, f"export to the stem '{stem}'"):
        paths: object = exporter.export(network, folder / stem)
    if not isinstance(paths, list) or not paths or not all(isinstance(path, Path) for path in paths):
        raise ConformanceError(
            f"{type(exporter).__name__}: export returns {paths!r}; expected a list of paths"
        )
    for path in paths:
        require(
            exporter,
            path.parent == folder and path.name.startswith(stem) and path.is_file(),
            f"export to '{folder / stem}' returns '{path}'; expected files there whose names begin so",
        )
    names = {path.name for path in paths}
    spare = {path.name for path in folder.iterdir()} - before - names
    require(exporter, not spare, f"leaves {', '.join(sorted(spare))} behind, which it does not return")
    after = network.state_dict()
    same = all(torch.equal(tensor, after[name]) for name, tensor in weights.items())
    require(exporter, same and network.training == training, "changes the network")
    return {name: (folder / name).read_bytes() for name in sorted(names)}


def _check_replacing(
    exporter: Exporter, network: nn.Module, folder: Path, expected: dict[str, bytes]
) -> None:
    """A file is replaced by another: whoever has the old one open still reads it whole."""
    old = {path.name: path.read_bytes() for path in folder.iterdir()}
    links = folder.with_name("links")
    links.mkdir()
    for name in old:
        os.link(folder / name, links / name)
    found = _export(exporter, network, folder)
    require(
        exporter, found == expected, "another network over an older one's files gives other bytes than alone"
    )
    changed = [name for name, content in old.items() if (links / name).read_bytes() != content]
    require(
        exporter,
        not changed,
        f"writes into the old {', '.join(changed)}; expected a file written beside it and then renamed",
    )


def _check_beside(exporter: Exporter, network: nn.Module, folder: Path, expected: dict[str, bytes]) -> None:
    """Another stem that differs only after a dot is another network."""
    _export(exporter, network, folder, stem="eenn-2.static")
    found = {name: (folder / name).read_bytes() for name in expected if (folder / name).exists()}
    require(exporter, found == expected, f"an export to 'eenn-2.static' changes the files of '{_STEM}'")


def _check_missing_folder(exporter: Exporter, network: nn.Module, folder: Path) -> None:
    try:
        found: object = exporter.export(network, folder / _STEM)
    except EdanasError:
        return
    except Exception as error:
        found = error
    raise ConformanceError(
        f"{type(exporter).__name__}: in a folder that does not exist, {found!r}; expected an EdanasError"
    )
