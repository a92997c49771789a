"""Measure look-ups in a table of exit profiles, the effect of float16, and the quality of its estimates.

The digits table of `edanas.tables.digits` is built if it is missing, and its wall and CPU time printed.
Times are CPU time of one thread, the smallest of several repeats, compared with scoring the same exit
profiles in memory.

    python benchmarks/tables.py
    python benchmarks/tables.py --table /path/to/table.safetensors
"""

import argparse
import math
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from edanas.core.types import Candidate, ExitProfile
from edanas.evaluation.scoring import score
from edanas.run.console import ConsoleProgress
from edanas.tables import Neighbours, Table
from edanas.tables.digits import digits_table
from edanas.tables.estimate_quality import leave_out
from edanas.thresholds.profiles import exit_columns

REPEATS = 5


def seconds(function: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the least CPU seconds of this thread."""
    least = math.inf
    for _ in range(repeats):
        start = time.thread_time()
        function()
        least = min(least, time.thread_time() - start)
    return least


def answers(table: Table, count: int, seed: int) -> None:
    """Print microseconds for a candidate: looked up, looked up on new backbones, scored, swept."""
    space = table.space()
    rng = np.random.default_rng(seed)
    candidates = [space.decode(genome) for genome in space.sample(rng, count)]
    known = [c for c in candidates if c in table]
    few = known[:500]
    profiles = [(table.profile(c.backbone), table.anatomy(c.backbone)) for c in few]
    fresh = Table.open(table.path)
    first = seconds(lambda: [fresh.metrics(c) for c in known], 1)
    again = seconds(lambda: [table.metrics(c) for c in known])
    scored = seconds(lambda: [score(p, c.scheme, a) for (p, a), c in zip(profiles, few, strict=True)])
    swept = seconds(lambda: table.sweep(known[0].scheme))
    print(f"{len(known):,} random candidates on {len(table):,} backbones, microseconds each:")
    print(f"  looked up, each backbone for the first time in this process   {1e6 * first / len(known):8.1f}")
    print(f"  looked up                                                     {1e6 * again / len(known):8.1f}")
    print(f"  scored from its exit profile in memory                        {1e6 * scored / len(few):8.1f}")
    print(f"  one scheme on all backbones at once (counts of samples)       {1e6 * swept / len(table):8.2f}")
    equal = sum(table.metrics(c) == score(p, c.scheme, a) for (p, a), c in zip(profiles, few, strict=True))
    print(f"  equal to the scored metrics in every digit: {equal} of {len(few)}")


def rounding(table: Table, count: int, seed: int) -> None:
    """Count the samples that float16 moves across a random threshold, compared with float32.

    A table has no float32 confidences, so they are drawn from the interval that rounds to the same float16.
    """
    rng = np.random.default_rng(seed)
    space = table.space(tuple(rng.uniform(size=8).tolist()))
    moved = total = 0
    for genome in space.sample(rng, count):
        candidate: Candidate = space.decode(genome)
        if candidate not in table:
            continue
        profile = table.profile(candidate.backbone)
        gap = np.spacing(profile.confidence.astype(np.float16)).astype(np.float32)
        noise = rng.uniform(-0.5, 0.5, profile.confidence.shape).astype(np.float32) * gap
        full = ExitProfile(profile.points, np.clip(profile.confidence + noise, 0, 1), profile.correct)
        moved += int((exit_columns(profile, candidate.scheme) != exit_columns(full, candidate.scheme)).sum())
        total += len(profile)
    print(f"samples that exit elsewhere because of float16: {moved} of {total:,}")


def main() -> None:
    """Build or open the table, and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, default=Path("digits.safetensors"))
    parser.add_argument("--count", type=int, default=5000, help="candidates")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "scipy"))
    print(f"{platform.platform()}, {os.cpu_count()} cores, {packages}, seed {options.seed}")
    if options.table.exists():
        table = Table.open(options.table)
    else:
        start = time.perf_counter()
        table = digits_table(options.table, ConsoleProgress())
        spent = sum(os.times()[:4])
        print(f"built in {time.perf_counter() - start:.0f} s; CPU time of all processes {spent:.0f} s")
    opened = seconds(lambda: Table.open(options.table))
    size = options.table.stat().st_size / 1e6
    print(f"SHA-256 {table.digest}; {size:.1f} MB; opened and checked in {1e3 * opened:.0f} ms")
    answers(table, options.count, options.seed)
    rounding(table, options.count, options.seed)
    start = time.thread_time()
    Neighbours(table)
    print(f"a surrogate of the table: fitted in {time.thread_time() - start:.2f} s; {leave_out(table)}")


if __name__ == "__main__":
    main()
