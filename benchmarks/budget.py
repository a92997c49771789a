"""A run with a time limit beside one fixed network that trains alone for the same time.

    python benchmarks/budget.py digits --minutes 2 10 30
    python benchmarks/budget.py FOLDER --minutes 2 10 --plugin mbv3-sm --out OUT

The fixed network is the single-exit network of the run's space whose multiply-adds are the median of 21
random backbones, trained with the settings of the run's supernet. Both are tested on the same images. A line
for each time limit has accuracy and multiply-adds of three networks: the run's best with early exits, its
best with a single exit, and the fixed network. `used` is the duration of the run as a share of its limit.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import edanas
from edanas.core.devices import threads_of
from edanas.core.machine import computing
from edanas.core.progress import Silent
from edanas.core.settings import Settings
from edanas.core.types import SelectionScheme
from edanas.evaluation.scoring import score
from edanas.model.profiling import collect_profile
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import compose
from edanas.run.layers import layered_settings
from edanas.run.options import RunOptions
from edanas.training.pace import Pace

_SAMPLE = 21


def timed_run(options: RunOptions, out: Path) -> dict[str, Any]:
    """Run a search with its time limit, and return accuracies, multiply-adds and duration."""
    start = time.monotonic()
    result = edanas.search(
        options.data,
        options.plugin,
        out=out,
        seed=options.seed,
        time_limit=options.time_limit,
        settings=options.settings or (),
        progress=Silent(),
    )
    seconds = time.monotonic() - start
    best = {name: _best(result.data[key]) for name, key in (("early", "front"), ("single", "static_front"))}
    return {"seconds": seconds, **best}


def _best(rows: list[dict[str, Any]]) -> tuple[float, float] | None:
    """Return test accuracy and executed multiply-adds of the row with the highest validation accuracy."""
    if not rows:
        return None
    row = max(rows, key=lambda each: (each["validation_accuracy"], -each["executed_macs"]))
    return row["test_accuracy"], row["executed_macs"]


def fixed_network(registry: Registry, settings: Settings, limit: float) -> tuple[float, float]:
    """Train the fixed network for `limit` seconds, and return its test accuracy and multiply-adds."""
    with tempfile.TemporaryDirectory() as folder, computing(threads_of(settings)):
        bench = compose(registry, settings, Path(folder), Silent()).workbench
        space, task = bench.space.whole(), bench.parts.task
        rng = np.random.default_rng(settings.seed)
        drawn = [space.sample_backbone(rng) for _ in range(_SAMPLE)]
        points = bench.provider.exit_points
        without = SelectionScheme((None,) * points)
        macs = [bench.anatomy_of(backbone, ()).costs for backbone in drawn]
        totals = [float(sum(costs.stages) + costs.last) for costs in macs]
        chosen = sorted(range(_SAMPLE), key=lambda index: totals[index])[_SAMPLE // 2]
        torch.manual_seed(settings.seed)
        network = bench.network(bench.provider.build(drawn[chosen], task), {}, without)
        network.to(bench.device)
        training = replace(settings.training, distillation=0.0)
        with Silent().task("", None) as bar:
            bench.finetune(network, training, settings.seed, bar, None, Pace(limit))
        anatomy = bench.anatomy(network)
        test = score(collect_profile(network, bench.parts.test), network.scheme, anatomy)
        return test.accuracy, totals[chosen]


def main() -> None:
    """Print a line for each time limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", help="digits, or a folder of images")
    parser.add_argument("--minutes", type=float, nargs="+", default=[2, 10, 30])
    parser.add_argument("--plugin")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, help="folder for the runs and figures.jsonl")
    args = parser.parse_args()
    registry = Registry(load_plugins())
    out = args.out or Path(tempfile.mkdtemp(prefix="edanas-budget-"))
    print("| minutes | used | early exits | single exit | fixed network alone |\n|---|---|---|---|---|")
    for minutes in args.minutes:
        options = RunOptions(
            data=args.data,
            plugin=args.plugin,
            seed=args.seed,
            time_limit=60 * minutes,
            settings=args.settings,
        )
        row = timed_run(options, out / f"{minutes:g}")
        settings = layered_settings(registry, options.layers(), whole_run=True)
        row["fixed"] = fixed_network(registry, settings, 60 * minutes)
        cells = [_cell(row[name]) for name in ("early", "single", "fixed")]
        print(f"| {minutes:g} | {row['seconds'] / (60 * minutes):.0%} | {' | '.join(cells)} |", flush=True)
        with (out / "figures.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"minutes": minutes, "data": args.data, "seed": args.seed, **row}) + "\n")


def _cell(figures: tuple[float, float] | None) -> str:
    if figures is None:
        return "none"
    accuracy, macs = figures
    return f"{accuracy:.1%} at {macs / 1e6:.3f}M"


if __name__ == "__main__":
    main()
