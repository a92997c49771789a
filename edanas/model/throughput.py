"""Time of a network's segments by batch size, and the compaction and chunks that follow from it.

On a CPU, time grows with the batch from the first sample on, and large features do not fit the caches. So
chunks are fastest, and compaction pays almost at once. On an accelerator, small batches take as long as one
sample, and compaction pays only if many samples exit.
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
"""Batch sizes to measure, up to the one in use; larger batches count in proportion to the largest."""

_REPEATS = 3

_MEASURING_RATIO = 2
"""Measuring waits until this many times the samples that it needs were classified."""

_CPU_CHUNK = 32
"""Chunk on a CPU before anything is measured: large features of this many samples fit most caches."""

_CHUNK_GAIN = 0.95
"""Chunks are used if a sample then takes less than this share of its time in the largest measured size."""


_MEASURING = threading.Lock()
"""Lock of the whole process, because simultaneous measurements would slow each other down."""


@dataclass(frozen=True)
class Times:
    """Immutable measurements, so that a thread never reads a part of those of another.

    Args:
        sizes: Batch sizes, the first of `SIZES`.
        running: Seconds of one pass in one piece, stages and head, by segment and size.
        moving: Seconds of selecting that many rows of the features behind a segment, by segment and size.
    """

    sizes: tuple[int, ...]
    running: tuple[tuple[float, ...], ...]
    moving: tuple[tuple[float, ...], ...]

    @functools.cached_property
    def chunks(self) -> tuple[int | None, ...]:
        """The fastest chunk of each segment; `None` if it is hardly faster than the largest size."""
        return tuple(map(self._best, self.running))

    def seconds(self, segment: int, count: int) -> float:
        """Return the seconds of `count` samples through a segment, in its chunks."""
        times, chunk = self.running[segment], self.chunks[segment]
        if chunk is None:
            return self.between(times, count)
        whole, rest = divmod(count, chunk)
        return whole * times[self.sizes.index(chunk)] + (self.between(times, rest) if rest else 0.0)

    def between(self, times: Sequence[float], count: int) -> float:
        """Interpolate linearly between measured sizes; beyond the largest, in proportion."""
        if count >= self.sizes[-1]:
            return times[-1] * count / self.sizes[-1]
        above = next(i for i, size in enumerate(self.sizes) if size > count)
        low, high = self.sizes[above - 1], self.sizes[above]
        return times[above - 1] + (times[above] - times[above - 1]) * (count - low) / (high - low)

    def _best(self, times: Sequence[float]) -> int | None:
        """Return the chunk with the least time per sample, or `None` if it gains hardly anything."""
        each = [seconds / size for seconds, size in zip(times, self.sizes, strict=True)]
        best = min(range(len(each)), key=each.__getitem__, default=-1)
        return self.sizes[best] if each and each[best] < _CHUNK_GAIN * each[-1] else None


class Throughput:
    """A `Compaction` by measured seconds of each segment, and of moving its features, by batch size.

    Until it has measured, it always compacts. Its decisions change predictions by rounding alone. Threads may
    share one.

    Args:
        segments: As for `edanas.model.runtime.classify`.
        image: A batch of one image as input of the first segment; it is repeated for measurements.
    """

    def __init__(self, segments: Sequence[Segment], image: torch.Tensor) -> None:
        self._segments, self._image = segments, image
        self.times = Times((), ((),) * len(segments), ((),) * len(segments))
        self._seen = 0

    def count_samples(self, count: int) -> None:
        """Count a batch of `count` samples before it is classified; measure after enough of them."""
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
        """See `edanas.model.runtime.Compaction.pays`: compares the time of all later segments."""
        times = self.times
        if not times.sizes:
            return True
        gained = -times.between(times.moving[segment], staying)
        for following in range(segment + 1, len(self._segments)):
            gained += times.seconds(following, carried) - times.seconds(following, staying)
        return gained > 0.0

    def break_even(self, segment: int, count: int) -> float | None:
        """Return the least share of `count` samples that must exit behind `segment` for compaction to pay."""
        paying = (gone for gone in range(1, count) if self.pays(segment, count, count - gone))
        return next((gone / count for gone in paying), None)

    @torch.inference_mode()
    def measure(self, count: int) -> None:
        """Measure the sizes up to `count` that are not measured yet."""
        with _MEASURING:
            for size in self._missing_sizes(count):
                self.times = self._add_size(self.times, size)

    def _missing_sizes(self, count: int) -> list[int]:
        """Return the sizes up to `count`, and the next one, that are not measured."""
        needed = 1 + sum(size < min(count, SIZES[-1]) for size in SIZES)
        return list(SIZES[len(self.times.sizes) : needed])

    def _add_size(self, times: Times, size: int) -> Times:
        """Return the times with those of one more size."""
        features = self._image.expand(size, -1, -1, -1).contiguous()
        rows = torch.arange(size, device=features.device)
        running, moving = [], []
        for segment, ran, moved in zip(self._segments, times.running, times.moving, strict=True):
            running.append((*ran, _shortest_time(segment.run, features)))
            features = segment.run(features)[0]
            moving.append((*moved, _shortest_time(lambda inputs: select_rows(inputs, rows), features)))
        return Times((*times.sizes, size), tuple(running), tuple(moving))


def _shortest_time(function: Callable[[torch.Tensor], object], inputs: torch.Tensor) -> float:
    """Return the shortest of several times, after a first run that warms up."""
    now, seconds = clock(inputs.device), []
    for _ in range(1 + _REPEATS):
        start = now()
        function(inputs)
        seconds.append(now() - start)
    return min(seconds[1:])
