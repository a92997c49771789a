"""Measured times of a network's segments, from which compaction and chunks of batches follow.

Compaction moves the samples that have not exited together, so that the next segments run on them alone. A
chunk is a number of samples that run through a segment at once. On a CPU, the time is roughly proportional to
the size of the batch, and large features do not fit the caches. Therefore chunks are fastest, and compaction
pays almost always. On an accelerator, a small batch takes as long as one sample, and compaction pays only if
many samples exit.
"""

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from edanas.core.contracts import Segment
from edanas.core.machine import clock
from edanas.model.runtime import select_rows

SIZES = (1, 4, 16, 64, 256)
"""Batch sizes at which times are measured, up to the size in use.

The time of a larger batch is estimated in proportion to the largest size.
"""

_REPEATS = 3
"""Number of runs of which the shortest time counts."""

_MEASURING_RATIO = 2
"""Number of classified samples before times are measured, as a multiple of the samples to measure with."""

_CPU_CHUNK = 32
"""Number of samples in a chunk on a CPU before times are measured; features of 32 samples fit most caches."""

_CHUNK_GAIN = 0.95
"""Factor below which the time of a sample must fall with chunks, against the largest size, for their use."""


_MEASURING = threading.Lock()
"""Lock for all networks of the process, because simultaneous measurements would slow each other down."""


@dataclass(frozen=True)
class Times:
    """Measured times of the segments of a network, by batch size.

    The object does not change, so that a thread never reads half of another thread's measurements.

    Args:
        sizes: Measured batch sizes, rising: the first sizes of `SIZES`.
        running: For each segment and each size, the seconds of one pass through stages and head without
            chunks.
        moving: For each segment and each size, the seconds that selecting this number of samples from the
            features behind the segment takes.
    """

    sizes: tuple[int, ...]
    running: tuple[tuple[float, ...], ...]
    moving: tuple[tuple[float, ...], ...]

    @functools.cached_property
    def chunks(self) -> tuple[int | None, ...]:
        """The fastest chunk of each segment, in samples; `None` where chunks are hardly faster."""
        return tuple(map(self._best, self.running))

    def seconds(self, segment: int, count: int) -> float:
        """Return the estimated seconds of `count` samples through segment `segment`, in its chunks."""
        times, chunk = self.running[segment], self.chunks[segment]
        if chunk is None:
            return self.between(times, count)
        whole, rest = divmod(count, chunk)
        return whole * times[self.sizes.index(chunk)] + (self.between(times, rest) if rest else 0.0)

    def between(self, times: Sequence[float], count: int) -> float:
        """Return the estimated seconds of a batch, interpolated linearly between measured sizes.

        Beyond the largest measured size, the time is proportional to the size.

        Args:
            times: Seconds at each measured size.
            count: Number of samples in the batch.
        """
        if count >= self.sizes[-1]:
            return times[-1] * count / self.sizes[-1]
        above = next(i for i, size in enumerate(self.sizes) if size > count)
        low, high = self.sizes[above - 1], self.sizes[above]
        return times[above - 1] + (times[above] - times[above - 1]) * (count - low) / (high - low)

    def _best(self, times: Sequence[float]) -> int | None:
        """Return the chunk with the least time per sample, or `None` if chunks are hardly faster.

        Args:
            times: Seconds at each measured size.
        """
        each = [seconds / size for seconds, size in zip(times, self.sizes, strict=True)]
        best = min(range(len(each)), key=each.__getitem__, default=-1)
        return self.sizes[best] if each and each[best] < _CHUNK_GAIN * each[-1] else None


class Throughput:
    """A compaction strategy that follows from measured times of the segments; see `Compaction`.

    Until times are measured, the strategy always compacts. Decisions change confidences by rounding alone.
    Threads may share an object of this class.

    Args:
        segments: Segments of the network, in the order in which they run.
        image: (1, C, H, W) batch of one image, the input of the first segment. It is repeated to measure
            larger batches.
    """

    def __init__(self, segments: Sequence[Segment], image: torch.Tensor) -> None:
        self._segments, self._image = segments, image
        self.times = Times((), ((),) * len(segments), ((),) * len(segments))
        self._seen = 0

    def count_samples(self, count: int) -> None:
        """Count the samples of a batch before it is classified; measure times after enough samples.

        Args:
            count: Number of samples in the batch.
        """
        missing = self._missing_sizes(count) if count > 1 else []
        self._seen += count
        if missing and self._seen >= _MEASURING_RATIO * (_REPEATS + 2) * sum(missing):
            self.measure(count)

    def chunk(self, segment: int, count: int) -> int:
        """See `edanas.model.runtime.Compaction.chunk`."""
        measured = self.times.chunks[segment]
        if measured is None and self._missing_sizes(count):
            return _CPU_CHUNK if self._image.device.type == "cpu" else count
        return measured or count

    def pays(self, segment: int, carried: int, staying: int) -> bool:
        """See `edanas.model.runtime.Compaction.pays`.

        The result is true if the time saved in all later segments exceeds the time of moving samples.
        """
        times = self.times
        if not times.sizes:
            return True
        gained = -times.between(times.moving[segment], staying)
        for following in range(segment + 1, len(self._segments)):
            gained += times.seconds(following, carried) - times.seconds(following, staying)
        return gained > 0.0

    def break_even(self, segment: int, count: int) -> float | None:
        """Return the least fraction of the samples that must exit behind a segment for compaction to pay.

        Args:
            segment: Index of the segment, from 0.
            count: Number of samples that run through the segment.

        Returns:
            A fraction between 0 and 1, or `None` if compaction does not pay for any number of exiting
            samples.
        """
        paying = (gone for gone in range(1, count) if self.pays(segment, count, count - gone))
        return next((gone / count for gone in paying), None)

    @torch.inference_mode()
    def measure(self, count: int) -> None:
        """Measure the times of batches of up to `count` samples, as far as they are not measured yet."""
        with _MEASURING:
            for size in self._missing_sizes(count):
                self.times = self._add_size(self.times, size)

    def _missing_sizes(self, count: int) -> list[int]:
        """Return the batch sizes up to `count`, and the next larger size, that are not measured yet."""
        needed = 1 + sum(size < min(count, SIZES[-1]) for size in SIZES)
        return list(SIZES[len(self.times.sizes) : needed])

    def _add_size(self, times: Times, size: int) -> Times:
        """Return the times with the measured times of one more batch size."""
        features = self._image.expand(size, -1, -1, -1).contiguous()
        rows = torch.arange(size, device=features.device)
        running, moving = [], []
        for segment, ran, moved in zip(self._segments, times.running, times.moving, strict=True):
            running.append((*ran, _shortest_time(segment.run, features)))
            features = segment.run(features)[0]
            moving.append((*moved, _shortest_time(lambda inputs: select_rows(inputs, rows), features)))
        return Times((*times.sizes, size), tuple(running), tuple(moving))


def _shortest_time(function: Callable[[torch.Tensor], object], inputs: torch.Tensor) -> float:
    """Return the seconds of the fastest of several runs of a function, after a first run to warm up."""
    now, seconds = clock(inputs.device), []
    for _ in range(1 + _REPEATS):
        start = now()
        function(inputs)
        seconds.append(now() - start)
    return min(seconds[1:])
