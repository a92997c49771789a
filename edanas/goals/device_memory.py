"""Objectives `ram` and `flash`: bytes of an int8 network on a microcontroller."""

from collections.abc import Callable, Mapping
from typing import Literal

from edanas.core.contracts import Objective
from edanas.core.errors import CostError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Metrics


class Ram(Objective):
    """Working memory of the int8 network on a microcontroller, in bytes: the peak of its activations.

    The operators run in the order that needs the least memory. The features at an exit stay in memory while
    its head runs. The bookkeeping of a runtime and the stack are not counted.

    Args:
        measure: `peak`, the default, for a sample that exits at the last exit. `first` for a sample that
            exits at the first exit; a device that sleeps between samples pays this for most of them.
    """

    unit = "bytes"
    structural = True
    footprints = True

    def __init__(self, measure: Literal["peak", "first"] = "peak") -> None:
        self._measure = measure

    def value(self, metrics: Metrics) -> float:
        """Return the peak, in bytes."""
        if metrics.ram is None:
            raise CostError("ram: the metrics hold no bytes of RAM; allowed: evaluations that count them")
        if self._measure == "peak":
            return float(metrics.ram)
        return float(next(ram for ram in metrics.exit_ram if ram is not None))


class Flash(Objective):
    """Storage of the int8 network on a microcontroller, in bytes: weights, biases and scales.

    A weight has 1 byte. An output channel has 12 bytes besides: bias, multiplier and shift. Placed heads are
    included, and the code that runs the network is not.
    """

    unit = "bytes"
    structural = True
    footprints = True

    def value(self, metrics: Metrics) -> float:
        """Return the bytes of all weights, biases and scales."""
        if metrics.flash is None:
            raise CostError("flash: the metrics hold no bytes of flash; allowed: evaluations that count them")
        return float(metrics.flash)


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """Register the objectives `ram` and `flash`."""
    return {"ram": Ram, "flash": Flash}
