"""Kills by SIGKILL at random moments of each phase; every killed run is resumed and compared."""

import os
import select
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edanas.api import run
from edanas.core.progress import Bar, Silent
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.layers import layered_settings, user_layers
from fault_checks.job import Job, figures, forked, wait

PHASES = {
    "Training the supernet": "training",
    "Initial archive": "archive",
    "Search": "search",
    "Fine-tuning the results": "fine-tuning",
    "Fine-tuning single-exit networks to compare with": "single exits",
    "": "writing",
}
"""Label of a task -> phase of a run; the phase `writing` follows the last task."""


class Reporting(Silent):
    """Progress that writes the number of each phase to a pipe when the phase begins."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Bar]:
        """See `Progress.task`."""
        labels = list(PHASES)
        if label in PHASES:
            os.write(self.pipe, bytes([labels.index(label)]))
        with super().task(label, total) as bar:
            yield bar
        if label == labels[-2]:
            os.write(self.pipe, bytes([len(labels) - 1]))


def killed_runs(job: Job, count: int) -> dict[str, Any]:
    """Kill runs `count` times, as often in each phase, and return the kills by phase and the faults.

    A run is killed once in each phase, and resumed each time; its result must equal the undisturbed run.
    """
    names = list(PHASES.values())
    kills: Counter[str] = Counter()
    faults: list[str] = []
    lengths = _lengths(job)
    for number in range(10 * count):
        if sum(kills.values()) >= count:
            break
        folder = job.folder / f"killed-{number}"
        own = [name for name in names if _killed(job, folder, names.index(name), lengths)]
        kills.update(own)
        finished = job.run(job.command(folder))
        if finished.code:
            faults.append(f"killed in {', '.join(own)}: exit code {finished.code}: {finished.err[-300:]}")
        elif figures(folder) != job.figures:
            faults.append(f"killed in {', '.join(own)}: another result")
        shutil.rmtree(folder, ignore_errors=True)
        print(f"kills: {dict(kills)}, faults: {len(faults)}", flush=True)
    return {"counts": {name: kills[name] for name in names}, "faults": faults}


def _started(job: Job, folder: Path) -> tuple[int, int]:
    """Start the job in a forked process; return the process id, and a pipe with the phases that begin."""
    reader, writer = os.pipe()

    def command() -> int:
        registry = Registry(load_plugins())
        settings = layered_settings(registry, user_layers({}, (), job.config))
        run(registry, settings, folder, Reporting(writer))
        return 0

    child = forked(command)
    os.close(writer)
    return child, reader


def _lengths(job: Job) -> list[float]:
    """Return the duration of each phase in seconds."""
    child, pipe = _started(job, job.folder / "timed")
    begins = [0.0] * len(PHASES)
    while phase := os.read(pipe, 1):
        begins[phase[0]] = time.monotonic()
    end = time.monotonic()
    wait(child)
    return [after - begin for begin, after in zip(begins, [*begins[1:], end], strict=True)]


def _killed(job: Job, folder: Path, phase: int, lengths: list[float]) -> bool:
    """Run or resume the job, and kill it at a random moment of a phase; return false if it ended earlier.

    The duration of a phase that ended earlier replaces the longer duration in `lengths`.
    """
    child, pipe = _started(job, folder)
    try:
        while (begun := os.read(pipe, 1)) and begun[0] < phase:
            pass
        start = time.monotonic()
        moment = start + job.random.random() * lengths[phase]
        while begun and begun[0] == phase:
            left = moment - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                os.kill(child, signal.SIGKILL)
                break
            begun = os.read(pipe, 1)
            lengths[phase] = min(lengths[phase], time.monotonic() - start)
    finally:
        os.close(pipe)
    return wait(child) == -signal.SIGKILL
