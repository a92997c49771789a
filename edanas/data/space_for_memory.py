"""Choice of the widths and depths of a supernet for limits of RAM and flash."""

import bisect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edanas.core.contracts import SupernetProvider
from edanas.core.space import SearchSpace
from edanas.core.types import Task
from edanas.data.space_for_time import choices_of

SPARE = 2.5
"""Largest RAM and flash of a space's largest network, as a multiple of the limits.

Of random networks of such a space, about half keep the limits.
"""

FEW, STEP = 3, 0.01
"""Number of widths below which finer ones replace dropped widths, and the distance of the tried ones."""

Build = Callable[[Mapping[str, Any]], SupernetProvider]
"""Function from options to a supernet provider."""


def settings_for_memory(
    build: Build, options: Mapping[str, Any], task: Task, ram: float, flash: float
) -> dict[str, Any]:
    """Return the changes of the settings that limits of memory demand, by their dotted names.

    The largest widths, and then the largest depths, are dropped until the largest network has at most `SPARE`
    times the RAM and flash of the limits. A supernet with larger networks would be trained mostly for
    networks that no device of the limits can run. If fewer than `FEW` widths are left, the space gets up
    to `FEW` widths at equal distances, from the smallest to the largest that fits.

    Args:
        build: Function from options to a supernet provider.
        options: Options of the provider; its other options have their defaults.
        task: Number of channels of the images, and number of classes.
        ram: Limit in bytes; 0 = none.
        flash: Limit in bytes; 0 = none.

    Returns:
        The changed settings; empty if the provider has no option `widths`, or counts no memory.
    """
    choices, changed = choices_of(build(options)), dict[str, Any]()
    if not choices.get("width") or not choices.get("depth"):
        return {}

    def fits(name: str, values: list[Any]) -> bool:
        return share(build({**options, **changed, f"{name}s": values}), task, ram, flash) <= SPARE

    for name in ("width", "depth"):
        values = choices[name]
        while len(values) > 1 and not fits(name, values):
            values = values[:-1]
        if name == "width" and len(values) < min(FEW, len(choices[name])):
            values = _finer(values[0], choices[name][len(values)], lambda width: fits("width", [width]))
        if values != choices[name]:
            changed[f"{name}s"] = values
    return {f"supernet.{name}": values for name, values in changed.items()}


def _finer(smallest: float, too_large: float, fits: Callable[[float], bool]) -> list[float]:
    """Return widths at equal distances, from the smallest to the largest one that fits."""
    tried = np.arange(smallest, too_large, STEP).round(2).tolist()
    largest = tried[max(0, bisect.bisect_left(tried, x=1, key=lambda width: not fits(width)) - 1)]
    return sorted(set(np.linspace(smallest, largest, FEW).round(2).tolist()))


def share(provider: SupernetProvider, task: Task, ram: float, flash: float) -> float:
    """Return the RAM or flash of the largest network, as a multiple of its limit; the larger of both.

    Networks whose memory is counted only once they are built have the share 0.

    Args:
        provider: The supernet provider.
        task: Number of channels of the images, and number of classes.
        ram: Limit in bytes; 0 = none.
        flash: Limit in bytes; 0 = none.

    Example:
        >>> from edanas.supernets.elastic_resnet import ElasticResNetProvider
        >>> round(share(ElasticResNetProvider(resolutions=(8,)), Task(1, 10), 0, 1_000_000), 2)
        1.45
    """
    space = SearchSpace(provider.variables(), (None,), provider.exit_points)
    costs = provider.costs(space.largest(), task)
    footprints = [] if costs is None else [each.footprint for each in (*costs[0], costs[1])]
    if not footprints or any(each is None for each in footprints):
        return 0.0
    needed = max(each.ram for each in footprints if each), sum(each.flash for each in footprints if each)
    return max(need / limit if limit else 0.0 for need, limit in zip(needed, (ram, flash), strict=True))


def memory_sentence(changes: Mapping[str, Any]) -> str:
    """Return a sentence on what limits of memory change; empty if they change nothing.

    Args:
        changes: The result of `settings_for_memory`.

    Example:
        >>> memory_sentence({"supernet.widths": [0.2, 0.4]})
        'For the limits of memory the supernet has the widths 0.2, 0.4.'
    """
    parts = [
        f"the {name.rpartition('.')[2]} {', '.join(map(str, values))}" for name, values in changes.items()
    ]
    return f"For the limits of memory the supernet has {' and '.join(parts)}." if parts else ""
