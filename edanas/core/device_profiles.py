"""Profiles of microcontrollers: memory, clock, power, and cycles of a multiply-add by kind of layer.

A profile is a TOML file. Files that ship with edanas are in `microcontrollers/`; other packages add files by
entry points in the group `edanas_device_profiles`.
"""

import importlib.metadata
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from edanas.core.costs import Costs
from edanas.core.errors import ConfigError, near_miss
from edanas.core.idle_stages import image_stages_of
from edanas.core.machine import user_path
from edanas.core.operator_graph import KINDS, Footprint
from edanas.core.types import SegmentCost

GROUP = "edanas_device_profiles"
"""Group of the entry points of other packages, each of which is the path of a TOML file."""

_FOLDER = Path(__file__).parent / "microcontrollers"
_NUMBERS = ("ram", "flash", "megahertz")


@dataclass(frozen=True)
class DeviceProfile:
    """A microcontroller, with what its latency and energy are estimated from.

    Args:
        name: Name of the profile.
        ram: Bytes of RAM.
        flash: Bytes of flash.
        megahertz: Clock in MHz.
        cycles: Cycles of one unit of each kind of `Work`.
        source: Origin of the numbers.
        milliwatts: Power while it computes, in mW; `None`, the default, if it is not known.

    Example:
        >>> from edanas.core.operator_graph import Work
        >>> profile = device_profile("cortex-m4-80mhz")
        >>> profile.nanoseconds(Footprint(0, 0, 0, 0, Work(convolution=1_000_000)))
        46750000
    """

    name: str
    ram: int
    flash: int
    megahertz: float
    cycles: Mapping[str, float]
    source: str
    milliwatts: float | None = None

    def nanoseconds(self, footprint: Footprint) -> int:
        """Return the estimated time of a segment, in nanoseconds."""
        amounts = zip(KINDS, footprint.work, strict=True)
        cycles = sum(float(self.cycles[kind]) * amount for kind, amount in amounts)
        return round(1e3 * cycles / self.megahertz)


def device_profile(name: str) -> DeviceProfile:
    """Return the profile with a name, or of a TOML file.

    Raises:
        ConfigError: There is no such profile or file, or the file is not a profile.
    """
    known = profile_files()
    path = known.get(name) or user_path(name)
    if name not in known and path.suffix != ".toml":
        raise ConfigError(
            f"device_profile: found '{name}'; expected the path of a TOML file or a name."
            f"{near_miss(name, known)}"
        )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"device_profile: {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"device_profile: {path} is not valid TOML: {error}") from error
    return _checked(table, path)


def profile_files() -> dict[str, Path]:
    """Return the file of each profile, by the name of the profile."""
    files = {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}
    for entry in importlib.metadata.entry_points(group=GROUP):
        files.setdefault(entry.name, Path(str(entry.load())))
    return files


def segment_figures(
    profile: DeviceProfile, stages: Sequence[SegmentCost], heads: Mapping[int, SegmentCost], last: SegmentCost
) -> Costs:
    """Return the estimated nanoseconds of each segment; the footprint of each must be known.

    Args:
        profile: The device.
        stages: Costs of each of the M stages.
        heads: Costs of heads by exit point, from 0; exit points may be missing.
        last: Costs of the last exit.
    """

    def time(cost: SegmentCost) -> int:
        return profile.nanoseconds(cost.footprint or Footprint(0, 0, 0, 0))

    known = tuple(time(heads[index]) if index in heads else None for index in range(len(stages) - 1))
    return Costs(tuple(map(time, stages)), known, time(last), image_stages_of(stages))


def _checked(table: Mapping[str, Any], path: Path) -> DeviceProfile:
    """Return the profile that a file describes.

    Raises:
        ConfigError: A key is missing, unknown or wrong.
    """
    allowed = {each.name for each in fields(DeviceProfile)} - {"name"}
    for key in table:
        if key not in allowed:
            raise ConfigError(f"device_profile: {path}: unknown key '{key}'.{near_miss(key, allowed)}")
    for key in ("milliwatts", *_NUMBERS):
        if key in table or key in _NUMBERS:
            _positive(table.get(key), key, path)
    cycles = table.get("cycles")
    if not isinstance(cycles, Mapping) or set(cycles) != set(KINDS):
        raise ConfigError(f"device_profile: {path}: `cycles` must be a table of {', '.join(KINDS)}")
    for kind, value in cycles.items():
        _positive(value, f"cycles.{kind}", path, zero=True)
    source = table.get("source")
    if not isinstance(source, str) or not source.strip():
        raise ConfigError(f"device_profile: {path}: `source` is missing; expected the origin of the numbers")
    return DeviceProfile(
        path.stem,
        int(table["ram"]),
        int(table["flash"]),
        float(table["megahertz"]),
        dict(cycles),
        source.strip(),
        table.get("milliwatts"),
    )


def _positive(value: Any, key: str, path: Path, *, zero: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # Less than a byte would round to 0, which is no limit.
    least = "0 or more" if zero else "of 1 or more" if key in ("ram", "flash") else "above 0"
    fits = number and (value >= 0 if zero else value >= 1 if key in ("ram", "flash") else value > 0)
    if not fits or not value < float("inf"):
        raise ConfigError(f"device_profile: {path}: {key}: found {value!r}; expected a number {least}")
