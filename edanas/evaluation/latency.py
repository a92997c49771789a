"""The objective `latency`: measured milliseconds of a sample on this machine."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import Meter, Objective, Specimen
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Metrics, SegmentFigures
from edanas.model.part_latency import latency_costs


class Stopwatch(Meter):
    """Measures the segments of a fused, untrained network on the run's device.

    Args:
        batch_size: Images per batch; see `edanas.model.part_latency`.
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
    """Mean milliseconds of a sample on this machine, with the run's device and number of threads.

    Each backbone is measured once, by stage and head. The latency of a candidate is the time up to each exit,
    weighted by the utilization. The run folder keeps the measured times, so that a resumed run gives the same
    result; another run measures again, and may differ.

    Args:
        batch_size: Images per batch; later stages count as if the batch stayed full.

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
        """Return the mean milliseconds of one sample."""
        return self.meters[0].mean(metrics) / 1e6


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """Return the objective `latency`."""
    return {"latency": Latency}
