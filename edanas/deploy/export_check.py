"""Comparison of an exported network with the original on real images, right after the export."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.contracts import ExitNetwork, Exporter, Runner
from edanas.core.errors import EdanasError, ExportError
from edanas.core.finite import check_finite
from edanas.core.preprocess import scale
from edanas.deploy.segments import sized_samples

ROUNDING = 1e-4
"""The largest difference between two confidences that counts as rounding."""

SAMPLES = 256
"""The largest number of images in a comparison."""


@dataclass(frozen=True)
class Check:
    """The result of comparing an exported network with the original network.

    Args:
        images: Number of images compared.
        same: Number of images for which both networks have the same prediction and exit.
        rounded: Number of images that take different exits in the two networks, because a confidence is
            within `ROUNDING` of its threshold.
        difference: The largest difference in confidence over the images that take the same exit.
        computed: Number of images that each segment of the exported network ran for, in the order of the
            segments.

    Example:
        >>> Check(images=10, same=9, rounded=1, difference=2e-7, computed=(10, 4)).same
        9
    """

    images: int
    same: int
    rounded: int
    difference: float
    computed: tuple[int, ...]

    def sentence(self) -> str:
        """Return a sentence with all results except `rounded`, for users."""
        runs = ", ".join(str(count) for count in self.computed)
        return (
            f"checked on {self.images} samples: {self.same} have the same label and exit, "
            f"confidences differ by {self.difference:.1e} at most, segments ran for {runs} samples"
        )


def export_checked(
    exporter: Exporter, network: ExitNetwork, stem: Path, images: torch.Tensor
) -> tuple[list[Path], Check | None]:
    """Export a network, run the exported files on images, and compare their results with the network's.

    The files are deleted if the comparison fails.

    Args:
        exporter: An exporter; `Exporter.prepare` has been called before, if the exporter needs images.
        network: An EENN in eval mode.
        stem: The path that the files' names begin with; see `Exporter.export`.
        images: Real images (B, C, H, W) uint8 with B >= 1, of which the first `SAMPLES` are compared.

    Returns:
        The paths of the files, and the result of the comparison. The result is `None` for a form that cannot
        run on this machine.

    Raises:
        WeightsError: The network holds weights that are not finite.
        ExportError: An exact form differs from the network by more than rounding, a segment runs for images
            that do not need it, or the form's runtime fails.
        EdanasError: An error of `Exporter.export` or `Exporter.open`.

    Example:
        >>> import tempfile
        >>> from edanas.deploy.pt2_export import Pt2Exporter
        >>> from edanas.testing.evaluations import toy_network
        >>> from edanas.testing.toy_networks import toy_images
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     stem = Path(folder) / "toy"
        ...     _, result = export_checked(Pt2Exporter(), toy_network().eval(), stem, toy_images(8, 0).images)
        >>> result.images, result.same
        (8, 8)
    """
    check_finite(network.state_dict(), "the network")
    paths = exporter.export(network, stem)
    if not exporter.runs:
        return paths, None
    try:
        runner = exporter.open(paths[0])
        try:
            return paths, check(network, runner, images[:SAMPLES], exact=exporter.exact, name=str(paths[0]))
        finally:
            runner.close()
    except Exception as error:
        _remove(paths, stem.parent)
        if isinstance(error, EdanasError):
            raise
        # An exception of the runtime means that the form is unusable, not that the network is faulty.
        text = " ".join(str(error).split())[:300]
        raise ExportError(f"{paths[0]}: cannot be run: {type(error).__name__}: {text}") from error


def _remove(paths: Sequence[Path], folder: Path) -> None:
    """Delete files, and the folders in `folder` that they leave empty."""
    for path in paths:
        path.unlink(missing_ok=True)
    for beside in {path.parent for path in paths} - {folder}:
        if beside.is_dir() and not any(beside.iterdir()):
            beside.rmdir()


def check(network: ExitNetwork, runner: Runner, images: torch.Tensor, *, exact: bool, name: str) -> Check:
    """Compare the results of an exported network with those of the original network.

    Args:
        network: The original EENN in eval mode.
        runner: The exported network.
        images: Images (B, C, H, W) uint8, B >= 1.
        exact: True if any difference beyond rounding is an error.
        name: The name of the exported network in errors.

    Raises:
        ExportError: See `export_checked`.
    """
    images = resized_images(sized_samples(network, images), runner)
    pixels = images.numpy()
    expected = [np.asarray(each.cpu()) for each in network(images)]
    prediction = runner.predict(pixels)
    labels, exits, confidences = prediction
    if not len(labels) == len(exits) == len(confidences) == len(pixels):
        raise ExportError(
            f"{name}: {len(pixels)} samples give {len(labels)} predictions; expected one for each sample"
        )
    computed = runner.computed(pixels)
    needed = _needed_runs(network.scheme.placed, exits)
    if computed != needed:
        raise ExportError(
            f"{name}: segments ran for {computed} samples; expected {needed} by the exits that fired"
        )
    same_exit = exits == expected[1]
    same = same_exit & (labels == expected[0])
    gaps = np.abs(confidences - expected[2])[same_exit]
    difference = float(gaps.max()) if len(gaps) else 0.0
    rounded = ~same & _near_threshold(network, images, exits, expected[1])
    if exact and not ((same | rounded).all() and difference <= ROUNDING):
        at = int(np.flatnonzero(~(same | rounded))[0]) if not (same | rounded).all() else int(gaps.argmax())
        raise ExportError(
            f"{name}: sample {at + 1} of {len(pixels)} gives {_described(prediction, at)}; the network gives "
            f"{_described(expected, at)}"
        )
    return Check(len(pixels), int(same.sum()), int(rounded.sum()), difference, computed)


def resized_images(images: torch.Tensor, runner: Runner) -> torch.Tensor:
    """Return images (B, C, H, W) uint8 resized to `runner.side`, or unchanged for a runner of any size."""
    if runner.side is None or images.is_floating_point():
        return images
    return scale(images, runner.side).mul(255.0).round().clamp(0.0, 255.0).to(torch.uint8).contiguous()


def _needed_runs(placed: Sequence[int], exits: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """Return for each segment the number of images that need it, by the exits (B,) that the images take."""
    before = [-1, *placed]
    return tuple(int((exits > exit_).sum()) for exit_ in before)


def _near_threshold(
    network: ExitNetwork, images: torch.Tensor, exits: npt.NDArray[np.int64], expected: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Return a mask (B,) of the images that take different exits because of rounding.

    The exported network and the original agree up to the earlier of the two exits. There, one
    confidence reaches the threshold and the other does not. Rounding is the reason if the original network's
    confidence is within `ROUNDING` of the threshold.

    Args:
        network: The original network.
        images: Images (B, C, H, W).
        exits: Exits (B,) in the exported network.
        expected: Exits (B,) in the original network.
    """
    confidence = np.asarray(network.all_exits(images)[1].cpu())
    column = {exit_: at for at, exit_ in enumerate((*network.answering, network.exit_points))}
    near = np.zeros(len(images), dtype=np.bool_)
    for at in np.flatnonzero(exits != expected):
        exit_ = int(min(exits[at], expected[at]))
        threshold = network.scheme.thresholds[exit_] if exit_ < network.exit_points else None
        if threshold is not None:
            near[at] = abs(float(confidence[at, column[exit_]]) - threshold) <= ROUNDING
    return near


def _described(prediction: Sequence[npt.NDArray[Any]], at: int) -> str:
    labels, exits, confidences = prediction
    return f"label {labels[at]} at exit {exits[at] + 1} with confidence {confidences[at]:.6f}"
