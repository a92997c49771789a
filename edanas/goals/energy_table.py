"""The objective `energy-table`: energy at the best clock frequency, from a table of layers per frequency."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import Objective
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Metrics
from edanas.goals.latency_table import LatencyTableMeter


class EnergyTable(Objective):
    """Mean energy of a sample in millijoules, at the clock frequency of the device that needs least.

    A table holds the measured energy and latency of each layer at one frequency. Both are added up over the
    layers, and weighted by the utilization of the exits. Frequencies whose latency is above `max_latency` are
    left out. If all are, the frequency with the lowest latency counts; a constraint on `latency-table` bounds
    the latency of results.

    In HADAS (Bouzidi et al., 2022) a genetic search chooses exits and frequency together. Here the best
    frequency of each choice of exits and thresholds is exact, so that the search of exits includes it.
    Stamoulis et al. (ICCAD 2018) take the energy of networks from measurements in the same way.

    Args:
        paths: A YAML file for each frequency, by its name, e.g. its number of MHz. The file maps the name of
            each layer to `mean`, its latency in milliseconds, and `energy`, in millijoules. The names are
            those of `latency-table`.
        max_latency: Largest mean latency of a sample, in milliseconds; 0, the default, sets no limit.

    Raises:
        ConfigError: There is no file, or a file cannot be read, is not YAML, holds no layer, or lacks a valid
            entry.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        ...     _ = file.write("'Conv-input:8x8x3-output:8x8x16': {mean: 0.25, energy: 1.5}")
        ...     file.flush()
        ...     EnergyTable({"600": file.name}).unit
        'mJ'
    """

    unit = "mJ"
    macs = "executed"

    def __init__(self, paths: dict[str, str], max_latency: float = 0.0) -> None:
        if not paths:
            raise ConfigError("objectives.paths: found no table; allowed: a YAML file for each frequency")
        if not 0 <= max_latency < float("inf"):
            raise ConfigError(f"objectives.max_latency: found {max_latency:g}; allowed: 0 (no limit) or more")
        self.max_latency = max_latency
        self._energy = {name: LatencyTableMeter(path, "energy") for name, path in paths.items()}
        self._latency = {name: LatencyTableMeter(path) for name, path in paths.items()}
        self.meters = (*self._energy.values(), *self._latency.values())

    def frequency(self, metrics: Metrics) -> str:
        """Return the name of the frequency with the least energy within `max_latency`."""
        latency = {name: meter.mean(metrics) / 1e6 for name, meter in self._latency.items()}
        allowed = [name for name, ms in latency.items() if not self.max_latency or ms <= self.max_latency]
        if not allowed:
            return min(latency, key=lambda name: latency[name])
        return min(allowed, key=lambda name: self._energy[name].mean(metrics))

    def value(self, metrics: Metrics) -> float:
        """Return the mean energy of a sample at the best frequency, in millijoules."""
        return self._energy[self.frequency(metrics)].mean(metrics) / 1e6


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """Register the objective `energy-table`."""
    return {"energy-table": EnergyTable}
