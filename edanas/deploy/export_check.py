"""Whether an exported network does what the network does: asked of real images, right after writing."""

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
"""How far two confidences may lie apart and still be the same."""

SAMPLES = 256
"""Images that are asked, at most."""


@dataclass(frozen=True)
class Check:
    """What came out.

    Args:
        images: How many were asked.
        same: How many got the network's label at the network's exit.
        rounded: How many left elsewhere, since a confidence lies within rounding of its threshold.
        difference: The largest between two confidences at one exit.
        computed: How many images each segment was computed for, the last exit's last.
    """

    images: int
    same: int
    rounded: int
    difference: float
    computed: tuple[int, ...]

    def sentence(self) -> str:
        """For people."""
        skipped = ", ".join(str(count) for count in self.computed)
        return (
            f"checked on {self.images} images: {self.same} have the same label and exit, "
            f"confidences differ by {self.difference:.1e} at most, segments ran for {skipped} images"
        )


def export_checked(
    exporter: Exporter, network: ExitNetwork, stem: Path, images: torch.Tensor
) -> tuple[list[Path], Check | None]:
    """Export, open what was written, and compare it with the network.

    Args:
        exporter: Prepared, if it needs that.
        network: An EENN in eval mode.
        stem: See `Exporter.export`.
        images: Real ones, (B, C, H, W) uint8, B >= 1; the first `SAMPLES` are taken.

    What fails is not left behind.

    Returns:
        The files, and what the check found; `None` for a form that cannot be run here.

    Raises:
        ExportError: It differs from the network by more than rounding, though its form is exact; or segments
            ran that nobody needed; or its runtime fails.
        EdanasError: What `Exporter.export` and `Exporter.open` raise.
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
        # Whatever a runtime raises: the form is unusable, which is no fault of the network.
        text = " ".join(str(error).split())[:300]
        raise ExportError(f"{paths[0]}: cannot be run: {type(error).__name__}: {text}") from error


def check(network: ExitNetwork, runner: Runner, images: torch.Tensor, *, exact: bool, name: str) -> Check:
    """Compare a runner with the network; arguments and errors as `export_checked`."""
    images = resized_images(images, runner)
    asked = images.numpy()
    expected = [np.asarray(each.cpu()) for each in network(images)]
    found = runner.predict(asked)
    label, left_at, sure = found
    if not len(label) == len(left_at) == len(sure) == len(asked):
        raise ExportError(f"{name}: {len(asked)} images give {len(label)} labels; the network gives each one")
    computed = runner.computed(asked)
    needed = _needed(network.scheme.placed, left_at)
    if computed != needed:
        raise ExportError(
            f"{name}: segments ran for {computed} images; by the exits taken, {needed} need them"
        )
    there = left_at == expected[1]
    same = there & (label == expected[0])
    gaps = np.abs(sure - expected[2])[there]
    difference = float(gaps.max()) if len(gaps) else 0.0
    rounded = ~same & _near(network, images, left_at, expected[1])
    if exact and not ((same | rounded).all() and difference <= ROUNDING):
        at = int(np.flatnonzero(~(same | rounded))[0]) if not (same | rounded).all() else int(gaps.argmax())
        raise ExportError(
            f"{name}: image {at + 1} of {len(asked)} gives {_said(found, at)}; the network gives "
            f"{_said(expected, at)}"
        )
    return Check(len(asked), int(same.sum()), int(rounded.sum()), difference, computed)


def resized_images(images: torch.Tensor, runner: Runner) -> torch.Tensor:
    """Images (B, C, H, W) uint8 in a size that the runner takes, as bytes again."""
    if runner.side is None:
        return images
    return scale(images, runner.side).mul(255.0).round().clamp(0.0, 255.0).to(torch.uint8).contiguous()


def _needed(placed: Sequence[int], left_at: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """How many samples each segment must be computed for, where each leaves at its exit."""
    before = [-1, *placed]
    return tuple(int((left_at > exit_).sum()) for exit_ in before)


def _near(
    network: ExitNetwork,
    images: torch.Tensor,
    left_at: npt.NDArray[np.int64],
    expected: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Whether a confidence within rounding of its threshold explains an image that left elsewhere.

    The two agree up to the earlier of the two exits: there one found the confidence sufficient.
    """
    sure = np.asarray(network.all_exits(images)[1].cpu())
    column = {exit_: at for at, exit_ in enumerate((*network.answering, network.exit_points))}
    near = np.zeros(len(images), dtype=np.bool_)
    for at in np.flatnonzero(left_at != expected):
        exit_ = int(min(left_at[at], expected[at]))
        threshold = network.scheme.thresholds[exit_] if exit_ < network.exit_points else None
        if threshold is not None:
            near[at] = abs(float(sure[at, column[exit_]]) - threshold) <= ROUNDING
    return near


def _said(answer: Sequence[npt.NDArray[Any]], at: int) -> str:
    label, left_at, sure = answer
    return f"label {label[at]} at exit {left_at[at] + 1} with confidence {sure[at]:.6f}"
