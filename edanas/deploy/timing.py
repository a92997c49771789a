"""Timing of networks on real images, call by call, in interleaved repetitions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
"""Images (B, C, H, W)."""

PERCENTILES = (50, 95, 99)
"""The percentiles of `Timing.percentiles`."""


@dataclass(frozen=True)
class Timing:
    """The measured times of one side of a comparison.

    Args:
        seconds: (repeats, calls), each of one batch.
        size: Images in a call.
        joules: Mean joules of a call; `None` without an energy counter.

    Example:
        >>> timing = Timing(np.array([[0.1, 0.3], [0.2, 0.4]]), size=8)
        >>> round(timing.mean, 6), round(timing.percentiles[0], 6)
        (0.25, 0.25)
    """

    seconds: npt.NDArray[np.float64]
    size: int
    joules: float | None = None

    @property
    def mean(self) -> float:
        """Seconds of a call: the median over all repetitions of a repetition's mean."""
        return float(np.median(self.seconds.mean(axis=1)))

    @property
    def percentiles(self) -> tuple[float, ...]:
        """Seconds of a call at each of `PERCENTILES`, over all calls of all repetitions."""
        return tuple(map(float, np.percentile(self.seconds, PERCENTILES)))

    def of(self, calls: npt.NDArray[np.bool_]) -> "Timing":
        """Return the timing of some calls; `calls` is a mask (calls,)."""
        return Timing(self.seconds[:, calls], self.size)


def batches(images: Images, size: int) -> list[Images]:
    """Cut images into whole batches of `size`, in order; the first images again fill up the last batch.

    Args:
        images: (B, C, H, W), B >= 1.
        size: At least 1.

    Example:
        >>> [len(batch) for batch in batches(np.zeros((5, 1, 2, 2), np.uint8), 2)]
        [2, 2, 2]
    """
    whole = -(-len(images) // size) * size
    filled = images[np.arange(whole) % len(images)]
    return [filled[at : at + size] for at in range(0, whole, size)]


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Args:
        run: The function that is timed.
        calls: Its inputs: batches of one size.
        now: Its clock, in seconds.
    """

    run: Callable[[Images], object]
    calls: Sequence[Images]
    now: Callable[[], float]


def interleaved_timings(
    sides: Mapping[str, Side], repeats: int, joules: Callable[[], float] | None = None
) -> dict[str, Timing]:
    """Time each side once it is warm.

    Within a repetition, one side follows the other, each on all its batches; every second repetition is in
    reverse order. So a slow phase of the machine slows all sides. Each turn begins with the first batch,
    untimed, so that the caches that the side before has left do not count.

    Args:
        sides: The sides of the comparison, by name.
        repeats: Number of repetitions, at least 1.
        joules: The machine's energy counter.

    Example:
        >>> from itertools import count
        >>> ticks = count()
        >>> side = Side(len, [np.zeros((2, 1, 4, 4), np.uint8)], lambda: float(next(ticks)))
        >>> interleaved_timings({"a": side}, repeats=2)["a"].seconds
        array([[1.],
               [1.]])
    """
    seconds = {name: np.zeros((repeats, len(side.calls))) for name, side in sides.items()}
    used = dict.fromkeys(sides, 0.0)
    for repeat in range(repeats):
        for name in reversed(list(sides)) if repeat % 2 else list(sides):
            side = sides[name]
            side.run(side.calls[0])
            before = joules() if joules else 0.0
            seconds[name][repeat] = _call_seconds(side)
            used[name] += joules() - before if joules else 0.0
    return {
        name: Timing(seconds[name], len(side.calls[0]), used[name] / seconds[name].size if joules else None)
        for name, side in sides.items()
    }


def _call_seconds(side: Side) -> list[float]:
    seconds = []
    for images in side.calls:
        start = side.now()
        side.run(images)
        seconds.append(side.now() - start)
    return seconds
