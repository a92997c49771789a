"""Train a network with a single exit by several recipes, each for the same number of epochs.

The network is a backbone of `resnet-sm` with the preset `cifar`, at one width and depth, with the initial
weights of a supernet. Each variant differs from the preset in the settings that it names. The targets are
labels, without a teacher. Accuracy is the mean of the validation and the calibration part, which the training
does not see. The report part is never used.

    python benchmarks/network_recipe.py FOLDER --epochs 8
    python benchmarks/network_recipe.py FOLDER --variants preset "convolution as stem" --seeds 0 1
"""

import argparse
import os
import platform
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from edanas.core.machine import computing
from edanas.core.progress import Silent
from edanas.core.settings import Settings
from edanas.core.types import SelectionScheme
from edanas.evaluation.judging import judge
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import compose
from edanas.run.layers import layered_settings, user_layers

STEM, MEANS = {"supernet.stem": "convolution"}, {"supernet.pooling": "average"}

VARIANTS: dict[str, dict[str, Any]] = {
    "preset": {},
    "convolution as stem": STEM,
    "average pooling": MEANS,
    "both": {**STEM, **MEANS},
    "strided": {"supernet.downsampling": "strided"},
    "ReLU": {"supernet.activation": "relu"},
    "rate x2": {"finetune.learning_rate": 0.006},
    "SGD": {
        "finetune.optimizer": "sgd",
        "finetune.learning_rate": 0.2,
        "finetune.weight_decay": 5e-4,
    },
    "erasing": {"finetune.augment": ["shift", "flip", "erase"]},
    "mixup": {"finetune.augment": ["shift", "flip", "mixup"]},
    "alternating mirroring": {"finetune.augment": ["shift", "alternating-flip"]},
    "label smoothing 0.2": {"finetune.label_smoothing": 0.2},
    "weight decay x3": {"finetune.weight_decay": 0.15},
    "longer average": {"finetune.ema": 0.999},
    # Fewer channels on larger features, so more multiply-adds for each weight; for `--width 1`.
    "full resolution": {
        "supernet.stem_stride": 1,
        "supernet.stage_strides": [2, 2, 2, 1, 1],
        "supernet.channels": [16, 48, 96, 96, 96],
    },
}


def settings_of(args: argparse.Namespace, registry: Registry, changes: dict[str, Any], seed: int) -> Settings:
    """Return the settings of a variant: the preset with one backbone, and the changes."""
    flags = {"data": str(args.folder), "plugin": "resnet-sm", "preset": "cifar", "seed": seed}
    one = {"supernet.widths": [args.width], "supernet.depths": [args.depth], "threads": args.threads}
    fixed = {"finetune.distillation": 0.0, "finetune.epochs": args.epochs}
    return layered_settings(registry, user_layers({**flags, **one, **fixed, **changes}, args.set))


def trained(registry: Registry, settings: Settings) -> tuple[float, float, float]:
    """Train a network; return its accuracy, its multiply-adds in M, and the processor time in seconds."""
    with TemporaryDirectory() as folder, computing(int(settings.threads)):
        bench = compose(registry, settings, Path(folder), Silent()).workbench
        torch.manual_seed(settings.seed)
        staged = bench.builder.supernet().extract(bench.space.largest())
        scheme = SelectionScheme((None,) * bench.provider.exit_points)
        network = bench.network(staged, {}, scheme)
        begin = time.process_time()
        with Silent().task("", None) as bar:
            bench.finetune(network, bench.settings.finetune, settings.seed, bar)
        seconds = time.process_time() - begin
        anatomy = bench.anatomy(network)
        parts = (bench.parts.validation, bench.parts.calibration)
        metrics = [judge(network, part, anatomy).metrics for part in parts]
    return statistics.mean(each.accuracy for each in metrics), metrics[0].executed_macs / 1e6, seconds


def main() -> None:
    """Train and judge each variant, and print a line for it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="one folder of images for each class")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--width", type=float, default=0.75)
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--set", action="append", default=[], help="any setting, KEY=VALUE")
    args = parser.parse_args()
    registry = Registry(load_plugins(print))
    machine = f"{platform.platform()}, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}; torch {torch.__version__}, {args.threads} threads")
    print("| variant | accuracy by seed | MACs (M) | CPU s, median |\n|---|---|---|---|", flush=True)
    for name in args.variants:
        rows = [trained(registry, settings_of(args, registry, VARIANTS[name], seed)) for seed in args.seeds]
        accuracies = " / ".join(f"{100 * row[0]:.1f}" for row in rows)
        print(
            f"| {name} | {accuracies} | {rows[0][1]:.2f} | {statistics.median(row[2] for row in rows):.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
