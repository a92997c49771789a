"""Memory of a finished network on a microcontroller, and estimates of its latency and energy."""

import math
from collections.abc import Sequence
from typing import Any

from edanas.core.costs import executed_macs, executed_per_exit
from edanas.core.device_profiles import DeviceProfile, segment_figures
from edanas.core.idle_stages import running_costs
from edanas.core.network_memory import NOTHING
from edanas.core.types import SegmentCost, SelectionScheme
from edanas.model.anatomy import Anatomy


def memory_figures(anatomy: Anatomy, scheme: SelectionScheme) -> dict[str, Any]:
    """Return the fields of a `ResultRow` that hold bytes; empty if the network's memory is not known.

    Args:
        anatomy: The costs of the network.
        scheme: Its selection scheme.
    """
    memory = anatomy.memory(scheme)
    if memory is None:
        return {}
    stages = [each.footprint or NOTHING for each in running_costs(anatomy.stages, scheme.placed)]
    heads = {index: anatomy.heads[index] for index in scheme.placed}
    return {
        "ram": memory.ram,
        "flash": memory.flash,
        "exit_ram": memory.exit_ram,
        "ram_layer": memory.largest,
        "stage_ram": tuple(each.ram for each in stages),
        "stage_flash": tuple(each.flash for each in stages),
        "head_flash": tuple(
            _flash(heads[index]) if index in heads else None for index in range(len(scheme.thresholds))
        ),
        "last_flash": _flash(anatomy.last),
    }


def estimates(
    profile: DeviceProfile | None, anatomy: Anatomy, scheme: SelectionScheme, utilization: Sequence[float]
) -> dict[str, Any]:
    """Return estimated latency and energy on a device, by exit and on average; empty without a device.

    Args:
        profile: The device; `None` for none.
        anatomy: The costs of the network.
        scheme: Its selection scheme.
        utilization: Fraction of samples that exit at each exit point and at the last exit.

    Returns:
        `profile`, `latency_ms`, `exit_latency_ms`, `energy_mj` and `exit_energy_mj`; lists have an entry for
        each exit point (`None` = no exit) and for the last exit. Energy is missing without power.
    """
    if profile is None or anatomy.memory(scheme) is None:
        return {}
    costs = segment_figures(profile, anatomy.stages, anatomy.heads, anatomy.last)
    by_exit = [None if math.isnan(each) else each / 1e6 for each in executed_per_exit(costs, scheme).tolist()]
    mean = executed_macs(costs, scheme, utilization) / 1e6
    figures: dict[str, Any] = {"profile": profile.name, "latency_ms": mean, "exit_latency_ms": by_exit}
    if profile.milliwatts is not None:
        figures["energy_mj"] = mean * profile.milliwatts / 1e3
        figures["exit_energy_mj"] = [
            None if each is None else each * profile.milliwatts / 1e3 for each in by_exit
        ]
    return figures


def _flash(cost: SegmentCost) -> int:
    return (cost.footprint or NOTHING).flash
