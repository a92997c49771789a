"""The first lines of a run: its duration as planned, and what more time would change."""

from collections.abc import Callable

from edanas.core.durations import duration_text
from edanas.core.settings import Settings
from edanas.plugins.registry import Registry
from edanas.run.layers import layered_settings
from edanas.run.options import RunOptions

HOUR = 3600.0
"""Seconds of planned time above which a run without a time limit reports its duration before it begins."""

_MORE = 4
"""Factor between the default time limit and the longer one that the first line recommends."""


def announced_settings(registry: Registry, options: RunOptions, say: Callable[[str], None]) -> Settings:
    """Return the settings of a run, and report first how long the run is planned to take.

    Args:
        registry: The extensions by kind and name.
        options: The options of the user.
        say: Called with each line.

    Raises:
        EdanasError: See `layered_settings`.
    """
    lines: list[str] = []
    layers = options.layers()
    settings = layered_settings(registry, layers, lines.append, whole_run=True)
    chosen = any("time_limit" in table for _, table in layers)
    if settings.time_limit:
        say(limit_sentence(settings.time_limit, chosen=chosen))
    for line in lines:
        say(line)
    return settings


def limit_sentence(limit: float, *, chosen: bool) -> str:
    """Return a sentence on the time limit of a run.

    Args:
        limit: The time limit in seconds.
        chosen: True if the user chose the limit; otherwise it is the default for a folder of images.

    Example:
        >>> limit_sentence(10_800, chosen=True)
        'This run is planned for 3 h in all, its time limit.'
    """
    planned = f"This run is planned for {duration_text(limit)} in all"
    if chosen:
        return f"{planned}, its time limit."
    longer = _MORE * limit
    return (
        f"{planned}, since neither a preset nor a time limit is set. `--time-limit {longer:.0f}` "
        f"({duration_text(longer)}) trains all networks {_MORE} times as long, which often makes them more "
        "accurate; `--time-limit 120` suffices for a first look."
    )


def long_run_sentence(seconds: float) -> str:
    """Return a sentence on the expected duration of a run without a time limit; empty for up to an hour.

    Example:
        >>> long_run_sentence(600.0)
        ''
        >>> long_run_sentence(41_389.0)[:56]
        'This run is planned for about 11 h 30 min on this machin'
    """
    if seconds <= HOUR:
        return ""
    return (
        f"This run is planned for about {duration_text(seconds)} on this machine. `--time-limit SECONDS` "
        "bounds it: all numbers of steps then follow from the time."
    )
