"""The suite finds what is wrong with an exporter."""

import os
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from edanas.core.contracts import Exporter
from edanas.core.errors import RunError
from edanas.testing import ConformanceError, check_exporter


def content(network: nn.Module) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())


class Whole(Exporter):
    """One file of weights; subclasses break one thing."""

    def export(self, network: nn.Module, stem: Path) -> list[Path]:
        path = self.path(stem)
        partial = path.with_name(f"{path.name}.partial")
        try:
            partial.write_bytes(self.content(network, stem))
            partial.replace(path)
        except OSError as error:
            raise RunError(f"{path}: {error.strerror}") from error
        return [path]

    def path(self, stem: Path) -> Path:
        return stem.with_name(f"{stem.name}.bin")

    def content(self, network: nn.Module, stem: Path) -> bytes:
        return content(network)


class Suffixed(Whole):
    """Takes what follows a dot for a suffix."""

    def path(self, stem: Path) -> Path:
        return stem.with_suffix(".bin")


class InPlace(Whole):
    def export(self, network: nn.Module, stem: Path) -> list[Path]:
        try:
            self.path(stem).write_bytes(content(network))
        except OSError as error:
            raise RunError(str(error)) from error
        return [self.path(stem)]


class Placed(Whole):
    """Writes where it stands into the file."""

    def content(self, network: nn.Module, stem: Path) -> bytes:
        return str(stem).encode() + content(network)


class Numbered(Whole):
    """Never the same twice."""

    def content(self, network: nn.Module, stem: Path) -> bytes:
        return os.urandom(4) + content(network)


class Structure(Whole):
    """Leaves the weights out."""

    def content(self, network: nn.Module, stem: Path) -> bytes:
        return str(sorted(network.state_dict())).encode()


class Littering(Whole):
    def export(self, network: nn.Module, stem: Path) -> list[Path]:
        paths = super().export(network, stem)
        stem.with_name("log.txt").write_text("done")
        return paths


class Raw(Whole):
    """Lets the system's errors through."""

    def export(self, network: nn.Module, stem: Path) -> list[Path]:
        try:
            return super().export(network, stem)
        except RunError as error:
            raise OSError("no such folder") from error


class Spoiling(Whole):
    def content(self, network: nn.Module, stem: Path) -> bytes:
        network.half()
        return content(network)


class Training(Whole):
    def content(self, network: nn.Module, stem: Path) -> bytes:
        return content(network.train())


class Quiet(Whole):
    def export(self, network: nn.Module, stem: Path) -> Any:
        super().export(network, stem)


class Fixed(Whole):
    """One file for all stems."""

    def path(self, stem: Path) -> Path:
        return stem.with_name("eenn.bin")


def test_a_sound_exporter_passes() -> None:
    check_exporter(Whole())


@pytest.mark.parametrize(
    ("exporter", "text"),
    [
        (Suffixed(), "returns .*eenn-2.bin'; expected files whose paths begin with the stem"),
        (Fixed(), "returns .*eenn.bin'; expected files whose paths begin with the stem"),
        (InPlace(), "writes into the old eenn-2.exits.bin"),
        (Placed(), "the same network exported to two folders gives different bytes"),
        (Numbered(), "the same network exported to two folders gives different bytes"),
        (Structure(), "networks with other weights give the same bytes"),
        (Littering(), "leaves log.txt, which it does not return"),
        (Raw(), r"an export to a folder that does not exist gives OSError.*; expected an EdanasError"),
        (Spoiling(), "changes the network"),
        (Training(), "changes the network"),
        (Quiet(), "export returns None; expected a list of paths"),
    ],
)
def test_a_fault_is_found(exporter: Exporter, text: str) -> None:
    with pytest.raises(ConformanceError, match=f"{type(exporter).__name__}: .*{text}"):
        check_exporter(exporter)
