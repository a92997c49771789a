"""Spoken digits within the flash and RAM of MLPerf Tiny's keyword network, beside a search without limits.

    uv run --extra sound python benchmarks/keywords.py FOLDER --minutes 15 --seeds 0 1 --out OUT

FOLDER holds class folders of recordings. Both searches have the same time, split and seed. The limits are
those of MLPerf Tiny's DS-CNN (a file of 53,936 bytes, an arena of 24,272 bytes) less the bytes of C code and
stack. Candidates and results within the limits are judged as 8-bit integers, those without as floats. For
each search, the network with the highest validation accuracy is printed; of equal ones, the cheapest. A
search has two results, so that each is trained for long.
OUT keeps the runs, and the same command goes on.
"""

import argparse
import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import Any

import edanas
from edanas.core.config import parse_assignment
from edanas.core.result_row import ResultRow

FLASH, RAM = 53_936 - 10_000, 24_272 - 500
"""Limits in bytes: those of the reference less 10 kB of code and 0.5 kB of stack."""

RESULTS: dict[str, Any] = {
    "baseline": {"epochs": 0},
    "search": {"results": 2},
    "finetune": {"learning_rate": 0.0015},
}
"""Settings of both sides: few results, which are trained at a high rate."""

SEARCHES: dict[str, dict[str, Any]] = {
    "within": {
        "preset": "microcontroller",
        "max_flash": FLASH,
        "max_ram": RAM,
        "settings": {"evaluation": {"name": "shared", "quantized": True, "quantized_epochs": 5}},
    },
    "without": {"preset": "auto"},
}
"""Arguments of `edanas.search` for each side."""


def best(result: edanas.Result) -> ResultRow:
    """Return the network with the highest validation accuracy; of equal ones, the cheapest."""
    rows = [*result.early_exit, *result.single_exit]
    return max(rows, key=lambda row: (row.validation_accuracy, -row.executed_macs))


def main() -> None:
    """Run both searches for each seed, and print the networks and the mean difference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=15.0, help="time of each search")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sides", nargs="+", default=list(SEARCHES), choices=list(SEARCHES), metavar="SIDE")
    parser.add_argument("--set", action="append", default=[], help="a setting of the search within limits")
    args = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; edanas "
        f"{version('edanas')}, torch {version('torch')}; {args.minutes:g} min a search, {args.threads} "
        f"threads; limits {FLASH:,} bytes of flash, {RAM:,} of RAM"
    )
    accuracies: dict[str, list[float]] = {side: [] for side in args.sides}
    for seed in args.seeds:
        for side in args.sides:
            options = SEARCHES[side]
            settings = {"threads": args.threads, **RESULTS, **options.get("settings", {})}
            for text in args.set if side == "within" else ():
                settings |= parse_assignment(text)
            result = edanas.search(
                str(args.folder),
                "sound-sm",
                seed=seed,
                time_limit=60 * args.minutes,
                out=args.out / f"{side}-seed{seed}",
                **{**options, "settings": settings},
            )
            row = best(result)
            accuracies[side].append(row.test_accuracy)
            print(
                f"seed {seed}, {side} limits: {row.test_accuracy:.2%}, {row.exits} early exits, "
                f"{row.executed_macs:,.0f} executed MACs, flash {row.flash or 0:,}, RAM {row.ram or 0:,} "
                "bytes",
                flush=True,
            )
    means = {side: statistics.fmean(values) for side, values in accuracies.items()}
    if len(means) == len(SEARCHES):
        print(f"mean within limits less without: {100 * (means['within'] - means['without']):+.2f} points")


if __name__ == "__main__":
    main()
