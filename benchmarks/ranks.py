"""Speed of a supernet's training by several processes of one thread each, against one process.

The supernet is that of the preset `cifar`; images are noise. Each number of processes trains on the same
batch, and reports images a second after untimed first steps, and the bytes of a checkpoint. Small batches are
slower by themselves, so one process is measured with a process's share of the batch, too. Repetitions are
interleaved.

    python benchmarks/ranks.py                    # 1 and 2 processes, with and without synchronised BatchNorm
    python benchmarks/ranks.py --processes 1 2 4 --batch 256
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from edanas.core.config import resolve
from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.core.types import DataParts, ImageSet, Task
from edanas.exits.classifiers import PoolLinear
from edanas.exits.criteria import ScoreMargin
from edanas.plugins.mbv3_sm import CIFAR
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.training.ranks import joined
from edanas.training.sandwich import SandwichTraining, SupernetWithExits
from edanas.training.schedule import TimeSlice
from edanas.training.schemes import Joint

TASK = Task(3, 10)
UNTIMED = 2
"""Number of first steps that are not timed."""


class TimedSteps(TimeSlice):
    """A time slice of a number of steps, which records the time before each step."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps, self.times = steps, list[float]()

    def is_over(self) -> bool:
        """See `TimeSlice.is_over`."""
        self.times.append(time.perf_counter())
        return len(self.times) > self.steps


def training(batch: int, *, synchronised: bool, folder: Path) -> SandwichTraining:
    """Return a training on noise images."""
    options = {name: value for name, value in CIFAR["supernet"].items() if name != "name"}
    provider = OFAMobileNetV3Provider(**options)
    images = torch.randint(0, 256, (8 * batch, 3, 32, 32), dtype=torch.uint8)
    data = ImageSet(images, torch.arange(len(images)) % 10, tuple("0123456789"))
    parts = DataParts(data, data, data, data, (0.5,) * 3, (0.25,) * 3)
    settings = {
        "training.batch_size": batch,
        "training.epochs": 100,
        "training.precision": "fp32",
        "training.sync_batch_norm": synchronised,
    }
    torch.manual_seed(0)
    return SandwichTraining(
        SupernetWithExits(provider.supernet(TASK), provider, PoolLinear(), TASK),
        SearchSpace(provider.variables(), (None,), provider.exit_points),
        parts,
        resolve([("preset", CIFAR), ("here", settings)]).training,
        Joint(),
        ScoreMargin(),
        0,
        folder / "state.pt",
    )


def process(options: argparse.Namespace) -> None:
    """Train as one process of a launch; the first one prints its figures as JSON."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, joined("cpu") as ranks:
        torch.manual_seed(0)
        each = training(options.batch, synchronised=options.synchronised, folder=Path(folder))
        if not ranks.leads:
            call = ranks.next_call()
            assert call is not None
            each.repeat(*call)
            return
        steps = TimedSteps(UNTIMED + options.steps)
        each.run(Silent(), steps)
        seconds = (steps.times[-1] - steps.times[UNTIMED]) / options.steps
        weights = sum(weight.numel() for weight in each.trained.parameters())
        size = each.checkpoint.path.stat().st_size
    print(json.dumps({"images": options.batch / seconds, "weights": weights, "checkpoint": size}))


def launch(count: int, batch: int, steps: int, *, synchronised: bool) -> dict[str, Any]:
    """Return the figures of a training by `count` processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "LOCAL_WORLD_SIZE": "1",
    }
    command = [sys.executable, __file__, "--batch", str(batch), "--steps", str(steps), "--process"]
    processes = [
        subprocess.Popen(
            [*command, *(["--synchronised"] if synchronised else [])],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    outputs = [each.communicate()[0] for each in processes]
    assert not any(each.returncode for each in processes)
    figures: dict[str, Any] = json.loads(outputs[0].splitlines()[-1])
    return figures


def main() -> None:
    """Print the machine and the speed of each number of processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--process", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--synchronised", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.process:
        process(options)
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"torch {torch.__version__}, one thread a process")
    several = [count for count in options.processes if count > 1]
    kinds = [(1, options.batch // count, False) for count in (1, *several)]
    kinds += [(count, options.batch, sync) for count in several for sync in (False, True)]
    speeds: dict[tuple[int, int, bool], list[float]] = {kind: [] for kind in kinds}
    for _ in range(options.repeats):
        for count, batch, sync in kinds:
            figures = launch(count, batch, options.steps, synchronised=sync)
            speeds[count, batch, sync].append(figures["images"])
    middle = {kind: statistics.median(values) for kind, values in speeds.items()}
    for (count, batch, sync), values in speeds.items():
        speed, norm = middle[count, batch, sync], "synchronised" if sync else "own"
        ratio, weak = speed / middle[1, batch, False], speed / middle[1, batch // count, False]
        print(
            f"{count} processes, batch {batch}, {norm} BatchNorm: {speed:.1f} images/s "
            f"({min(values):.1f} to {max(values):.1f}), {ratio:.2f} times one process with this batch, "
            f"{weak:.2f} with batch {batch // count}"
        )
    print(f"{figures['weights']:,} weights; checkpoint of {figures['checkpoint'] / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
