"""MLPerf Tiny's image task within the limits of its reference network, in one command.

    uv run --extra litert python benchmarks/mlperf_tiny.py FOLDER --minutes 60 --seed 0 --out OUT

FOLDER holds class folders of photographs of 32 pixels. Three sides have the same images and the same time:

- `resnet-8`: MLPerf Tiny's reference network, trained plainly.
- `t-recx`: the same network with one early exit (preset `t-recx`), trained jointly. Its threshold is the
  cheapest one that loses at most a point against its last exit on the calibration part.
- `edanas`: a search within the file size and the arena of the reference network. From these are subtracted
  the bytes of C code and stack, so that the whole program keeps them. The time includes the supernet, the
  search and the training of the results. A budget is a share of the multiply-adds of ResNet-8. For each
  budget, the calibration part sets the thresholds of each result, and the validation part chooses the result.

Every network is trained in 8-bit integers at the end, and written as `.tflite` files and in C. The accuracy
is that of the `.tflite` files on the test part, run by LiteRT. Bytes are those of the files of all segments,
and of the largest arena of a segment in TensorFlow Lite for Microcontrollers; for C, the constants and the
one arena. OUT keeps each finished side, and an interrupted search goes on with the same command.
"""

import argparse
import json
import os
import platform
import shutil
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edanas.core.contracts import Exporter, ThresholdSetter
from edanas.core.errors import CandidateError
from edanas.core.machine import computing
from edanas.core.settings import Settings
from edanas.core.types import SelectionScheme
from edanas.deploy.int8.network import QUANTIZED
from edanas.evaluation.judging import judge
from edanas.evaluation.quantised import quantised, train_in_integers
from edanas.evaluation.workbench import Workbench
from edanas.model.calibration import calibrate
from edanas.model.eenn import EENN
from edanas.model.loading import load
from edanas.model.profiling import collect_profile
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import compose
from edanas.run.console import ConsoleProgress
from edanas.run.execution import run
from edanas.run.layers import layered_settings, user_layers
from edanas.training.pace import Pace

FILE, ARENA, MACS = 98_496, 55_984, 12_501_632
"""Bytes of the reference network's file and of its arena, and its multiply-adds."""

FLASH, RAM = 88_000, 55_500
"""Limits of the search in bytes: those of the reference less 10 kB of code and 0.5 kB of stack."""

SPLIT = {"train": 0.8, "calibration": 0.05, "validation": 0.05, "test": 0.1}

FLOATS = 0.85
"""Share of the time of a network alone that is spent in floats, before the training in integers."""

POINT = 0.01
"""Accuracy that the early exit of T-RecX may lose against the last exit, on the calibration part."""

# Flash and not multiply-adds limits these networks. Images are only mirrored and shifted, since so small a
# network underfits. The results are trained for a third of the time, so at a rate that trains rather than
# tunes. Without the constraints, the best trade-offs would be networks far below the multiply-adds of the
# comparison.
OURS: dict[str, Any] = {
    "preset": "microcontroller",
    "supernet": {
        "name": "elastic-resnet",
        "widths": [0.5, 0.75, 1.0],
        "resolutions": [32],
        "depths": [1, 2],
        "channels": [24, 32, 48, 64, 64],
        "stem_stride": 2,
        "stage_strides": [2, 1, 2, 1, 1],
        "downsampling": "pooled",
        "stem": "whitened",
        "pooling": "max",
    },
    "classifier": {"name": "pool-linear", "pooling": "max"},
    "evaluation": {"name": "shared", "quantized": True, "quantized_epochs": 3},
    "scheme": {"name": "joint", "early": 0.5},
    "constraints": ["executed-macs >= 3M", "executed-macs <= 6.25M"],
    "search": {"initial": 24, "iterations": 6, "per_iteration": 8, "results": 2, "compare": False},
    "training": {
        "backbones": "single",
        "learning_rate": 0.006,
        "weight_decay": 0.02,
        "label_smoothing": 0.0,
        "ema": 0.999,
        "augment": ["shift", "flip"],
    },
    "finetune": {
        "learning_rate": 0.003,
        "label_smoothing": 0.0,
        "distillation": 0.3,
        "ema": 0.998,
        "augment": ["shift", "flip"],
    },
    "baseline": {"epochs": 0},
}


# With AdamW at a rate of 0.002 in batches of 128, ResNet-8 had four points less after 20 minutes.
PLAIN = {
    "epochs": 100,
    "optimizer": "sgd",
    "batch_size": 256,
    "learning_rate": 0.2,
    "weight_decay": 5e-4,
    "precision": "auto",
    "augment": ["shift", "flip"],
}
"""Training of ResNet-8 and of T-RecX; the number of epochs follows from the time."""


