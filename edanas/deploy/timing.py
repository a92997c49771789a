"""Timing of several networks in turn on the same images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
"""The pixels (B, C, H, W) of B images with C channels."""

PERCENTILES = (50, 95, 99)
"""The percentiles that `Timing.percentiles` returns."""


@dataclass(frozen=True)
class Timing:
    """The measured times of one side of a comparison, for example one network.

    Args:
        seconds: The time of each call in seconds, (repetitions, calls); a call processes one batch.
        size: Number of images in a batch.
        joules: Mean energy of a call in joules; `None` without an energy counter.

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
        """Seconds of a call: the mean over the calls of a repetition, then the median over repetitions."""
        return float(np.median(self.seconds.mean(axis=1)))

    @property
    def percentiles(self) -> tuple[float, ...]:
        """The percentiles `PERCENTILES` of a call's seconds, over all calls of all repetitions."""
        return tuple(map(float, np.percentile(self.seconds, PERCENTILES)))

    def of(self, calls: npt.NDArray[np.bool_]) -> "Timing":
        """Return the timing without joules of the calls that the mask `calls`, (calls,), selects."""
        return Timing(self.seconds[:, calls], self.size)


def batches(images: Images, size: int) -> list[Images]:
    """Cut images into batches of equal size, in order; the first images fill up the last batch.

    Args:
        images: Images (B, C, H, W), B >= 1.
        size: Number of images in a batch, 1 or more.

    Example:
        >>> [len(batch) for batch in batches(np.zeros((5, 1, 2, 2), np.uint8), 2)]
        [2, 2, 2]
    """
    whole = -(-len(images) // size) * size
    filled = images[np.arange(whole) % len(images)]
    return [filled[at : at + size] for at in range(0, whole, size)]


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a function with its inputs and its clock.

    Args:
        run: The function that is timed.
        calls: Inputs of the function, one for each call: batches of equal size.
        now: A function that returns the current time in seconds.
    """

    run: Callable[[Images], object]
    calls: Sequence[Images]
    now: Callable[[], float]


def interleaved_timings(
    sides: Mapping[str, Side], repeats: int, joules: Callable[[], float] | None = None
) -> dict[str, Timing]:
    """Return the timings of several sides, which run in turn.

    In a repetition, each side runs all its batches, and one side follows another. Every second repetition has
    the reverse order of sides. So a slow phase of the machine slows all sides. Before its timed calls, a side
    runs its first batch without timing, which fills the caches.

    Args:
        sides: The sides of the comparison by name.
        repeats: Number of repetitions, 1 or more.
        joules: A function that returns the energy used so far in joules; `None`, the default, if there is
            none.

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
