"""The driver's share of a search on many workers: a real driver, measured task times, simulated workers.

A candidate takes the time of a pass over the images of a data set on one thread of this machine. The time of
an image is measured for random backbones of the default search space, at several image sizes. The
workers exist on a simulated clock only. Strategy, surrogates and archive are real, and their time is added to
the clock while workers wait or work. The share of the driver is its time in that of the search. Time is CPU
time, which other processes hardly change; with --wall, it is wall time, with the waits for the disk.

    python benchmarks/scale.py                                    # 1,000 workers, 10,000 candidates
    python benchmarks/scale.py --workers 100 --candidates 1000 --strategy nsga2
"""

import argparse
import heapq
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edanas.core.archive import Archive
from edanas.core.contracts import Executor, SearchProblem
from edanas.core.engine import Engine, SearchSetup
from edanas.core.progress import Silent
from edanas.core.settings import SearchSettings, Settings
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, DataParts, ExitProfile, ImageSet, LoadedData, Task
from edanas.data.duplicates import find_duplicates
from edanas.exits.classifiers import PoolLinear
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import surrogate_factory
from edanas.run.provenance import digest_of_parts
from edanas.testing.toy_search import ToyAccuracy, ToyCost, ToyEvaluator, toy_space
from edanas.training.sandwich import SupernetWithExits

RECALIBRATION = 2048
"""Number of images on which BatchNorm of a candidate is recalibrated."""


def seconds_per_image(registry: Registry, resolutions: Sequence[int], backbones: int) -> list[float]:
    """Return the seconds of an image on one thread, for random backbones with all stages."""
    provider = registry.create("supernet provider", "ofa-mbv3", {"resolutions": list(resolutions)})
    space = SearchSpace(provider.variables(), (0.5, None), provider.exit_points)
    rng, seconds = np.random.default_rng(0), []
    for _ in range(backbones):
        backbone = space.sample_backbone(rng)
        network = provider.build(backbone, Task(3, 1000)).eval()
        images = torch.randn(4, 3, int(backbone["resolution"]), int(backbone["resolution"]))
        with torch.inference_mode():
            network(images)
            start = time.thread_time()
            network(images)
            seconds.append((time.thread_time() - start) / len(images))
    return seconds


def print_pieces(registry: Registry, resolutions: Sequence[int], images: int) -> None:
    """Print the sizes and speeds from which `docs/scale.md` computes trainings and starts.

    Args:
        registry: The extensions by kind and name.
        resolutions: Sides of the images of the supernet.
        images: Number of images of 224 pixels for the speed of reading.
    """
    task = Task(3, 1000)
    provider = registry.create("supernet provider", "ofa-mbv3", {"resolutions": list(resolutions)})
    space = SearchSpace(provider.variables(), (None,), provider.exit_points)
    network = SupernetWithExits(provider.supernet(task), provider, PoolLinear(), task)
    weights = sum(weight.numel() for weight in network.parameters())
    rng = np.random.default_rng(0)
    drawn = [space.sample_backbone(rng) for _ in range(101)]
    macs = sorted(provider_macs(provider, backbone, task) for backbone in drawn)
    ends = [provider_macs(provider, backbone, task) for backbone in (space.smallest(), space.largest())]
    view = network.supernet.view(space.largest())
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in view.modules())
    print(f"supernet: {weights:,} weights, {norms} BatchNorm layers in the largest backbone")
    print(f"MACs: smallest {ends[0]:,}, median {macs[50]:,}, largest {ends[1]:,}")
    data = ImageSet(
        torch.randint(0, 256, (images, 3, 224, 224), dtype=torch.uint8),
        torch.arange(images) % 10,
        tuple("0123456789"),
    )
    for name, call in (
        ("digest of the data", lambda: digest_of_parts(DataParts(data, data, data, data, (0.5,), (0.5,)))),
        ("search for duplicates", lambda: find_duplicates(LoadedData(data, np.full(images, "", np.str_)))),
    ):
        start = time.thread_time()
        call()
        passes = 4 if name.startswith("digest") else 1
        print(f"{name}: {passes * data.images.nbytes / 1e9 / (time.thread_time() - start):.2f} GB/s")


def provider_macs(provider: Any, backbone: Any, task: Task) -> int:
    """Return the multiply-adds of a backbone with its last exit."""
    stages, last = provider.costs(backbone, task)
    return int(sum(stage.macs for stage in stages) + last.macs)


class Judge(ToyEvaluator):
    """An evaluation by a formula, with an exit profile of random numbers."""

    def __init__(self, samples: int, exits: int) -> None:
        rng = np.random.default_rng(0)
        confidence = rng.random((samples, exits + 1), dtype=np.float32)
        correct = rng.random((samples, exits + 1)) < confidence
        self._profile = ExitProfile(tuple(range(exits)), confidence, correct)

    def profile(self, candidate: Candidate) -> ExitProfile:
        """See `Evaluator.profile`."""
        return self._profile


