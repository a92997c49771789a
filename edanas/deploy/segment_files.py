"""Writer of one file for each body and head of a network, and the base class of runners of such files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import ExitNetwork, Runner
from edanas.core.errors import EdanasError, ExportError
from edanas.deploy.manifest import check_images, read_described, write_described
from edanas.deploy.run_onnx import VERSION, EarlyExitNetwork
from edanas.deploy.segments import IMAGE_NETWORKS, ExportSegment, manifest_fields


class SegmentRunner(Runner):
    """Base class of runners of one file for each body and head.

    A body is the stages between two exits, and a head is the exit after them. A runner verifies the files,
    and runs them with the loop of `EarlyExitNetwork`.

    Args:
        path: The manifest.
        threads: Number of threads of the runtime, by default 1.

    Raises:
        ExportError: A file is missing or damaged, or the runtime rejects it.
    """

    network_type: ClassVar[type[EarlyExitNetwork]]
    """The class that opens and runs the files."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        manifest, _ = read_described(path, self.network_type.form, VERSION)
        self.path = path
        try:
            self.network = self.network_type(path, threads)
            self.exit_points = int(manifest["exit_points"])
        except Exception as error:
            # The exceptions of runtimes have no base class below `Exception`.
            raise ExportError(f"{path}: cannot be run: {type(error).__name__}: {error}") from error

    def predict(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """See `Runner.predict`."""
        check_images(self.path, self.network.manifest, images)
        return self.network.predict(images)

    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """See `Runner.backbone`."""
        check_images(self.path, self.network.manifest, images)
        check_alone(self.path, self.network.manifest)
        try:
            return self.network.backbone(images)
        except ValueError as error:
            raise EdanasError(f"{self.path}: {error}") from error

    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """See `Runner.computed`."""
        before = list(self.network.computed)
        self.network.predict(images)
        return tuple(now - then for now, then in zip(self.network.computed, before, strict=True))


def write_segments(
    network: ExitNetwork,
    stem: Path,
    form: str,
    ending: str,
    contents: Sequence[tuple[ExportSegment, bytes, bytes]],
    more: Mapping[str, Any],
    free: Mapping[str, bytes],
) -> list[Path]:
    """Write the manifest `stem`.<ending>.json and a file for each body and head.

    Args:
        network: The EENN.
        stem: The path that the files' names begin with.
        form: The value of the manifest's field `format`.
        ending: The ending of the files' names, without a dot.
        contents: For each segment: the segment, the content of its body's file, that of its head's file.
        more: Additional fields of the manifest.
        free: Content of further files by name, which the manifest does not list.

    Returns:
        The paths of all files; the first is the manifest's.
    """
    files: dict[str, bytes] = {}
    listed = []
    for number, (segment, *parts) in enumerate(contents, 1):
        body, head = (f"{stem.name}.{kind}{number}.{ending}" for kind in ("segment", "head"))
        files[body], files[head] = parts
        listed.append({**segment_fields(segment), "body": body, "head": head})
    description = {
        "format": form,
        "format_version": VERSION,
        **manifest_fields(network),
        "segments": listed,
        **more,
    }
    return write_described(stem.with_name(f"{stem.name}.{ending}.json"), description, files, free)


def check_alone(path: Path, manifest: Mapping[str, Any]) -> None:
    """Check that the last exit can run without the segments of earlier exits.

    Raises:
        EdanasError: Each segment holds a network that reads the image, and passes the image on.
    """
    if manifest.get(IMAGE_NETWORKS) and len(manifest["segments"]) > 1:
        raise EdanasError(f"{path}: the network of the last exit cannot run without those of earlier exits")


def segment_fields(segment: ExportSegment) -> dict[str, Any]:
    """Return the fields of a segment that are the same in the manifests of all forms."""
    return {
        "exit": segment.exit,
        "threshold": segment.threshold,
        "body_macs": segment.body_macs,
        "head_macs": segment.head_macs,
    }
