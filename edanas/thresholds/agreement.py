"""A threshold that moves on a stream, so that early answers keep agreeing with those of the last exit.

The dynamic threshold of a big/little network: at regular intervals the last exit, the big network, also runs
on an image that an early exit, the little network, would classify alone. Where the two answers differ, the
threshold rises; otherwise it falls by a small amount. With a step s and a target rate r of differences, the
threshold moves by s (1 - r) after a difference and by -s r without one. As long as it stays within [0, 1],
the rate of differences over n audited images is therefore within (1 + s) / (s n) of the target; the argument
is that of adaptive conformal inference (Gibbs and Candès, NeurIPS 2021).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edanas.core.types import SelectionScheme

AGREE = "agree"
"""Key of a network's description under which the values of `AgreementHolder.to_dict` are stored."""

PERIOD = 20
"""Default number of images from one audited image to the next."""

STEP = 0.05
"""Default size of a move of the threshold."""


class AgreementHolder:
    """A moving threshold, common to all placed exits, that holds a rate of differences to the last exit.

    Args:
        scheme: Selection scheme of the network, with one exit or more; its thresholds are not used.
        threshold: Threshold at the start of the stream.
        target: Rate of audited images at which an early answer may differ from the last exit's, in [0, 1).
        period: Number of images from one audited image to the next, 1 or more.
        step: Size of a move, above 0.

    Raises:
        ValueError: No exit is placed, or a number is out of range.

    Example:
        >>> holder = AgreementHolder(SelectionScheme((0.5,)), 0.5, target=0.1, period=2, step=0.5)
        >>> holder.due(4)
        [1, 3]
        >>> holder.note([True])  # the early answer to an audited image differs
        >>> holder.scheme.thresholds
        (0.949999988079071,)
    """

    def __init__(
        self,
        scheme: SelectionScheme,
        threshold: float,
        target: float,
        period: int = PERIOD,
        step: float = STEP,
    ) -> None:
        if not scheme.placed:
            raise ValueError("scheme: found no placed exit; allowed: 1 exit or more")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold: found {threshold:g}; allowed: 0 to 1")
        if not 0 <= target < 1:
            raise ValueError(f"target: found {target:g}; allowed: 0 or more and below 1")
        if period < 1:
            raise ValueError(f"period: found {period}; allowed: 1 or more")
        if not 0 < step < float("inf"):
            raise ValueError(f"step: found {step:g}; allowed: a number > 0")
        self.threshold, self.target, self.period, self.step = float(threshold), target, period, step
        self._placed, self._count = scheme.placed, len(scheme.thresholds)
        self._images = 0

    batch = PERIOD
    """Largest number of images in a batch, between whose images the threshold does not move."""

    @property
    def scheme(self) -> SelectionScheme:
        """Selection scheme with the threshold for the next batch."""
        here = float(np.float32(min(max(self.threshold, 0.0), 1.0)))
        return SelectionScheme(tuple(here if at in self._placed else None for at in range(self._count)))

    def due(self, count: int) -> list[int]:
        """Return the indices of the audited images among the next `count` images of the stream."""
        first = self._images
        self._images += count
        return [at for at in range(count) if (first + at + 1) % self.period == 0]

    def note(self, differ: Sequence[bool]) -> None:
        """Move the threshold after audited images.

        Args:
            differ: For each audited image, whether an early exit classified it and the last exit disagrees.
        """
        for each in differ:
            moved = self.threshold + self.step * (float(each) - self.target)
            # One step beyond the ends, so that every difference counts.
            self.threshold = min(max(moved, -self.step), 1.0 + self.step)

    def to_dict(self) -> dict[str, Any]:
        """Return numbers from which `from_dict` builds the holder again, at the start of a stream."""
        return {
            "threshold": self.threshold,
            "target": self.target,
            "period": self.period,
            "step": self.step,
        }

    @classmethod
    def from_dict(cls, scheme: SelectionScheme, values: Mapping[str, Any]) -> "AgreementHolder":
        """Return a holder built from the values of `to_dict`.

        Raises:
            LookupError: A value is missing.
            TypeError: A value has the wrong type.
            ValueError: A value is out of range, or `scheme` places no exit.
        """
        threshold, target, step = (float(values[key]) for key in ("threshold", "target", "step"))
        return cls(scheme, threshold, target, int(values["period"]), step)
