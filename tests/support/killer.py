"""One run in many processes, each killed and resumed.

The n-th process is killed at its n-th step, until one finishes the run. A step is an advance of a progress
bar or the replacement of a file. For each process but the last, the part of the run in which it was killed is
printed. The caller has run a whole run before, so forked processes need not import anything.
"""

import itertools
import os
import signal
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
    "Training the network plain-8-16-32": "plain",
}


def run_until_killed(arguments: list[str], steps: int, report: int, result_reached: Path) -> int:
    """Run the command and kill this process at step number `steps`, after writing the part to `report`.

    The first process that writes the result is killed there too, since this part has one step only. The file
    `result_reached` marks for later processes that this has happened.
    """
    advance, replace = progress._LineBar.advance, Path.replace
    part, left = "starting", steps

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.write(report, f"{part}\n".encode())
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
            if not result_reached.exists():
                result_reached.touch()
                left = 1
        step()
        return replace(path, target)

    progress._LineBar.advance = moving  # type: ignore[method-assign]
    Path.replace = replacing  # type: ignore[method-assign]
    return main(arguments)


def run_until_finished(arguments: list[str]) -> int:
    """Run until a process finishes; return its exit code."""
    report = os.dup(1)
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as folder:
        for steps in itertools.count(1):
            child = os.fork()
            if child == 0:
                os._exit(run_until_killed(arguments, steps, report, Path(folder) / "written"))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code != -signal.SIGKILL:
                return code
    raise AssertionError("counting has no end")
