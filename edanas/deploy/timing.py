"""How long networks take on real images, call by call; whoever is compared takes turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
"""(B, C, H, W)."""
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Timing:
    """What one side took.

    Args:
        seconds: (repeats, calls), each of one batch.
        size: Images in a call.
        joules: Joules of a call on average; `None` where nothing counts them.
    """

    seconds: npt.NDArray[np.float64]
    size: int
    joules: float | None = None

    @property
    def mean(self) -> float:
        """Seconds of a call: the mean of a repetition at its median over all, which one bad moment spares."""
        return float(np.median(self.seconds.mean(axis=1)))

    @property
    def percentiles(self) -> tuple[float, ...]:
        """Seconds of a call at each of `PERCENTILES`, over all calls of all repetitions."""
        return tuple(map(float, np.percentile(self.seconds, PERCENTILES)))

    def of(self, calls: npt.NDArray[np.bool_]) -> "Timing":
        """Some of the calls alone."""
        return Timing(self.seconds[:, calls], self.size)


def batches(images: Images, size: int) -> list[Images]:
    """Whole batches of `size`, in order; the first images again where they do not fill the last one.

    Args:
        images: (B, C, H, W), B >= 1.
        size: At least 1.
    """
    whole = -(-len(images) // size) * size
    filled = images[np.arange(whole) % len(images)]
    return [filled[at : at + size] for at in range(0, whole, size)]


@dataclass(frozen=True)
class Side:
    """One of those that are compared.

    Args:
        run: What is timed.
        calls: The batches it is given, of one size.
        now: Its clock, in seconds.
    """

    run: Callable[[Images], object]
    calls: Sequence[Images]
    now: Callable[[], float]


def interleaved_timings(
    sides: Mapping[str, Side], repeats: int, joules: Callable[[], float] | None = None
) -> dict[str, Timing]:
    """What each side takes once it is warm.

    Within a repetition one side follows the other, each on all its batches; every second repetition goes the
    other way round. So what slows the machine for a while slows all of them. When a side's turn comes, its
    first batch is asked once more, before all: how others leave caches and memory counts for nobody.

    Args:
        sides: What is compared, by name.
        repeats: How many repetitions count; at least 1.
        joules: What the machine has used since some moment.
    """
    found = {name: np.zeros((repeats, len(side.calls))) for name, side in sides.items()}
    used = dict.fromkeys(sides, 0.0)
    for repeat in range(repeats):
        for name in reversed(list(sides)) if repeat % 2 else list(sides):
            side = sides[name]
            side.run(side.calls[0])
            before = joules() if joules else 0.0
            found[name][repeat] = _once(side)
            used[name] += joules() - before if joules else 0.0
    return {
        name: Timing(found[name], len(side.calls[0]), used[name] / found[name].size if joules else None)
        for name, side in sides.items()
    }


def _once(side: Side) -> list[float]:
    took = []
    for images in side.calls:
        start = side.now()
        side.run(images)
        took.append(side.now() - start)
    return took
