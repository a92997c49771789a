"""One run lived in many lives: `python killer.py run ... --out FOLDER`.

The n-th life is killed at its n-th step, a move of a bar or a file put in its place, until one comes to its
end. Prints, for each life but the last, the part of the run in which it ended. Forking spares the lives the
imports, most of which happen within a run.
"""

import itertools
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from edanas.cli import main
from edanas.run import console as progress

PARTS = {
    "Training the supernet": "training",
    "Initial archive": "archive",
    "Search": "search",
    "Fine-tuning the results": "results",
    "Fine-tuning single-exit networks to compare with": "single-exit",
}


def live(arguments: list[str], steps: int, told: int, written: Path) -> int:
    """Run, and be killed at step number `steps`; the part is written to the file descriptor `told` before.

    The first life that comes to write the result ends there, since one step is too few to be hit by chance.
    The file `written` tells the later ones that this has been.
    """
    advance, replace = progress._LineBar.advance, Path.replace
    part, left = "starting", steps

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.write(told, f"{part}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def moving(bar: Any, *values: Any, **named: Any) -> None:
        nonlocal part
        part = PARTS.get(bar._label, part)
        advance(bar, *values, **named)
        step()

    def replacing(path: Path, target: Any) -> Path:
        nonlocal part, left
        if Path(target).name == "result.json":
            part = "writing"
            if not written.exists():
                written.touch()
                left = 1
        step()
        return replace(path, target)

    progress._LineBar.advance = moving  # type: ignore[method-assign]
    Path.replace = replacing  # type: ignore[method-assign]
    return main(arguments)


def lives(arguments: list[str]) -> int:
    """The last life's exit code."""
    told = os.dup(1)
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as folder:
        main([*arguments, "--out", folder])
    with tempfile.TemporaryDirectory() as folder:
        for steps in itertools.count(1):
            child = os.fork()
            if child == 0:
                os._exit(live(arguments, steps, told, Path(folder) / "written"))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code != -signal.SIGKILL:
                return code
    raise AssertionError("counting has no end")


if __name__ == "__main__":
    sys.exit(lives(sys.argv[1:]))
