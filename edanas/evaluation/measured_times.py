"""Measured times, kept in the run folder so that each is measured once, in whatever process."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edanas.core.errors import RunError
from edanas.core.runfolder import writing
from edanas.core.types import SegmentFigures

FILE = "times.jsonl"
"""The file's name in a run folder; it has one line per meter and backbone."""


def measure_once(
    folder: Path, meter: str, backbone: str, measure: Callable[[], SegmentFigures]
) -> SegmentFigures:
    """Return the times of a backbone from the run folder, or measure them and write them there.

    Only one process measures at a time, since another would disturb its times.

    Args:
        folder: The run folder.
        meter: A meter's name.
        backbone: A backbone's id.
        measure: Measures the times.

    Raises:
        RunError: The file is damaged, or cannot be written.

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
    with FileLock(folder / f"{FILE}.lock"):
        for entry in _entries(path):
            if (entry["meter"], entry["backbone"]) == (meter, backbone):
                return SegmentFigures(tuple(entry["stages"]), tuple(entry["heads"]), int(entry["last"]))
        times = measure()
        line = json.dumps({"meter": meter, "backbone": backbone, **asdict(times)})
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    return times


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the complete lines; an unfinished last line is removed from the file."""
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    complete = text[: text.rfind("\n") + 1]
    if complete != text:
        with writing(path):
            path.write_text(complete, encoding="utf-8")
    for number, line in enumerate(complete.splitlines(), 1):
        try:
            entry = json.loads(line)
            if set(entry) != {"meter", "backbone", "stages", "heads", "last"}:
                raise ValueError
        except ValueError as error:
            raise RunError(f"{path}: line {number} is damaged; without it, it is measured again") from error
        yield entry