class SimulatedWorkers(Executor):
    """Workers on a simulated clock, to which the real time of the caller is added.

    Args:
        workers: Number of workers.
        times: Seconds of a task, from which each task draws.
        dispatch: Seconds of the driver for each task: sending the item and receiving the answer.
        wall: True to measure wall time, and not CPU time.
    """

    def __init__(self, workers: int, times: Sequence[float], dispatch: float, *, wall: bool) -> None:
        self._time = time.perf_counter if wall else time.process_time
        self.workers, self.times, self.dispatch = workers, np.array(times), dispatch
        self.clock = self.driver = self.busy = 0.0
        self._rng = np.random.default_rng(1)
        self._left = self._time()

    def run(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """See `Executor.run`; at most `workers` tasks are in progress."""
        self._add_driver_time()
        source, working, answers = enumerate(items), list[tuple[float, int]](), dict[int, Any]()
        finished, due, drawn = set[int](), 0, 0
        while True:
            while len(working) < self.workers:
                self._left = self._time()
                pair = next(source, None)
                self._add_driver_time()
                if pair is None:
                    break
                answers[pair[0]] = function(pair[1])
                seconds = float(self._rng.choice(self.times))
                self.busy += seconds
                heapq.heappush(working, (self.clock + seconds, pair[0]))
                drawn += 1
            while due in finished:
                self._left = self._time()
                yield answers.pop(due)
                self._add_driver_time(self.dispatch)
                due += 1
            if due == drawn:
                self._left = self._time()
                return
            end, number = heapq.heappop(working)
            finished.add(number)
            self.clock = max(self.clock, end)

    def _add_driver_time(self, more: float = 0.0) -> None:
        """Add the time since the caller got control to the clock."""
        seconds = self._time() - self._left + more
        self.clock += seconds
        self.driver += seconds


def search(options: argparse.Namespace, registry: Registry, times: Sequence[float]) -> SimulatedWorkers:
    """Run a search, and print its figures."""
    space = toy_space(layers=20, exit_points=4)
    executor = SimulatedWorkers(options.workers, times, options.dispatch, wall=options.wall)
    size = options.workers
    settings = SearchSettings(
        initial=size, per_iteration=size, iterations=max(1, options.candidates // size - 1)
    )
    strategy = registry.create("search strategy", options.strategy)
    surrogates = surrogate_factory(registry, Settings().surrogates)
    strategy.start(SearchProblem(space, 2, surrogates, 0, size, Silent()))
    objectives = (ToyAccuracy(), ToyCost())
    with tempfile.TemporaryDirectory() as folder, Archive(Path(folder)) as archive:
        setup = SearchSetup(space, strategy, Judge(options.samples, 4), executor, objectives, settings)
        executor._left = executor._time()
        outcome = Engine(setup, archive, lambda *_, **__: None, Silent()).run()
        executor._add_driver_time()
        size_on_disk = sum(path.stat().st_size for path in Path(folder).iterdir())
    count = len(outcome.evaluations)
    print(f"{count:,} candidates on {options.workers:,} workers: {executor.clock / 3600:.2f} h simulated")
    print(f"driver: {executor.driver:.0f} s, {1000 * executor.driver / count:.1f} ms a candidate")
    print(f"share of the driver: {executor.driver / executor.clock:.2%}")
    print(f"workers busy: {executor.busy / executor.clock / options.workers:.1%}")
    print(f"archive: {size_on_disk / 1e6:.0f} MB, {size_on_disk / count / 1e3:.0f} kB a candidate")
    return executor


def limits(options: argparse.Namespace, executor: SimulatedWorkers, times: Sequence[float]) -> None:
    """Print the time of a task, and the number of workers, at which the driver takes 5%."""
    each, mean = executor.driver / options.candidates, float(np.mean(times))
    print(
        f"at {executor.workers:,} workers, the driver takes 5% at tasks of "
        f"{20 * each * executor.workers:.0f} s"
    )
    print(f"at tasks of {mean:.0f} s, the driver takes 5% at {mean / each / 20:,.0f} workers")


def main() -> None:
    """Measure task times, search, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--strategy", default="surrogate-nsga2")
    parser.add_argument("--samples", type=int, default=10_000, help="validation images of a profile")
    parser.add_argument("--backbones", type=int, default=16, help="backbones whose time is measured")
    parser.add_argument("--resolutions", type=int, nargs="+", default=[160, 192, 224])
    parser.add_argument("--dispatch", type=float, default=0.003, help="seconds of sending and receiving")
    parser.add_argument("--wall", action="store_true", help="measure wall time instead of CPU time")
    parser.add_argument("--pieces", action="store_true", help="print the pieces of a calculation only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, one thread")
    registry = Registry(load_plugins())
    if options.pieces:
        print_pieces(registry, options.resolutions, images=1000)
        return
    images: npt.NDArray[np.float64] = np.array(
        seconds_per_image(registry, options.resolutions, options.backbones)
    )
    times = images * (RECALIBRATION + options.samples)
    low, middle, high = np.percentile(times, [0, 50, 100])
    print(
        f"task: {RECALIBRATION + options.samples:,} images; {middle:.0f} s (median; {low:.0f} to {high:.0f})"
    )
    limits(options, search(options, registry, times.tolist()), times.tolist())


if __name__ == "__main__":
    main()
