"""How much memory a form takes: asked of processes that do nothing else.

A process that has loaded all libraries, and nothing besides, divides itself once for each form. The module is
run as a program by `peaks`, since whoever calls it has memory of their own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from edanas.benching.forms import Form, open_form
from edanas.core.machine import computing
from edanas.deploy.checking import fitting
from edanas.deploy.measuring import Images, batches
from edanas.deploy.meters import MemoryMeter
from edanas.networks import load
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry


def peaks(
    model: Path, forms: Sequence[Form], images: Images, sizes: Sequence[int], threads: int
) -> dict[str, int]:
    """Bytes that each form takes at most, its network included, by name; only what could be measured.

    Args:
        model: The network's file.
        forms: What to measure.
        images: (B, C, H, W), to classify.
        sizes: In batches of which sizes.
        threads: How many each may use.
    """
    if not MemoryMeter.works():
        return {}
    with TemporaryDirectory() as folder:
        stored, answer = (Path(folder) / name for name in ("images.npy", "answer.jsonl"))
        np.save(stored, images)
        job = {
            "model": str(model.absolute()),
            "forms": [[each.name, each.exact, _absolute(each.path)] for each in forms],
            "images": str(stored),
            "answer": str(answer),
            "sizes": sorted(sizes),
            "threads": threads,
        }
        command = [sys.executable, "-m", __name__, json.dumps(job)]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)  # noqa: S603
        lines = answer.read_text(encoding="utf-8").splitlines() if answer.exists() else []
    return dict(map(json.loads, lines))


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def main() -> None:
    """Do the job that the first argument says; a line of the answer for each form that runs."""
    job = json.loads(sys.argv[1])
    registry = Registry(load_plugins())
    forms = [Form(name, exact, Path(path) if path else None) for name, exact, path in job["forms"]]
    for form in forms:
        if form.path is not None:
            registry.create("exporter", form.name)  # brings its libraries along
    for form in forms:
        child = os.fork()
        if not child:
            try:
                taken = _measure(registry, form, job)
                with Path(job["answer"]).open("a", encoding="utf-8") as answer:
                    answer.write(f"{json.dumps([form.name, taken])}\n")
            finally:
                os._exit(0)  # whatever it is, it is no reason to be two processes
        os.waitpid(child, 0)


def _measure(registry: Registry, form: Form, job: Mapping[str, Any]) -> int:
    sizes, threads = job["sizes"], job["threads"]
    images = torch.from_numpy(np.load(job["images"]))
    with computing(threads), MemoryMeter() as meter:
        runner = open_form(registry, form, lambda: load(job["model"]), threads, sizes[-1])
        asked = fitting(images, runner).numpy()
        for size in sizes:
            runner.predict(batches(asked, size)[0])
    return meter.bytes


if __name__ == "__main__":
    main()
