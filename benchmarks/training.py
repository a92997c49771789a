"""Measure the speed of a supernet's training, compared with plain networks and ofa's own dynamic modules.

For the smallest, the median and the largest backbone of the preset `cifar`, the script times one training
step (forward through all exits, backward, AdamW):

- in the sandwich trainer, in float32 and in bfloat16;
- on the same supernet with ofa's own modules: contiguous memory, ofa's activations, no exits;
- as a plain step of timm's `mobilenetv3_small_050` and `mobilenetv3_large_075`, in channels-last memory, at
  the resolution whose multiply-adds are closest to the backbone's.

Ratios are per multiply-add. Repetitions are interleaved; seconds are CPU time on a CPU and wall time on a
GPU. The last line is the share of input in the time of whole steps of the trainer.

A table for images of 8, 28, 32 and 64 pixels comes first (CPU only): see `training_sides.py`.

    python benchmarks/training.py --threads 1 --repeats 5
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from ofa.utils import Hswish
from torch import nn
from training_sides import print_table

from edanas.core.config import resolve
from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.core.tracing import count_macs
from edanas.core.types import Backbone, DataParts, ImageSet, Task
from edanas.exits.classifiers import PoolLinear
from edanas.exits.criteria import ScoreMargin
from edanas.plugins.mbv3_sm import CIFAR
from edanas.supernets import elastic_mobile
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.training.precision import compute_precision
from edanas.training.sandwich import SandwichTraining, SupernetWithExits
from edanas.training.schemes import Joint
from edanas.training.steps import make_optimizer, update

TASK = Task(3, 10)
TIMM = ("mobilenetv3_small_050", "mobilenetv3_large_075")
SIDES = (32, 48, 64, 80, 96, 112, 128, 160, 192, 224)


def macs_of(provider: OFAMobileNetV3Provider, backbone: Backbone) -> int:
    """Return the multiply-adds of the backbone with its last exit."""
    stages, last = provider.costs(backbone, TASK)
    return sum(stage.macs for stage in stages) + last.macs


def three(provider: OFAMobileNetV3Provider, space: SearchSpace, seed: int) -> dict[str, Backbone]:
    """Return the smallest backbone, the largest, and the median of 101 random ones."""
    rng = np.random.default_rng(seed)
    drawn = sorted((space.sample_backbone(rng) for _ in range(101)), key=lambda each: macs_of(provider, each))
    return {"smallest": space.smallest(), "median": drawn[50], "largest": space.largest()}


def step(
    network: nn.Module, forward: Callable[[], list[torch.Tensor]], labels: torch.Tensor, settings: Any
) -> Callable[[], None]:
    """Return a function that makes one plain training step."""
    optimizer = make_optimizer(network, settings)

    def run() -> None:
        torch.stack([F.cross_entropy(each.float(), labels) for each in forward()]).sum().backward()
        update(optimizer, network.parameters(), 1e-4, 5.0)

    return run


def timed(runs: dict[str, Callable[[], None]], repeats: int, device: torch.device) -> dict[str, float]:
    """Return the median seconds of each run, interleaved, after one warm-up run."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            start = clock()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if repeat:
                seconds[name].append(clock() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def as_ofa_trains(provider: OFAMobileNetV3Provider, device: torch.device) -> nn.Module:
    """Return the supernet with ofa's own activations and memory layout."""
    fast, elastic_mobile.use_torch_activations = elastic_mobile.use_torch_activations, lambda net: None
    try:
        return provider.supernet(TASK).to(device).train()
    finally:
        elastic_mobile.use_torch_activations = fast


def compare(args: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """Return a row for each backbone."""
    options = {name: value for name, value in CIFAR["supernet"].items() if name != "name"}
    provider = OFAMobileNetV3Provider(**options)
    space = SearchSpace(provider.variables(), (None,), provider.exit_points)
    settings = resolve([("preset", CIFAR)]).training
    torch.manual_seed(args.seed)
    ours = SupernetWithExits(provider.supernet(TASK), provider, PoolLinear(), TASK)
    ours = ours.to(device, memory_format=torch.channels_last).train()
    theirs = as_ofa_trains(provider, device)
    assert any(isinstance(module, Hswish) for module in theirs.modules())
    labels = torch.randint(0, 10, (args.batch,), device=device)
    layout = torch.channels_last
    plain = {
        name: timm.create_model(name, num_classes=10).to(device, memory_format=layout).train()
        for name in TIMM
    }
    plain_macs = {
        name: {side: count_macs(net, (3, side, side)) for side in SIDES} for name, net in plain.items()
    }
    rows = []
    for name, backbone in three(provider, space, args.seed).items():
        macs, side = macs_of(provider, backbone), int(backbone["resolution"])
        images = torch.randn(args.batch, 3, side, side, device=device)
        last = images.contiguous(memory_format=torch.channels_last)

        def logits(
            precision: str, backbone: Backbone = backbone, last: torch.Tensor = last
        ) -> list[torch.Tensor]:
            with compute_precision(precision, device):
                return ours.logits(backbone, last)

        runs = {
            "fp32": step(ours, lambda: logits("fp32"), labels, settings),
            "bf16": step(ours, lambda: logits("bf16"), labels, settings),
            "ofa": step(theirs, lambda: [theirs.view(backbone)(images)], labels, settings),  # noqa: B023
        }
        costs = dict.fromkeys(runs, macs)
        for other, net in plain.items():
            at = min(SIDES, key=lambda side: abs(plain_macs[other][side] - macs))
            inputs = torch.randn(args.batch, 3, at, at, device=device).contiguous(memory_format=layout)
            key = f"{other} at {at}"
            runs[key] = step(net, lambda net=net, inputs=inputs: [net(inputs)], labels, settings)
            costs[key] = plain_macs[other][at]
        took = timed(runs, args.repeats, device)
        best = min(took["fp32"], took["bf16"])
        rows.append(
            {
                "backbone": name,
                "macs": macs,
                "seconds": took,
                "ratios": {
                    key: took[key] / costs[key] / (best / macs) for key in runs if key not in ("fp32", "bf16")
                },
                "images_per_second": {key: args.batch / each for key, each in took.items()},
            }
        )
    return rows


def input_share(args: argparse.Namespace, device: torch.device) -> dict[str, float]:
    """Return speed and share of input of whole sandwich steps on noise images."""
    options = {name: value for name, value in CIFAR["supernet"].items() if name != "name"}
    provider = OFAMobileNetV3Provider(**options)
    space = SearchSpace(provider.variables(), (None,), provider.exit_points)
    images = torch.randint(0, 256, (args.batch * args.steps, 3, 32, 32), dtype=torch.uint8)
    data = ImageSet(images, torch.arange(len(images)) % 10, tuple("0123456789"))
    parts = DataParts(data, data, data, data, (0.5,) * 3, (0.25,) * 3)
    settings = resolve(
        [("preset", CIFAR), ("here", {"training.batch_size": args.batch, "training.epochs": 1})]
    )
    network = SupernetWithExits(provider.supernet(TASK), provider, PoolLinear(), TASK).to(device)
    with tempfile.TemporaryDirectory() as folder:
        trainer = SandwichTraining(
            network,
            space,
            parts,
            settings.training,
            Joint(),
            ScoreMargin(),
            args.seed,
            Path(folder) / "state.pt",
        )
        trainer.run(Silent())
    return {
        "precision": trainer.precision,
        "images_per_second": trainer.speed.images_per_second,
        "input_share": trainer.speed.input_share,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only-sides", action="store_true", help="print only the table of sides")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    versions = {name: version(name) for name in ("torch", "timm", "ofa", "numpy")}
    print(f"{platform.platform()}, {platform.processor() or platform.machine()}, {vars(args)}, {versions}")
    if device.type == "cpu":
        print_table(
            lambda provider: as_ofa_trains(provider, device),
            lambda runs: timed(runs, args.repeats, device),
            args.seed,
        )
    if args.only_sides:
        return
    for row in compare(args, device):
        print(f"{row['backbone']:<9}{row['macs'] / 1e6:6.2f}M MACs; images/s:", end=" ")
        print(", ".join(f"{key} {each:.0f}" for key, each in row["images_per_second"].items()))
        print(
            "          faster per MAC than: "
            + ", ".join(f"{key} x{each:.2f}" for key, each in row["ratios"].items())
        )
    print("sandwich steps:", json.dumps(input_share(args, device)))


if __name__ == "__main__":
    main()
