"""Objectives `device-latency` and `device-energy`: estimates for a microcontroller, from its profile."""

from collections.abc import Callable, Mapping

from edanas.core.contracts import Meter, Objective, Specimen
from edanas.core.device_profiles import device_profile, segment_figures
from edanas.core.errors import ConfigError, CostError
from edanas.core.hookspecs import hookimpl
from edanas.core.network_memory import lacks_footprints
from edanas.core.types import Metrics, SegmentFigures


class DeviceMeter(Meter):
    """Estimated nanoseconds of each segment on a microcontroller.

    Args:
        profile: Name or TOML file of the device's profile.

    Raises:
        ConfigError: There is no such profile.
    """

    counted = True
    footprints = True

    def __init__(self, profile: str) -> None:
        self.profile = device_profile(profile)
        self.name = f"nanoseconds on {profile}"

    def figures(self, specimen: Specimen) -> SegmentFigures:
        """See `Meter.figures`."""
        if lacks_footprints((*specimen.stages, *specimen.heads, specimen.last)):
            raise CostError(f"{self.name}: the work of a segment is not known")
        heads = dict(enumerate(specimen.heads))
        costs = segment_figures(self.profile, specimen.stages, heads, specimen.last)
        return SegmentFigures(costs.stages, tuple(head or 0 for head in costs.heads), costs.last)


class DeviceLatency(Objective):
    """Estimated mean latency of a sample on a microcontroller, in milliseconds.

    The estimate adds up cycles of a multiply-add by kind of layer. `latency-table` takes measured layers.

    Args:
        profile: Name of a device, e.g. `cortex-m4-80mhz`, or a TOML file.

    Raises:
        ConfigError: There is no such profile.
    """

    unit = "ms"
    macs = "executed"
    footprints = True

    def __init__(self, profile: str) -> None:
        self.meters = (DeviceMeter(profile),)

    def value(self, metrics: Metrics) -> float:
        """Return the estimated latency, in milliseconds."""
        return self.meters[0].mean(metrics) / 1e6


class DeviceEnergy(Objective):
    """Estimated mean energy of a sample on a microcontroller, in millijoules: latency times power.

    Args:
        profile: Name of a device, e.g. `cortex-m4-80mhz`, or a TOML file.

    Raises:
        ConfigError: There is no such profile, or it has no power.
    """

    unit = "mJ"
    macs = "executed"
    footprints = True

    def __init__(self, profile: str) -> None:
        meter = DeviceMeter(profile)
        if meter.profile.milliwatts is None:
            raise ConfigError(f"objectives.profile: '{profile}' has no power (`milliwatts`)")
        self.meters, self._milliwatts = (meter,), meter.profile.milliwatts

    def value(self, metrics: Metrics) -> float:
        """Return the estimated energy, in millijoules."""
        return self.meters[0].mean(metrics) / 1e9 * self._milliwatts


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """Register the objectives `device-latency` and `device-energy`."""
    return {"device-latency": DeviceLatency, "device-energy": DeviceEnergy}
