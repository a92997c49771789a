"""The objective `latency`: what a sample takes on this machine, measured."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import Meter, Objective, Specimen
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Metrics, SegmentFigures
from edanas.model.part_latency import latency_costs


class Stopwatch(Meter):
    """Measures the segments of a frozen network with fresh weights, where the run's networks run.

    Args:
        batch_size: Images at once; see `edanas.model.part_latency`.
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
    """Milliseconds of a sample on average on this machine, measured; the run's device and threads count.

    Each backbone is measured once, stage by stage and head by head, and what a candidate takes is what its
    samples run through: utilization times the time up to each exit. What was measured stays in the run's
    folder, so that a resumed run is the same; another run measures again, and is not.

    Args:
        batch_size: Images at once; later stages count as if the batch stayed full.

    Raises:
        ConfigError: It is below 1.
    """

    unit = "ms"
    macs = "executed"

    def __init__(self, batch_size: int = 1) -> None:
        if batch_size < 1:
            raise ConfigError(f"objectives.batch_size: found {batch_size}; allowed: 1 or more")
        self.meters = (Stopwatch(batch_size),)

    def value(self, metrics: Metrics) -> float:
        """Milliseconds of one sample, on average."""
        return self.meters[0].mean(metrics) / 1e6


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """The objective `latency`."""
    return {"latency": Latency}
