"""Progressive resizing: a supernet's training begins with small images, which cost less.

Tan and Le, EfficientNetV2: Smaller Models and Faster Training, ICML 2021, Section 4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from edanas.core.contracts import ExitPart
from edanas.core.errors import ConfigError
from edanas.core.passes import exit_logits
from edanas.core.types import Backbone

END = 0.5
"""Progress of a training from which images have their full side."""

GROWTHS = 3
"""Number of times that the side grows, in equal intervals of the progress."""


@dataclass(frozen=True)
class Resizing:
    """The side of images over a training.

    Args:
        first: Side at the start, as a share of the full side.
        stride: Divisor of all smaller sides: the stride of the networks from the images to the last features.

    Example:
        >>> resizing = Resizing(first=0.5, stride=4)
        >>> [resizing.side(32, done) for done in (0.0, 0.2, 0.4, 0.5)]
        [16, 20, 28, 32]
    """

    first: float
    stride: int

    def side(self, full: int, done: float) -> int:
        """Return the side in pixels at a progress from 0 to 1, for a full side of `full` pixels."""
        growths = int(GROWTHS * done / END)
        if growths >= GROWTHS:
            return full
        share = self.first + (1 - self.first) * growths / GROWTHS
        return min(full, self.stride * max(1, round(full * share / self.stride)))

    def moments(self, done: float) -> list[tuple[float, float]]:
        """Return the progress at the start of each remaining interval with one side, and its length.

        Args:
            done: Progress of the training, from 0 to below 1.
        """
        starts = [max(done, END * growths / GROWTHS) for growths in range(GROWTHS + 1)]
        ends = [*starts[1:], 1.0]
        return [(start, end - start) for start, end in zip(starts, ends, strict=True) if start < end]


@torch.no_grad()
def resizing_for(
    first: float,
    parts_of: Callable[[Backbone], list[ExitPart]],
    backbones: Sequence[Backbone],
    images: torch.Tensor,
) -> Resizing:
    """Return the resizing of a supernet's images, after a pass of some backbones at their first side.

    Args:
        first: The setting `training.initial_side`.
        parts_of: Function that returns the modules of each exit of a backbone, in eval mode.
        backbones: The backbones to run, the largest first.
        images: Images (B, C, R, R) of the full side of the largest backbone.

    Raises:
        ConfigError: No side is smaller than the full one, or a backbone does not run at its first side.
    """
    full, message = images.shape[-1], f"training.initial_side: found {first:g}"
    resizing = Resizing(first, _stride(parts_of(backbones[0]), images))
    if resizing.side(full, 0.0) == full:
        smaller = ", or a smaller share" if resizing.stride < full else ""
        raise ConfigError(
            f"{message}, which leaves the side at {full} pixels, since sides are multiples of the networks' "
            f"stride, {resizing.stride}; allowed: 1{smaller}"
        )
    for backbone in backbones:
        side = resizing.side(int(backbone["resolution"]), 0.0)
        try:
            exit_logits(parts_of(backbone), images[..., :side, :side])
        except Exception as error:
            raise ConfigError(
                f"{message}, but the supernet does not run on images of {side} pixels ({error}); allowed: a "
                "larger share, or 1 for a supernet of one size"
            ) from error
    return resizing


def _stride(parts: Sequence[ExitPart], images: torch.Tensor) -> int:
    """Return the product of the strides of all stages; an incomplete last window counts as a whole stride."""
    stride, features = 1, images
    for stage in (stage for segment, _ in parts for stage in segment):
        before, features = features, stage(features)
        if features.ndim == 4:
            stride *= max(1, round(before.shape[2] / features.shape[2]))
    return stride
