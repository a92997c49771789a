"""The peak memory of the forms of a network, each measured in a separate process.

The process of the caller holds memory that does not belong to the form, so each measuring process runs this
module as a program. The process loads all libraries before it begins to measure.
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


def peak_memory(
    model: Path, forms: Sequence[Form], images: Images, sizes: Sequence[int], threads: int
) -> dict[str, int]:
    """Return the peak memory of each form in bytes, by name of the form.

    The memory includes the weights of the network. A form whose measurement failed is left out, and the
    result is empty on machines that cannot measure memory.

    Args:
        model: The network file.
        forms: The forms to measure.
        images: The images to classify: (B, C, H, W), B images of C channels and H x W pixels.
        sizes: The batch sizes, in images.
        threads: The number of threads that each form may use.
    """
    if not MemoryMeter.works():
        return {}
    peaks: dict[str, int] = {}
    with TemporaryDirectory() as folder:
        image_file = Path(folder) / "images.npy"
        np.save(image_file, images)
        for form in forms:
            answer = Path(folder) / f"{form.name}.txt"
            job = {
                "model": str(model.absolute()),
                "form": [form.name, form.exact, _absolute(form.path)],
                "images": str(image_file),
                "answer": str(answer),
                "sizes": sorted(sizes),
                "threads": threads,
            }
            command = [sys.executable, "-m", __name__, json.dumps(job)]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)  # noqa: S603
            if answer.exists():
                peaks[form.name] = int(answer.read_text(encoding="utf-8"))
    return peaks


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def main() -> None:
    """Measure one form, and write its peak memory in bytes to a file.

    The first argument of the program is a JSON object that describes the form and names the file `answer`.
    """
    job = json.loads(sys.argv[1])
    registry = Registry(load_plugins())
    name, exact, path = job["form"]
    if path is not None:
        registry.create("exporter", name)  # loads the libraries of the form
    peak = _peak_bytes(registry, Form(name, exact, Path(path) if path else None), job)
    Path(job["answer"]).write_text(str(peak), encoding="utf-8")


def _peak_bytes(registry: Registry, form: Form, job: Mapping[str, Any]) -> int:
    sizes, threads = job["sizes"], job["threads"]
    images = torch.from_numpy(np.load(job["images"]))
    with computing(threads), MemoryMeter() as meter:
        runner = open_form(registry, form, lambda: load(job["model"]), threads, sizes[-1])
        resized = resized_images(images, runner).numpy()
        for size in sizes:
            runner.predict(batches(resized, size)[0])
    return meter.bytes


if __name__ == "__main__":
    main()