class Table:
    """The sides of one seed, each kept as a JSON file in the folder `out`.

    Args:
        args: The arguments of the command line.
        folder: The images.
    """

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder = args, folder
        self.registry, self.progress = Registry(load_plugins(print)), ConsoleProgress()
        self.seconds = 60.0 * args.minutes

    def rows(self, side: str) -> list[dict[str, Any]]:
        """Return the rows of a side, measured now or in an earlier call."""
        path = self.args.out / f"{side}-seed{self.args.seed}.json"
        if not path.exists():
            rows = self.edanas() if side == "edanas" else self.alone(side)
            path.write_text(json.dumps(rows, indent=1))
        stored: list[dict[str, Any]] = json.loads(path.read_text())
        return stored

    def settings(self, flags: dict[str, Any], more: dict[str, Any]) -> Settings:
        """Return the settings of a side: those of all sides, `more`, and the options `--set` for `edanas`."""
        common = {"data": str(self.folder), "seed": self.args.seed, "threads": self.args.threads}
        sets = self.args.set if "time_limit" in flags else []
        layers = [("the benchmark", {"split": SPLIT, **more}), *user_layers({**common, **flags}, sets)]
        return layered_settings(self.registry, layers, self.progress.say)

    def alone(self, side: str) -> list[dict[str, Any]]:
        """Train ResNet-8 with or without the early exit of T-RecX, and return its row."""
        start, points = time.monotonic(), (0,) if side == "t-recx" else ()
        flags = {"plugin": "baselines", "preset": "t-recx"}
        more = {"training": PLAIN} | ({} if points else {"supernet.early_view": False})
        settings = self.settings(flags, more)
        work = self.args.out / f"{side}-seed{self.args.seed}"
        with computing(settings.threads):
            bench = compose(self.registry, settings, work, self.progress).workbench
            network = self.trained(bench, points, start)
            integers = quantised(bench, network)
            last = collect_profile(integers, bench.parts.calibration).correct[:, -1].mean()
            scheme = self.thresholds(bench, integers, {"min_accuracy": float(last) - POINT})
            return [self.row(side, bench, network, scheme, time.monotonic() - start)]

    def trained(self, bench: Workbench, points: tuple[int, ...], start: float) -> EENN:
        """Return ResNet-8 with heads at `points`, trained until the time of the side is over."""
        seed, settings = self.args.seed, replace(bench.settings.training, distillation=0.0)
        torch.manual_seed(seed)
        backbone = bench.space.largest()
        staged = bench.provider.build(backbone, bench.parts.task)
        scheme = SelectionScheme((0.9 if points else None,))
        network = bench.network(staged, bench.fresh_heads(staged, points), scheme)
        network.description = bench.describe(backbone)
        with self.progress.task("Training in floats", None) as bar:
            left = start + FLOATS * self.seconds - time.monotonic()
            bench.finetune(network, settings, seed, bar, pace=Pace(left))
        with self.progress.task("Training in 8-bit integers", None) as bar:
            left = start + self.seconds - time.monotonic()
            train_in_integers(bench, network, settings, 1, seed, bar, pace=Pace(max(left, 1.0)))
        return network

    def edanas(self) -> list[dict[str, Any]]:
        """Search, and return a row for each budget, then one for each result with its own thresholds."""
        start, work = time.monotonic(), self.args.out / f"edanas-seed{self.args.seed}"
        flags = {"plugin": self.args.plugin, "time_limit": self.seconds}
        limits = {"max_flash": self.args.max_flash, "max_ram": self.args.max_ram}
        settings = self.settings({**flags, **limits}, OURS)
        result = run(self.registry, settings, work, self.progress, started=start)
        seconds = sum(result.data["seconds"].values())
        finished = [(row, work / row.model) for row in (*result.early_exit, *result.single_exit) if row.model]
        with computing(settings.threads):
            bench = compose(self.registry, settings, work, self.progress).workbench
            networks = [(row.id, load(path)) for row, path in finished]
            rows = []
            for share in self.args.budgets:
                offers = [self.offer(bench, name, network, share) for name, network in networks]
                if offers := [each for each in offers if each is not None]:
                    best = max(offers, key=lambda each: each.accuracy)
                    label = f"edanas, {share:g} of ResNet-8's MACs: {best.name}"
                    rows.append(self.row(label, bench, best.network, best.scheme, seconds))
            own = [self.row(f"edanas: {name}", bench, each, each.scheme, seconds) for name, each in networks]
        return [*rows, *own]

    def offer(self, bench: Workbench, name: str, network: EENN, share: float) -> "Offer | None":
        """Return a network with the best thresholds for a budget; `None` if it cannot keep the budget."""
        integers = quantised(bench, network)
        try:
            scheme = self.thresholds(bench, integers, {"max_macs": share * MACS})
        except CandidateError:
            return None
        metrics = judge(integers, bench.parts.validation, bench.anatomy(integers)).metrics
        # Other images may cost a little more than those on which the thresholds are set.
        if metrics.executed_macs > 1.05 * share * MACS:
            return None
        return Offer(name, network, scheme, metrics.accuracy)

    def thresholds(self, bench: Workbench, integers: EENN, budget: dict[str, float]) -> SelectionScheme:
        """Return the best thresholds of a network in integers within a budget, on the calibration part."""
        if not integers.scheme.placed:
            return integers.scheme
        setter: ThresholdSetter = self.registry.create("threshold setter", "budget", budget)
        calibrate(integers, bench.parts.calibration, bench.anatomy(integers).costs, setter)
        return integers.scheme

    def row(
        self, side: str, bench: Workbench, network: EENN, scheme: SelectionScheme, seconds: float
    ) -> dict[str, Any]:
        """Write a network in both forms, and return its figures on the test part."""
        network.scheme = scheme
        network.description = {**network.description, QUANTIZED: True}
        anatomy, test = bench.anatomy(network), bench.parts.test
        floats = judge(network, test, anatomy).metrics
        stem = self.args.out / f"{side.replace(' ', '-').replace(':', '').replace(',', '')}"
        litert, c = (self.exported(name, bench, network, stem) for name in ("litert-int8", "c"))
        labels, exits, _ = litert.exporter.open(litert.manifest).predict(test.images.numpy())
        places = [*scheme.placed, network.exit_points]
        shares = [float((exits == place).mean()) for place in places]
        segments = litert.description["segments"]
        files = [(litert.manifest.parent / each["file"]).stat().st_size for each in segments]
        costs = np.cumsum([each["body_macs"] + each["head_macs"] for each in segments])
        memory = anatomy.memory(scheme)
        return {
            "side": side,
            "int8": float((labels == test.labels.numpy()).mean()),
            "float": floats.accuracy,
            "macs": float(costs @ shares),
            "whole": int(costs[-1]),
            "exits": shares,
            "files": files,
            "arenas": [each["arena"] for each in segments],
            "c_constants": c.description["int8"]["constant_bytes"],
            "c_arena": c.description["int8"]["arena_bytes"],
            "flash": memory.flash if memory else None,
            "ram": memory.ram if memory else None,
            "seconds": round(seconds),
        }

    def exported(self, name: str, bench: Workbench, network: EENN, stem: Path) -> "Written":
        """Write a network by an exporter."""
        exporter: Exporter = self.registry.create("exporter", name)
        exporter.prepare(bench.parts.calibration, bench.parts.validation)
        manifest = exporter.export(network, stem)[0]
        return Written(exporter, manifest, json.loads(manifest.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Offer:
    """A network with thresholds, and its accuracy on the validation part."""

    name: str
    network: EENN
    scheme: SelectionScheme
    accuracy: float


@dataclass(frozen=True)
class Written:
    """The files of a network, by an exporter."""

    exporter: Any
    manifest: Path
    description: dict[str, Any]


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown."""
    base = next((row["macs"] for row in rows if row["side"] == "resnet-8"), MACS)
    lines = [
        "| network | int8 | float | executed MACs | ratio | exits | .tflite, sum (max) | largest arena "
        "| C: constants, arena | seconds |",
        "|---" * 10 + "|",
    ]
    for row in rows:
        shares = " / ".join(f"{share:.0%}" for share in row["exits"])
        lines.append(
            f"| {row['side']} | {row['int8']:.2%} | {row['float']:.2%} | {row['macs'] / 1e6:.2f}M of "
            f"{row['whole'] / 1e6:.2f}M | {row['macs'] / base:.2f} | {shares} | {sum(row['files']):,} "
            f"({max(row['files']):,}) | {max(row['arenas']):,} | {row['c_constants']:,}, {row['c_arena']:,} "
            f"| {row['seconds']} |"
        )
    reference = f"| reference file | | | {MACS / 1e6:.2f}M | | | {FILE:,} | {ARENA:,} | | |"
    return "\n".join([*lines, reference])


def some_images(folder: Path, count: int, out: Path) -> Path:
    """Copy the first `count` images of each class to `out`, and return that folder."""
    source = folder / "train" if (folder / "train").is_dir() else folder
    for path in sorted(each for each in source.iterdir() if each.is_dir()):
        (out / path.name).mkdir(parents=True, exist_ok=True)
        for image in sorted(path.iterdir())[:count]:
            shutil.copyfile(image, out / path.name / image.name)
    return out


def main() -> None:
    """Measure the sides that are missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sides = ("resnet-8", "t-recx", "edanas")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0, help="time of each side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sides", nargs="+", default=list(sides), choices=sides, metavar="SIDE")
    parser.add_argument("--images", type=int, default=0, help="images of each class; 0 = all")
    parser.add_argument("--budgets", nargs="+", type=float, default=[0.5, 0.3], metavar="SHARE")
    parser.add_argument("--plugin", default="resnet-sm", help="bundle of the search")
    parser.add_argument("--max-flash", type=float, default=FLASH)
    parser.add_argument("--max-ram", type=float, default=RAM)
    parser.add_argument("--set", action="append", default=[], help="a setting of the search, KEY=VALUE")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    names = ("edanas", "torch", "ai-edge-litert", "tflite-micro")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python "
        f"{platform.python_version()}, {packages}; seed {args.seed}, {args.minutes:g} min a side, "
        f"{args.threads} threads",
        flush=True,
    )
    folder = some_images(args.folder, args.images, args.out / "images") if args.images else args.folder
    measured = Table(args, folder)
    rows = [row for side in args.sides for row in measured.rows(side)]
    print(table(rows))


if __name__ == "__main__":
    main()
