"""Runner of exported C files: compiled on this machine into a library, which Python calls."""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts import Runner
from edanas.core.errors import DataError, EdanasError, ExportError
from edanas.core.series import valid_lengths
from edanas.deploy.c_code.decision import ONE
from edanas.deploy.manifest import check_images


def find_compiler() -> str | None:
    """Return the path of a C compiler; `None` if there is none on this machine."""
    paths = (shutil.which(name) for name in ("cc", "gcc", "clang"))
    return next((path for path in paths if path is not None), None)


class _Result(ctypes.Structure):
    """`edanas_result` of `network.h`."""

    _fields_ = (
        ("label", ctypes.c_int32),
        ("exit", ctypes.c_int32),
        ("confidence", ctypes.c_uint32),
        ("logits", ctypes.POINTER(ctypes.c_int16)),
    )


class CRunner(Runner):
    """A network in C, compiled by this machine's compiler.

    Args:
        path: The manifest.
        manifest: The content of the manifest.
        sources: Content of the C files by name.

    Raises:
        ExportError: There is no compiler, or the files do not compile.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any], sources: Mapping[str, bytes]) -> None:
        self.path, self.manifest = path, manifest
        self.exit_points = int(manifest["exit_points"])
        self.exits = [int(segment["exit"]) for segment in manifest["segments"]]
        self.size: tuple[int, int] = tuple(manifest["image_size"])
        self.side = None if "preprocessing" in manifest else self.size[0]
        self._folder = tempfile.TemporaryDirectory(prefix="edanas-c-")
        try:
            self._library = ctypes.CDLL(str(_compiled(Path(self._folder.name), path, sources)))
        except OSError as error:
            self.close()
            raise ExportError(f"{path}: its library cannot be loaded: {error}") from error
        except ExportError:
            self.close()
            raise
        self._runs = (ctypes.c_uint32 * len(self.exits)).in_dll(self._library, "edanas_runs")

    def predict(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """See `Runner.predict`."""
        rows = np.array([row[:3] for row in self.results(images)], dtype=np.int64)
        labels, exits, confidences = rows.T
        return labels, np.array(self.exits)[exits], (confidences / ONE).astype(np.float32)

    def results(self, images: npt.NDArray[np.uint8]) -> list[tuple[int, int, int, tuple[int, ...]]]:
        """Return label, index of the exit, confidence and logits of each image, as whole numbers."""
        check_images(self.path, self.manifest, images)
        if images.shape[2:] != self.size[::-1]:
            width, height = self.size
            raise DataError(
                f"{self.path}: found images of {images.shape[3]}x{images.shape[2]} pixels; allowed: "
                f"{width}x{height}"
            )
        is_series = bool(self.manifest.get("preprocessing", {}).get("series", False))
        kind, number = (ctypes.c_float, np.float32) if is_series else (ctypes.c_uint8, np.uint8)
        pixels = np.ascontiguousarray(images.transpose(0, 2, 3, 1), dtype=number)
        lengths = valid_lengths(torch.from_numpy(images)).tolist() if is_series else []
        classes, result, rows = len(self.manifest["classes"]), _Result(), []
        for at, image in enumerate(pixels):
            more = (ctypes.c_int32(lengths[at]),) if is_series else ()
            self._library.edanas_classify(
                image.ctypes.data_as(ctypes.POINTER(kind)), *more, ctypes.byref(result)
            )
            logits = tuple(result.logits[:classes])
            rows.append((result.label, result.exit, result.confidence, logits))
        return rows

    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """See `Runner.backbone`; C files cannot run the backbone alone."""
        raise EdanasError(f"{self.path}: the C files do not run the backbone alone")

    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """See `Runner.computed`."""
        before = list(self._runs)
        self.results(images)
        return tuple(now - then for now, then in zip(self._runs, before, strict=True))

    def close(self) -> None:
        """Delete the compiled library."""
        self._folder.cleanup()


def _compiled(folder: Path, path: Path, sources: Mapping[str, bytes]) -> Path:
    """Compile the sources into a shared library in a folder, and return its path."""
    compiler = find_compiler()
    if compiler is None:
        raise ExportError(f"{path}: found no C compiler; allowed: `cc`, `gcc` or `clang` on the PATH")
    for name, content in sources.items():
        (folder / Path(name).name).write_bytes(content)
    library = folder / "network.so"
    parts = sorted({Path(name).name for name in sources if name.endswith(".c")} - {"main.c"})
    options = ["-std=c99", "-O2", "-shared", "-fPIC", "-DEDANAS_COUNT"]
    done = subprocess.run(  # noqa: S603 - the compiler found above, on files whose checksums match
        [compiler, *options, *parts, "-o", library.name],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ExportError(f"{path}: {Path(compiler).name} cannot compile it: {lines[0][:300]}")
    return library
