"""One run lived in many lives: `python killer.py run ... --out FOLDER`.

The n-th life is killed at its n-th step, a move of a bar or a file put in its place, until one comes to its
end. Prints, for each life but the last, the part of the run in which it ended. Forking spares the lives the
imports, most of which happen within a run.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from edanas.cli import main, progress

PARTS = {
    "Training the supernet": "training",
    "Initial archive": "archive",
    "Search": "search",
    "Fine-tuning the results": "results",
    "Fine-tuning single-exit networks to compare with": "single-exit",
}


def live(arguments: list[str], steps: int, told: int) -> int:
    """Run, and be killed at step number `steps`; the part is written to the file descriptor `told` before."""
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
        nonlocal part
        if Path(target).name == "result.json":
            part = "writing"
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
    steps = 0
    while True:
        steps += 1
        child = os.fork()
        if child == 0:
            os._exit(live(arguments, steps, told))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != -signal.SIGKILL:
            return code


if __name__ == "__main__":
    sys.exit(lives(sys.argv[1:]))
