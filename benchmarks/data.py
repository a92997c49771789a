"""Memory and time of a data set that is larger than memory: made images, stored, split and read by batches.

    python benchmarks/data.py --images 500000 --side 64

It prints the seconds of each step, and the largest resident memory of each step. `own` is memory of the
process; `mapped` are pages of files, such as torch's libraries and the stored images, which the system may
drop at any time. The share of the input is the time of reading and preparing a batch, divided by that of a
training step of the largest network of `ofa-mbv3`. `--micro` divides batches as the setting
`training.micro_batch_size` does.
"""

import argparse
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from edanas.core.preprocess import prepare
from edanas.core.settings import Component, SplitSettings
from edanas.core.types import Task
from edanas.data.passed_data import data_name
from edanas.data.splits import split
from edanas.plugins.data_sets import data_component
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry

CLASSES, BATCH = 10, 128


class MadeImages(torch.utils.data.Dataset[tuple[Any, int]]):
    """Colour images of noise around a shade for each class."""

    def __init__(self, count: int, side: int) -> None:
        self.count, self.side = count, side

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Any, int]:
        rng = np.random.default_rng(number)
        shade = 20 * (number % CLASSES)
        return rng.integers(shade, shade + 64, (self.side, self.side, 3), dtype=np.uint8), number % CLASSES


def resident() -> tuple[int, int]:
    """Return the resident memory of this process in bytes: its own, and pages of mapped files."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Rss")}
    return 1024 * kilobytes["RssAnon"], 1024 * (kilobytes["RssFile"] + kilobytes["RssShmem"])


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=500_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--micro", type=int, default=BATCH, help="largest number of images in a pass")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seconds: dict[str, float] = {}
    peaks: dict[str, dict[str, int]] = {}
    step_name, done = ["imports"], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            own, mapped = resident()
            before = peaks.setdefault(step_name[0], [0, 0, 0])
            peaks[step_name[0]] = [
                max(pair) for pair in zip(before, (own, mapped, own + mapped), strict=True)
            ]

    def timed(name: str, step: Callable[[], Any]) -> Any:
        step_name[0] = name
        start, value = time.perf_counter(), step()
        seconds[name] = round(time.perf_counter() - start, 2)
        return value

    threading.Thread(target=watch, daemon=True).start()
    registry = Registry(load_plugins())
    name = timed("storing", lambda: data_name(MadeImages(arguments.images, arguments.side)))
    component = data_component(registry, registry.spelled_out("data set", Component(name)))
    source = registry.create("data set", component.name, component.options)
    loaded = timed("loading", lambda: source.load(arguments.side, 0))
    parts = timed("splitting", lambda: split(loaded, SplitSettings(), 0))
    provider = registry.create(
        "supernet provider", "ofa-mbv3", {"resolutions": [arguments.side], "widths": [0.35]}
    )
    backbone = provider.build(_largest(provider), Task(3, CLASSES)).train()
    step_name[0] = "training"
    rng, shares, steps = np.random.default_rng(0), [], []
    for _ in range(arguments.batches):
        start = time.perf_counter()
        at = torch.from_numpy(rng.integers(0, len(parts.train), BATCH))
        images = prepare(parts.train.images[at], arguments.side, parts.mean, parts.std)
        read = time.perf_counter() - start
        labels = parts.train.labels[at]
        for features, targets in zip(
            images.split(arguments.micro), labels.split(arguments.micro), strict=True
        ):
            for stage in backbone.stages:
                features = stage(features)
            loss = F.cross_entropy(backbone.head(features), targets, reduction="sum") / BATCH
            loss.backward()
        steps.append(time.perf_counter() - start)
        shares.append(read / steps[-1])
    done.set()
    figures = {
        "images": arguments.images,
        "side": arguments.side,
        "gigabytes": round(arguments.images * arguments.side**2 * 3 / 1e9, 2),
        "seconds": seconds,
        "peak_megabytes": {
            name: dict(
                zip(("own", "mapped", "resident"), (round(each / 1e6) for each in values), strict=True)
            )
            for name, values in peaks.items()
        },
        "median_step_seconds": round(float(np.median(steps)), 4),
        "median_input_share": round(float(np.median(shares)), 4),
    }
    print(json.dumps(figures, indent=2))


def _largest(provider: Any) -> Any:
    from edanas.core.types import Backbone

    return Backbone.of({each.name: each.choices[-1] for each in provider.variables()})


if __name__ == "__main__":
    main()
