"""The objective `latency`: mean time of one sample in milliseconds, measured on this machine."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import Meter, Objective, Specimen
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Metrics, SegmentFigures
from edanas.model.part_latency import latency_costs


class Stopwatch(Meter):
    """Meter of latency: nanoseconds of each segment of a network, for one image, on the run's device.

    The measured network is fused (BatchNorm is merged into convolutions) and has random weights.

    Args:
        batch_size: Number of images that the network processes at once; see `edanas.model.part_latency`.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size, self.name = batch_size, f"latency, batches of {batch_size}"

    def figures(self, specimen: Specimen) -> SegmentFigures:
        """See `Meter.figures`."""
        network = specimen.network()
        costs = latency_costs(network.freeze(), self.batch_size)
        return SegmentFigures(
            costs.stages, tuple(head for head in costs.heads if head is not None), costs.last
        )


class Latency(Objective):
    """Mean latency of one sample in milliseconds, on this machine with the run's device and thread count.

    The stages and heads of each backbone are measured once. The latency of a candidate is the mean of the
    times up to each exit, weighted by the utilization. The run folder stores the measured times, so that a
    resumed run uses the same times. A new run measures again, and its results may differ.

    Args:
        batch_size: Number of images that are processed at once, 1 or more; default 1. Every stage is measured
            with full batches, although in use some images exit before the later stages.

    Raises:
        ConfigError: `batch_size` is below 1.
    """

    unit = "ms"
    macs = "executed"

    def __init__(self, batch_size: int = 1) -> None:
        if batch_size < 1:
            raise ConfigError(f"objectives.batch_size: found {batch_size}; allowed: 1 or more")
        self.meters = (Stopwatch(batch_size),)

    def value(self, metrics: Metrics) -> float:
        """Return the mean latency of one sample in milliseconds."""
        return self.meters[0].mean(metrics) / 1e6


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """Register the objective `latency`."""
    return {"latency": Latency}
