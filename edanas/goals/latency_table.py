"""The objective `latency-table`: the latency of a network, added up from a table of measured layers."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from edanas.core.contracts import Meter, Objective, Specimen
from edanas.core.errors import ConfigError, CostError, near_miss
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import user_path
from edanas.core.types import Metrics, SegmentFigures

_QUANTITIES = {"mean": "latency", "energy": "energy"}
"""Quantity of each entry of a table."""

_UNITS = {"mean": "milliseconds", "energy": "millijoules"}
"""Unit of each entry of a table."""


class LatencyTableMeter(Meter):
    """The latency or energy of each segment: the sum over its layers in a table.

    The table has the format of the Once-for-All project. Figures are in millionths of the table's unit:
    nanoseconds or nanojoules. A head without multiply-adds, as in a cascade, costs nothing.

    Args:
        path: A YAML file. It maps the description of each layer to `mean`, its latency in milliseconds, and
            to other entries, e.g. `energy` in millijoules.
        entry: Name of the entry to add up; `mean` by default.

    Raises:
        ConfigError: The file cannot be read, is not YAML, holds no layer, or lacks a valid entry.
    """

    counted = True

    def __init__(self, path: str, entry: str = "mean") -> None:
        self.path, self.entry = user_path(path), entry
        self.name = f"{_QUANTITIES[entry]} table {path}"
        if not self._milli:
            raise ConfigError(
                f"objectives.path: {self.path} holds no layer; expected the name of each "
                f"layer and its entry with `{entry}`"
            )

    def figures(self, specimen: Specimen) -> SegmentFigures:
        """See `Meter.figures`."""
        layers = specimen.provider.layers(specimen.backbone, specimen.task)
        if layers is None:
            kind = type(specimen.provider).__name__
            raise CostError(
                f"{_QUANTITIES[self.entry]}-table: the supernet {kind} does not describe its layers; "
                "choose another supernet, or the objective `latency`, which measures"
            )
        *stages, last = (sum(map(self._figure, each)) for each in layers)
        classes = specimen.task.num_classes
        free = {at for at, cost in enumerate(specimen.heads) if not cost.macs}
        heads = [
            0
            if index in free
            else self._figure(f"Exit-input:{point.height}x{point.width}x{point.channels}-output:{classes}")
            for index, point in enumerate(specimen.points)
        ]
        return SegmentFigures(tuple(stages), tuple(heads), last)

    def _figure(self, layer: str) -> int:
        if layer not in self._milli:
            hint = near_miss(layer, list(self._milli))
            raise CostError(f"{self.path}: has no entry for the layer '{layer}'.{hint}")
        return round(1e6 * self._milli[layer])

    @cached_property
    def _milli(self) -> dict[str, float]:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            layers: Any = yaml.load(self.path.read_text(encoding="utf-8"), loader)  # noqa: S506 - the safe one
        except OSError as error:
            why = error.strerror or error
            raise ConfigError(f"objectives.path: {self.path} cannot be read: {why}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            text = " ".join(str(error).split())
            raise ConfigError(f"objectives.path: {self.path} is not valid YAML: {text}") from error
        if not isinstance(layers, Mapping):
            raise ConfigError(
                f"objectives.path: {self.path} does not map layers to numbers; expected a YAML mapping "
                f"from each layer to an entry with `{self.entry}`"
            )
        return {str(layer): self._number(str(layer), entry) for layer, entry in layers.items()}

    def _number(self, layer: str, entries: Any) -> float:
        value = entries.get(self.entry) if isinstance(entries, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ConfigError(
                f"objectives.path: {self.path}, '{layer}': found {entries!r}; expected an entry with "
                f"`{self.entry}`, a number of {_UNITS[self.entry]}, 0 or more"
            )
        return float(value)


class LatencyTable(Objective):
    """Mean latency of a sample in milliseconds, from a lookup table.

    The table has the format of the Once-for-All project. The latency of a network is the sum of its layers'
    latencies (Cai and others, Once-for-All, ICLR 2020; ProxylessNAS, ICLR 2019). A candidate's latency is the
    mean over exits, weighted by utilization. Layers have the names of the project's tables for MobileNetV3,
    e.g. `Conv-input:224x224x3-output:112x112x16`. A head at an exit point is one entry, e.g.
    `Exit-input:28x28x40-output:1000`. A candidate with a layer that the table lacks fails with a `CostError`.

    Args:
        path: A YAML file that maps the name of each layer to its `mean` latency, in milliseconds.

    Raises:
        ConfigError: The file cannot be read, is not YAML, holds no layer, or lacks a valid `mean`.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        ...     _ = file.write("'Conv-input:8x8x3-output:8x8x16': {mean: 0.25, count: 10}")
        ...     file.flush()
        ...     LatencyTable(file.name).unit
        'ms'
    """

    unit = "ms"
    macs = "executed"

    def __init__(self, path: str) -> None:
        self.meters = (LatencyTableMeter(path),)

    def value(self, metrics: Metrics) -> float:
        """Return the mean latency of a sample, in milliseconds."""
        return self.meters[0].mean(metrics) / 1e6


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """Register the objective `latency-table`."""
    return {"latency-table": LatencyTable}
