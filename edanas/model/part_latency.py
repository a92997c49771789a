"""Latency of the stages and heads of a network on this machine, as costs in nanoseconds."""

import itertools
import statistics
import time

import torch

from edanas.core.contracts import ExitNetwork
from edanas.core.contracts.exit_network import Memory
from edanas.core.costs import Costs
from edanas.core.machine import clock

UNIT = 1e-9
"""Seconds in one unit of cost: costs are whole numbers of nanoseconds."""

_LEAST_PASSES, _MOST_PASSES = 15, 200
_SECONDS = 3.0
"""Seconds after which no further pass starts, once `_LEAST_PASSES` were measured."""


@torch.inference_mode()
def latency_costs(network: ExitNetwork, batch_size: int = 1) -> Costs:
    """Return the latency of each stage and head for one image, in nanoseconds.

    Latencies are medians over many passes. They are used like multiply-adds: the latency of a sample is the
    sum over the stages and placed heads that it runs. The first stage includes the resizing of images and the
    overhead of a call, such as the check of its input. A head includes the inference rule and the confidence
    criterion. If several stages lie between two exits with heads, only the sum of their latencies is
    measured. The sum counts for the last of these stages, and the other stages count 0.

    On a CPU with one thread, the CPU time of the thread is measured, so other programs do not disturb.

    Args:
        network: A network in eval mode. All its heads are measured, also the heads of exits that are not
            placed.
        batch_size: Number of images computed at once; the time of a batch is divided by this number. Every
            stage and head is measured on a full batch. This is exact for single images, and too low for
            larger batches, because fewer images reach later stages.

    Returns:
        Costs in nanoseconds. The cost of an exit point without a head is `None`.
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
    costs = tuple(stages.get(at, 0) for at in range(network.exit_points + 1))
    return Costs(costs, known, last, network.backbone.image_stages)


def _measure_parts(network: ExitNetwork, batch_size: int) -> tuple[dict[int, int], dict[int, int]]:
    """Measure the stages before each exit, and the heads.

    Returns:
        Nanoseconds per image of the stages since the previous exit, and of the head, both by exit point. The
        last exit has the number of exit points as key.
    """
    now = clock(network.device)
    images = network.noise(batch_size).to(network.device)
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
    # The first three passes are slower, because caches are empty.
    medians = [statistics.median(column) for column in zip(*times[3:], strict=True)]
    medians[0] += max(0.0, statistics.median(whole[3:]) - medians[0] - medians[1])
    each = [max(1, round(median / batch_size / UNIT)) for median in medians]
    nanoseconds = dict(zip(names, each, strict=True))
    parts = ("stages", "head")
    stages, heads = (
        {exit_: each for (exit_, part), each in nanoseconds.items() if part == kind} for kind in parts
    )
    return stages, heads
