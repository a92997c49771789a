"""What was measured once in a run, kept in its folder: whoever asks again, in any process, gets the same."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from edanas.core.errors import RunError
from edanas.core.runfolder import writing
from edanas.core.types import SegmentFigures

FILE = "times.jsonl"
"""Its name in a run's folder: a line for each meter and backbone."""


def once(folder: Path, meter: str, backbone: str, measure: Callable[[], SegmentFigures]) -> SegmentFigures:
    """Times of a backbone: those in the folder, or else measured now and written there.

    One process measures at a time, as that of another one would count, too.

    Args:
        folder: The run's.
        meter: A meter's name.
        backbone: A backbone's id.
        measure: Tells the times.

    Raises:
        RunError: The file is damaged, or cannot be written.
    """
    path = folder / FILE
    with FileLock(folder / f"{FILE}.lock"):
        for known in _lines(path):
            if (known["meter"], known["backbone"]) == (meter, backbone):
                return SegmentFigures(tuple(known["stages"]), tuple(known["heads"]), int(known["last"]))
        found = measure()
        line = json.dumps({"meter": meter, "backbone": backbone, **asdict(found)})
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """What is written whole; a line that a cut left unfinished is cut off, and measured again."""
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        with writing(path):
            path.write_text(whole, encoding="utf-8")
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            found = json.loads(line)
            if set(found) != {"meter", "backbone", "stages", "heads", "last"}:
                raise ValueError
        except ValueError as error:
            raise RunError(f"{path}: line {number} is damaged; without it, it is measured again") from error
        yield found
