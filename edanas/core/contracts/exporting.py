"""Contracts of exported networks: exporters, and runners of the exported files."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from edanas.core.contracts.capabilities import derive
from edanas.core.contracts.exit_network import ExitNetwork
from edanas.core.errors import EdanasError
from edanas.core.types import ImageSet


class Runner(ABC):
    """An exported EENN that runs on this machine, to be checked and measured.

    Example:
        >>> Runner.side is None
        True
    """

    exit_points: int
    """Number N of exit points; the last exit is number N."""

    side: int | None = None
    """Required height and width of images in pixels; `None` = any size."""

    @abstractmethod
    def predict(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Classify images with early exits; segments that no sample reaches do not run.

        Args:
            images: Images (B, C, H, W) uint8 with B >= 1. H and W equal `side` unless `side` is `None`. They
                equal the size in the preprocessing of the network, if its description states one.

        Returns:
            The predicted classes (B,); the exit (B,) of each sample, from 0, N for the last exit; and the
            confidence (B,) in [0, 1] there.
        """

    @abstractmethod
    def backbone(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Return the predicted classes (B,) of the last exit for all samples; no other head runs.

        Raises:
            EdanasError: The exported network cannot run the backbone alone.
        """

    @abstractmethod
    def computed(self, images: npt.NDArray[np.uint8]) -> tuple[int, ...]:
        """Classify B >= 1 samples, and return the number of samples that each segment processed.

        The numbers are observed, not derived from the exits of the samples. A segment consists of the stages
        between two placed exits and the head after them. The result has a number for each placed exit,
        ascending, and then for the last exit.
        """

    def close(self) -> None:  # noqa: B027 - most runners hold nothing to give back
        """Release memory and sessions; the runner is not used again."""


class Exporter(ABC):
    """Writes a finished EENN in one file format. Picklable, since workers export the networks of a run.

    Example:
        >>> class Names(Exporter):
        ...     def export(self, network, stem):
        ...         path = stem.with_name(f"{stem.name}.txt")
        ...         path.write_text(" ".join(network.classes))
        ...         return [path]
        >>> Names.runs
        False
    """

    exact: ClassVar[bool] = True
    """True if the exported network predicts as the original does, up to rounding."""

    runs: bool = False
    """True if `open` is implemented; a subclass that overrides `open` gets this automatically."""

    needs_images: ClassVar[bool] = False
    """True if `export` requires the images of `prepare`, also where `open` is not implemented."""

    fewest_images: ClassVar[int] = 0
    """The smallest number of calibration images that `export` requires; a run checks it before it trains."""

    takes_padding: ClassVar[bool] = True
    """False if the format cannot express networks for series of unequal length; a run checks it early."""

    ending: ClassVar[str] = ""
    """The end of the name of the file to open, after the stem, e.g. `.onnx`.

    `edanas bench` finds exported networks by this ending. It is empty if `open` is not implemented.
    """

    registered_name: str = ""
    """The exporter's name in the settings of a run, which sets it, for messages; empty outside of runs."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        derive(cls, "runs", "open")

    def prepare(self, calibration: ImageSet, validation: ImageSet) -> None:  # noqa: B027 - most need none
        """Receive images for a format that needs images; called before the first export if images exist.

        Args:
            calibration: The calibration part, e.g. to set the scales of integers.
            validation: The validation part, to measure the accuracy that the format loses.
        """

    def check_layers(self, network: ExitNetwork) -> None:  # noqa: B027 - most formats have all layers
        """Check that the format can express a network, as a run does before it trains; by default it can.

        Args:
            network: The smallest or the largest network of a run, with fresh weights and all exits placed.

        Raises:
            ExportError: It cannot; the message names the layer.
        """

    @abstractmethod
    def export(self, network: ExitNetwork, stem: Path) -> list[Path]:
        """Write files whose names begin with `stem`; return their paths, first the path for `open`.

        Args:
            network: The finished network.
            stem: Path of the files without their endings, e.g. `models/net` for `models/net.onnx`.

        Raises:
            ExportError: The network cannot be expressed in this format, or `prepare` received no images.
            RunError: A file cannot be written.
        """

    def open(self, path: Path, threads: int = 1) -> Runner:
        """Open an exported network to run it on this machine.

        Args:
            path: The first path that `export` returned.
            threads: Number of threads of the runtime; default 1. A runtime that uses torch's threads, or
                none, ignores this number.

        Raises:
            EdanasError: The files are missing or damaged, or this format does not run on this machine.
        """
        raise EdanasError(f"{path}: files that {type(self).__name__} writes cannot be run")

    def summary(self, path: Path) -> str:
        """Return a sentence for the user about the exported files, empty by default.

        Args:
            path: The first path that `export` returned.
        """
        return ""
