"""Measured times of backbones, stored in the run folder, so that each backbone is measured only once."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edanas.core.errors import RunError
from edanas.core.records import parse, sealed, unsealed
from edanas.core.runfolder import refuse_link, replace_file, writing
from edanas.core.types import SegmentFigures

FILE = "times.jsonl"
"""Name of the file in a run folder; it has one line for each pair of meter and backbone."""


def measure_once(
    folder: Path, meter: str, backbone: str, measure: Callable[[], SegmentFigures], device: str = ""
) -> SegmentFigures:
    """Return the times of a backbone from the run folder, or measure and store them.

    Only one process measures at a time, since two would slow each other down.

    Args:
        folder: The run folder.
        meter: Name of the meter.
        backbone: Id of the backbone.
        measure: Measures and returns the times; called only if the folder does not hold them.
        device: Name of the model of the device that `measure` uses; empty = unknown.

    Returns:
        The time of each stage, each head and the last exit, in the meter's unit.

    Raises:
        RunError: `times.jsonl` is damaged, cannot be written, or holds times of another model of device.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> times = SegmentFigures(stages=(5, 6), heads=(1,), last=1)
        >>> with TemporaryDirectory() as folder:
        ...     first = measure_once(Path(folder), "latency", "backbone", lambda: times)
        ...     again = measure_once(Path(folder), "latency", "backbone", lambda: SegmentFigures((), (), 0))
        >>> again == first == times
        True
    """
    from filelock import FileLock

    path = folder / FILE
    lock = folder / f"{FILE}.lock"
    refuse_link(lock)
    with FileLock(lock):
        for entry in _entries(path):
            if (entry["meter"], entry["backbone"]) == (meter, backbone):
                return SegmentFigures(tuple(entry["stages"]), tuple(entry["heads"]), int(entry["last"]))
            if (other := entry.get("device", device)) != device:
                raise RunError(
                    f"{path}: holds times measured on '{other}', and this process computes on '{device}'; "
                    "allowed: workers with one model of device"
                )
        times = measure()
        model = {"device": device} if device else {}
        line = json.dumps(sealed({"meter": meter, "backbone": backbone, **asdict(times), **model}))
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    return times


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entry of each complete line, after removing an unfinished last line from the file."""
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    complete = text[: text.rfind("\n") + 1]
    if complete != text:
        replace_file(path, complete.encode(errors="surrogateescape"))
    for number, line in enumerate(complete.split("\n")[:-1], 1):
        try:
            entry = unsealed(parse(line))
            # Older versions recorded no device.
            if set(entry) - {"device"} != {"meter", "backbone", "stages", "heads", "last"}:
                raise ValueError("has other keys")
        except ValueError as error:
            raise RunError(
                f"{path}: line {number} is damaged ({error}); delete the line to measure again"
            ) from error
        yield entry
