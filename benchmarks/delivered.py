"""Check that delivered networks run whole, and compare them with equally accurate single-exit networks.

The script prints, for each early-exit network of the given runs, the exits that no test image uses. It
compares executed multiply-adds with the best single-exit network, cut ones included, of the same validation
accuracy. `--budgets` (in M) adds the test accuracy of the network with the highest validation accuracy within
each, and its median over the runs. Bytes of weights are compared with the same network whose backbone
goes on with its smallest stages. Without folders, the README's first command runs for each seed.

    python benchmarks/delivered.py                     # seeds 0, 1 and 2
    python benchmarks/delivered.py runs/a runs/b       # finished runs
    python benchmarks/delivered.py --plugin resnet-sm --seeds 7 --budgets 0.045
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import torch

import edanas
from edanas.core.cut_backbones import completed
from edanas.core.result_row import ResultRow
from edanas.core.types import Backbone, Task
from edanas.model.trimming import weight_bytes
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry


def unused(row: ResultRow) -> list[str]:
    """Return the exits of a network that no test image uses; the last exit stands for the last segment."""
    last = len(row.thresholds)
    placed = [at for at, threshold in enumerate(row.thresholds) if threshold is not None]
    return [
        "last exit" if at == last else f"exit {at + 1}" for at in (*placed, last) if row.utilization[at] <= 0
    ]


def sizes(result: edanas.Result, row: ResultRow) -> tuple[int, int]:
    """Return the bytes of a network's weights, and with a backbone that goes on to the last stage."""
    network = edanas.load(result.folder / str(row.model))
    described = network.description
    supernet = described["supernet"]
    provider = Registry(load_plugins()).create("supernet provider", supernet["name"], supernet["options"])
    backbone = completed(Backbone.of(described["backbone"]), provider.variables())
    with torch.random.fork_rng(devices=[]):
        whole = provider.build(backbone, Task(described["in_channels"], described["num_classes"]))
    return weight_bytes(network), weight_bytes(network.heads) + weight_bytes(whole)


def report(result: edanas.Result) -> Iterator[tuple[str, float | None, int]]:
    """Yield a line, the ratio of multiply-adds and the number of unused exits of each early-exit network."""
    names = {row.id: row for row in result.single_exit}
    for row in sorted(result.early_exit, key=lambda row: row.executed_macs):
        idle, rival = unused(row), names.get(row.rival or "")
        own, whole = sizes(result, row)
        against = (
            "no single-exit network is as accurate"
            if rival is None or row.rival_cost is None
            else f"{row.rival_cost:.2f} of the single exit at {rival.executed_macs / 1e6:.3f}M after stage "
            f"{rival.stages} ({100 * rival.test_accuracy:.1f}%)"
        )
        yield (
            f"{row.exits} exits, {row.stages} stages: {100 * row.test_accuracy:.1f}% at "
            f"{row.executed_macs / 1e6:.3f}M, {row.relative_cost:.2f} of its backbone; {against}; "
            f"{own / 1e3:.0f} kB, {1 - own / whole:.0%} less than whole; unused: {', '.join(idle) or 'none'}",
            row.rival_cost,
            len(idle),
        )


def within(result: edanas.Result, budget: float) -> ResultRow | None:
    """Return the network with the highest validation accuracy within a budget of multiply-adds."""
    rows = [row for row in (*result.early_exit, *result.single_exit) if row.macs_for_choice <= budget]
    return max(rows, key=lambda row: (row.validation_accuracy, -row.macs_for_choice), default=None)


def main() -> None:
    """Print a block for each run, then the number of unused exits and the spread of the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="*", help="folders of finished runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--plugin", default="mbv3-sm")
    parser.add_argument("--budgets", type=float, nargs="+", default=[], help="MACs in M")
    parser.add_argument("--set", dest="assignments", nargs="*", default=[], help="settings, as key=value")
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("edanas", "torch", "scikit-learn"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {versions}")
    ratios: list[float] = []
    accuracies: dict[float, list[float]] = {budget: [] for budget in options.budgets}
    idle, networks = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for job in options.runs or options.seeds:
            start, known = time.perf_counter(), isinstance(job, Path)
            result = (
                edanas.Result.read(job)
                if known
                else edanas.search(
                    plugin=options.plugin,
                    seed=job,
                    out=Path(folder) / str(job),
                    settings=options.assignments,
                )
            )
            name = str(job) if known else f"seed {job}, {time.perf_counter() - start:.0f} s"
            print(f"{name}: {len(result.single_exit)} single-exit networks")
            for line, ratio, count in report(result):
                print(f"  {line}")
                ratios += [] if ratio is None else [ratio]
                idle, networks = idle + count, networks + 1
            for budget, figures in accuracies.items():
                if row := within(result, budget * 1e6):
                    figures.append(100 * row.test_accuracy)
                    kind = f"{row.exits} early exits" if row.exits else "single exit"
                    print(
                        f"  within {budget:g}M: {figures[-1]:.1f}% at {row.executed_macs / 1e6:.3f}M, {kind}"
                    )
    print(f"{networks} early-exit networks; exits that no test image uses: {idle}")
    for budget, figures in accuracies.items():
        listed = ", ".join(f"{each:.1f}" for each in figures)
        print(f"within {budget:g}M: median {statistics.median(figures or [0]):.1f}% of {listed}")
    if ratios:
        spread = f"median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"
        print(f"executed multiply-adds relative to the best single-exit network as accurate: {spread}")


if __name__ == "__main__":
    main()
