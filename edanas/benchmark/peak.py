"""How much memory a form takes: asked of processes that do nothing else.

Each has loaded all libraries, and nothing besides, before it begins. The module is run as a program by
`peaks`, since whoever calls it has memory of their own.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from edanas.benchmark.forms import Form, open_form
from edanas.core.machine import computing
from edanas.deploy.export_check import resized_images
from edanas.deploy.resource_meters import MemoryMeter
from edanas.deploy.timing import Images, batches
from edanas.model.loading import load
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
    found: dict[str, int] = {}
    with TemporaryDirectory() as folder:
        stored = Path(folder) / "images.npy"
        np.save(stored, images)
        for form in forms:
            answer = Path(folder) / f"{form.name}.txt"
            job = {
                "model": str(model.absolute()),
                "form": [form.name, form.exact, _absolute(form.path)],
                "images": str(stored),
                "answer": str(answer),
                "sizes": sorted(sizes),
                "threads": threads,
            }
            command = [sys.executable, "-m", __name__, json.dumps(job)]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)  # noqa: S603
            if answer.exists():
                found[form.name] = int(answer.read_text(encoding="utf-8"))
    return found


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def main() -> None:
    """Do the job that the first argument says."""
    job = json.loads(sys.argv[1])
    registry = Registry(load_plugins())
    name, exact, path = job["form"]
    if path is not None:
        registry.create("exporter", name)  # brings its libraries along
    taken = _measure(registry, Form(name, exact, Path(path) if path else None), job)
    Path(job["answer"]).write_text(str(taken), encoding="utf-8")


def _measure(registry: Registry, form: Form, job: Mapping[str, Any]) -> int:
    sizes, threads = job["sizes"], job["threads"]
    images = torch.from_numpy(np.load(job["images"]))
    with computing(threads), MemoryMeter() as meter:
        runner = open_form(registry, form, lambda: load(job["model"]), threads, sizes[-1])
        asked = resized_images(images, runner).numpy()
        for size in sizes:
            runner.predict(batches(asked, size)[0])
    return meter.bytes


if __name__ == "__main__":
    main()
