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
from edanas.core.preprocess import scale

ROUNDING = 1e-4
"""The largest difference of two confidences that counts as rounding."""

SAMPLES = 256
"""The largest number of images that are compared."""


@dataclass(frozen=True)
class Check:
    """The result of a comparison.

    Args:
        images: Number of images compared.
        same: Number of images with the network's label at the network's exit.
        rounded: Number of images that take another exit because a confidence is within rounding of its
            threshold.
        difference: The largest difference of two confidences at one exit.
        computed: Number of images that each segment ran for, the last exit's last.

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
        """Return the result as a sentence."""
        runs = ", ".join(str(count) for count in self.computed)
        return (
            f"checked on {self.images} images: {self.same} have the same label and exit, "
            f"confidences differ by {self.difference:.1e} at most, segments ran for {runs} images"
        )


def export_checked(
    exporter: Exporter, network: ExitNetwork, stem: Path, images: torch.Tensor
) -> tuple[list[Path], Check | None]:
    """Export a network, open the files, and compare the two.

    The files are deleted if the comparison fails.

    Args:
        exporter: Prepared, if it needs that.
        network: An EENN in eval mode.
        stem: See `Exporter.export`.
        images: Real ones, (B, C, H, W) uint8, B >= 1; the first `SAMPLES` are used.

    Returns:
        The files, and the result; `None` for a form that cannot run on this machine.

    Raises:
        ExportError: An exact form differs from the network by more than rounding, a segment runs that no
            image needs, or the form's runtime fails.
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
        for path in paths:
            path.unlink(missing_ok=True)
        if isinstance(error, EdanasError):
            raise
        # An exception of the runtime means that the form is unusable, not that the network is faulty.
        text = " ".join(str(error).split())[:300]
        raise ExportError(f"{paths[0]}: cannot be run: {type(error).__name__}: {text}") from error


def check(network: ExitNetwork, runner: Runner, images: torch.Tensor, *, exact: bool, name: str) -> Check:
    """Compare a runner with the network; arguments and errors as `export_checked`."""
    images = resized_images(images, runner)
    pixels = images.numpy()
    expected = [np.asarray(each.cpu()) for each in network(images)]
    prediction = runner.predict(pixels)
    labels, exits, confidences = prediction
    if not len(labels) == len(exits) == len(confidences) == len(pixels):
        raise ExportError(
            f"{name}: {len(pixels)} images give {len(labels)} labels; expected one for each image"
        )
    computed = runner.computed(pixels)
    needed = _needed_runs(network.scheme.placed, exits)
    if computed != needed:
        raise ExportError(
            f"{name}: segments ran for {computed} images; by the exits taken, {needed} need them"
        )
    same_exit = exits == expected[1]
    same = same_exit & (labels == expected[0])
    gaps = np.abs(confidences - expected[2])[same_exit]
    difference = float(gaps.max()) if len(gaps) else 0.0
    rounded = ~same & _near_threshold(network, images, exits, expected[1])
    if exact and not ((same | rounded).all() and difference <= ROUNDING):
        at = int(np.flatnonzero(~(same | rounded))[0]) if not (same | rounded).all() else int(gaps.argmax())
        raise ExportError(
            f"{name}: image {at + 1} of {len(pixels)} gives {_described(prediction, at)}; the network gives "
            f"{_described(expected, at)}"
        )
    return Check(len(pixels), int(same.sum()), int(rounded.sum()), difference, computed)


def resized_images(images: torch.Tensor, runner: Runner) -> torch.Tensor:
    """Resize images (B, C, H, W) uint8 to the size that the runner takes, as bytes again."""
    if runner.side is None:
        return images
    return scale(images, runner.side).mul(255.0).round().clamp(0.0, 255.0).to(torch.uint8).contiguous()


def _needed_runs(placed: Sequence[int], exits: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """Return the number of samples that need each segment, by the exits that they take."""
    before = [-1, *placed]
    return tuple(int((exits > exit_).sum()) for exit_ in before)


def _near_threshold(
    network: ExitNetwork, images: torch.Tensor, exits: npt.NDArray[np.int64], expected: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Return which images (B,) take another exit because a confidence is within rounding of its threshold.

    Both agree up to the earlier of the two exits, where one confidence reaches the threshold and one does
    not.
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
