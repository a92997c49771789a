"""Latency of each part of a network on this machine, in the form of costs."""

import itertools
import statistics
import time

import torch

from edanas.core.contracts import ExitNetwork
from edanas.core.contracts.exit_network import Memory
from edanas.core.costs import Costs
from edanas.core.machine import clock

UNIT = 1e-9
"""Seconds in one unit of cost: costs are integers of nanoseconds."""

_LEAST_PASSES, _MOST_PASSES = 15, 200
_SECONDS = 3.0


@torch.inference_mode()
def latency_costs(network: ExitNetwork, batch_size: int = 1) -> Costs:
    """Return nanoseconds of each stage and head for one image, medians over many passes.

    A sample that exits at an exit runs the stages and all placed heads up to it. Therefore all arithmetic on
    multiply-adds holds for latencies too. The overhead of a call, such as checking its input, counts with the
    first stage. Preparing images, the criterion and the decision count where they run. Between two exits with
    heads only the sum is known; it counts at the last of the stages there.

    On a CPU with one thread, the thread's own time is measured, which excludes other programs.

    Args:
        network: In eval mode. All its heads are measured, placed or not.
        batch_size: Images computed at once; their time is divided by their number. Later parts count as if
            the batch stayed full: exact for single images, optimistic for batches that shrink.
    """
    scheme = network.scheme
    try:
        network.scheme = tuple(
            0.0 if point in network.points else None for point in range(network.exit_points)
        )
        stages, heads = _measure_parts(network, batch_size)
    finally:
        network.scheme = scheme
    last = heads.pop(network.exit_points)
    known = tuple(heads.get(point) for point in range(network.exit_points))
    return Costs(tuple(stages.get(at, 0) for at in range(network.exit_points + 1)), known, last)


def _measure_parts(network: ExitNetwork, batch_size: int) -> tuple[dict[int, int], dict[int, int]]:
    """Measure nanoseconds per image of the stages before each exit, and of its head, by exit point."""
    now = clock(network.device)
    shape = batch_size, len(network.mean), network.resolution, network.resolution
    noise = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = noise.to(network.device)
    segments = network.segments()
    names = [(segment.exit, part) for segment in segments for part in ("stages", "head")]
    times: list[list[float]] = []
    whole: list[float] = []
    begin = time.monotonic()
    while len(times) < _LEAST_PASSES or (len(times) < _MOST_PASSES and time.monotonic() - begin < _SECONDS):
        marks, features = [now()], images
        memory: Memory = ()
        for segment in segments:
            for stage in segment.stages:
                features = stage(features)
            marks.append(now())
            _, confidence, memory = segment.decide(segment.head(features), memory)
            if segment.threshold is not None:
                bool((confidence >= segment.threshold).all())
            marks.append(now())
        times.append([after - before for before, after in itertools.pairwise(marks)])
        start = now()
        network.predict(images, batch_size=batch_size, compact="always")  # all exit at the first exit
        whole.append(now() - start)
    # The first passes run with cold caches.
    medians = [statistics.median(column) for column in zip(*times[3:], strict=True)]
    medians[0] += max(0.0, statistics.median(whole[3:]) - medians[0] - medians[1])
    each = [max(1, round(median / batch_size / UNIT)) for median in medians]
    nanoseconds = dict(zip(names, each, strict=True))
    parts = ("stages", "head")
    stages, heads = (
        {exit_: each for (exit_, part), each in nanoseconds.items() if part == kind} for kind in parts
    )
    return stages, heads
