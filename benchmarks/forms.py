"""Three forms of networks for microcontrollers at equal int8 accuracy: multiply-adds, flash and RAM.

    python benchmarks/forms.py --seeds 0 1 2
    python benchmarks/forms.py --data FOLDER --side 32 --set 'training.augment=["shift", "spectrum"]'

The forms are MobileNetV3, its minimalistic form (ReLU, no squeeze-and-excitation), and dense 3x3 convolutions
(`elastic-resnet`). Networks of rising width without early exits are trained from fresh weights, with equal
settings for all forms. They are quantised with ranges of the calibration part, and tested in float32 and in
8-bit integers. For an accuracy, each cost of a form is interpolated between its networks.
"""

import argparse
import itertools
import os
import platform
import statistics
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from edanas.core.machine import computing
from edanas.core.progress import Silent
from edanas.core.types import Backbone, SelectionScheme
from edanas.evaluation.judging import judge
from edanas.evaluation.quantised import quantised
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import compose
from edanas.run.layers import layered_settings, user_layers

MOBILE = {"name": "ofa-mbv3", "depths": [1], "kernels": [3], "final_expand": 0, "last_width": 0}
MOBILE_STRIDES = {
    8: {"resolutions": [8], "stem_stride": 1, "stage_strides": [2, 2, 1, 1, 1]},
    32: {"resolutions": [32], "stem_stride": 2, "stage_strides": [1, 1, 2, 1, 1]},
}
DENSE = {
    8: {"name": "elastic-resnet", "resolutions": [8], "depths": [1]},
    32: {
        "name": "elastic-resnet",
        "resolutions": [32],
        "depths": [1],
        "channels": [16, 24, 32, 32, 40],
        "stem_stride": 2,
        "stage_strides": [2, 1, 2, 1, 1],
        "downsampling": "pooled",
    },
}
DENSE_WIDTHS = {8: (0.125, 0.25, 0.4), 32: (0.5, 1.0, 1.5)}


def forms_of(side: int) -> dict[str, list[dict[str, Any]]]:
    """Return the supernets of each form for images of a side; they have one backbone, the cheapest first."""
    mobiles = [
        {**MOBILE, **MOBILE_STRIDES[side], "widths": [width], "expansions": [ratio]}
        for width, ratio in ((0.2, 2), (0.35, 3), (0.5, 4))
    ]
    return {
        "ofa-mbv3": mobiles,
        "minimalistic": [{**each, "minimalistic": True} for each in mobiles],
        "elastic-resnet": [{**DENSE[side], "widths": [width]} for width in DENSE_WIDTHS[side]],
    }


COSTS = ("macs", "flash", "ram")


def measured(
    registry: Registry, supernet: dict[str, Any], args: argparse.Namespace, seed: int
) -> dict[str, float]:
    """Train the only backbone of a supernet, and return its accuracies and costs."""
    table = {
        "supernet": supernet,
        "training": {"epochs": args.epochs, "batch_size": 64, "learning_rate": 0.005},
        "recalibration": 384,
    }
    flags = {"data": args.data, "seed": seed, "threads": 1}
    settings = layered_settings(registry, [("the benchmark", table), *user_layers(flags, args.set)])
    with tempfile.TemporaryDirectory() as folder, computing(1):
        bench = compose(registry, settings, Path(folder), Silent()).workbench
        torch.manual_seed(seed)
        backbone: Backbone = bench.space.largest()
        scheme = SelectionScheme((None,) * bench.provider.exit_points)
        network = bench.network(bench.provider.build(backbone, bench.parts.task), {}, scheme)
        training = replace(bench.settings.training, distillation=0.0)
        with Silent().task("", None) as bar:
            bench.finetune(network, training, seed, bar)
        anatomy = bench.anatomy(network)
        memory = anatomy.memory(scheme)
        floats = judge(network, bench.parts.test, anatomy).metrics
        integers = judge(quantised(bench, network), bench.parts.test, anatomy).metrics
    if memory is None:
        raise SystemExit(f"{supernet['name']}: its memory is not counted")
    return {
        "float": floats.accuracy,
        "int8": integers.accuracy,
        "macs": floats.executed_macs,
        "flash": memory.flash,
        "ram": memory.ram,
    }


def interpolated(rows: list[dict[str, float]], accuracy: float, cost: str) -> float | None:
    """Return the cost of an int8 accuracy, between neighbours; `None` if no network is as accurate."""
    if rows[0]["int8"] >= accuracy:
        return rows[0][cost]
    for low, high in itertools.pairwise(rows):
        if low["int8"] < accuracy <= high["int8"]:
            share = (accuracy - low["int8"]) / (high["int8"] - low["int8"])
            return low[cost] + share * (high[cost] - low[cost])
    return None


def main() -> None:
    """Train every network for every seed, and print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="digits")
    parser.add_argument("--side", type=int, default=8, choices=list(DENSE), help="side of the images")
    parser.add_argument("--forms", nargs="+", default=list(forms_of(8)), choices=list(forms_of(8)))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--accuracies", type=float, nargs="+", default=[0.96, 0.97, 0.98])
    parser.add_argument("--set", action="append", default=[], help="any setting, KEY=VALUE")
    args = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; edanas "
        f"{version('edanas')}, torch {version('torch')}; {args.epochs} epochs, seeds {args.seeds}"
    )
    registry = Registry(load_plugins(print))
    means: dict[str, list[dict[str, float]]] = {}
    print("| form | int8 (each seed) | float less int8, points | multiply-adds | flash | RAM |")
    print("|---" * 6 + "|")
    for form in args.forms:
        for supernet in forms_of(args.side)[form]:
            rows = [measured(registry, supernet, args, seed) for seed in args.seeds]
            mean = {key: statistics.fmean(row[key] for row in rows) for key in rows[0]}
            means.setdefault(form, []).append(mean)
            each = ", ".join(f"{row['int8']:.1%}" for row in rows)
            print(
                f"| {form} | {mean['int8']:.1%} ({each}) | "
                f"{100 * (mean['float'] - mean['int8']):.1f} | {mean['macs']:,.0f} | {mean['flash']:,.0f} | "
                f"{mean['ram']:,.0f} |",
                flush=True,
            )
    print("\n| int8 accuracy | form | multiply-adds | flash | RAM |\n|---|---|---|---|---|")
    for accuracy in args.accuracies:
        for form, rows in means.items():
            costs = [interpolated(rows, accuracy, cost) for cost in COSTS]
            cells = ["not reached" if cost is None else f"{cost:,.0f}" for cost in costs]
            print(f"| {accuracy:.0%} | {form} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
