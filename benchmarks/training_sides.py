"""Training steps on images of several sides, beside the step of a plain network; part of `training.py`.

For each side, one step (forward, backward, AdamW; one thread) is timed, interleaved, of:

- the sandwich of three backbones, as `edanas run` trains it, and the same with torch's own operators;
- the largest backbone of the same supernet with all its exits, and with ofa's own modules and the last exit;
- fine-tuning of the smallest backbone with stored probabilities of a teacher, and its forward and backward
  pass alone;
- timm's `mobilenetv3_small_050`;
- a plain network: three 3x3 convolutions of 24, 48 and 96 channels with BatchNorm and ReLU, mean, linear.
"""

import copy
import math
import tempfile
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import nn

from edanas.core.config import resolve
from edanas.core.space import SearchSpace
from edanas.core.tracing import count_macs
from edanas.core.types import Backbone, DataParts, ImageSet, Task
from edanas.exits.classifiers import PoolLinear
from edanas.exits.criteria import ScoreMargin
from edanas.plugins.mbv3_sm import QUICK
from edanas.supernets.ofa_mbv3 import OFAMobileNetV3Provider
from edanas.training import sandwich
from edanas.training.distillation import mixed_targets
from edanas.training.precision import FP32, compute_precision
from edanas.training.sandwich import SandwichTraining, SupernetWithExits
from edanas.training.schemes import Joint
from edanas.training.steps import derive_seed, make_optimizer, update

BATCHES = {8: 256, 28: 128, 32: 128, 64: 64}
"""Batch size for each side of the images, in pixels."""

CPU = torch.device("cpu")
CHANNELS, CLASSES = 3, 10
Run = Callable[[], object]


def processor() -> str:
    """Return the processor's name, and whether it has AMX."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "unknown processor"
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {'with' if 'amx_tile' in text else 'without'} AMX"


def plain_network() -> nn.Module:
    """Return three 3x3 convolutions of strides 1, 2 and 2 with BatchNorm and ReLU, mean, and linear layer."""
    layers: list[nn.Module] = []
    for before, after, stride in ((CHANNELS, 24, 1), (24, 48, 2), (48, 96, 2)):
        conv = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        layers += [conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, CLASSES))


class Contest:
    """The steps to compare at one side.

    Args:
        side: Side of the images in pixels.
        ofa: Function from a provider to its supernet in ofa's own modules.
        seed: Seed of weights, images and random backbones.
        folder: Folder for the checkpoint of the sandwich, which is never written.
    """

    def __init__(
        self, side: int, ofa: Callable[[OFAMobileNetV3Provider], nn.Module], seed: int, folder: Path
    ) -> None:
        self.side, self.batch, self.seed, self.folder = side, BATCHES[side], seed, folder
        options = {name: value for name, value in QUICK["supernet"].items() if name != "name"}
        options |= {"resolutions": [side], "stem_stride": 1 if side <= 16 else 2}
        self.provider, self.task = OFAMobileNetV3Provider(**options), Task(CHANNELS, CLASSES)
        self.space = SearchSpace(self.provider.variables(), (None,), self.provider.exit_points)
        self.settings = resolve([("", QUICK), ("", {"training.batch_size": self.batch})]).training
        torch.manual_seed(seed)
        pixels = torch.randint(0, 256, (self.batch, CHANNELS, side, side), dtype=torch.uint8)
        data = ImageSet(pixels, torch.arange(self.batch) % CLASSES, tuple("0123456789"))
        self.parts = DataParts(data, data, data, data, (0.5,) * CHANNELS, (0.25,) * CHANNELS)
        images = torch.randn(self.batch, CHANNELS, side, side)
        self.images, self.labels = images.contiguous(memory_format=torch.channels_last), data.labels
        self.ofa = ofa
        self.macs: dict[str, int] = {}
        self.runs: dict[str, Run] = {}
        self._add_supernet()
        for name, network in (
            ("timm's mobilenetv3_small_050", timm.create_model("mobilenetv3_small_050", num_classes=CLASSES)),
            ("plain network", plain_network()),
        ):
            network = network.to(memory_format=torch.channels_last).train()
            self.macs[name] = count_macs(network, (CHANNELS, side, side))
            self.runs[name] = self._step(network, lambda network=network: [network(self.images)])

    def _costs(self, backbone: Backbone) -> int:
        stages, last = self.provider.costs(backbone, self.task)
        return sum(stage.macs for stage in stages) + last.macs

    def _step(self, network: nn.Module, forward: Callable[[], list[torch.Tensor]]) -> Run:
        optimizer = make_optimizer(network, self.settings)

        def run() -> None:
            losses = [F.cross_entropy(each.float(), self.labels) for each in forward()]
            torch.stack(losses).sum().backward()
            update(optimizer, network.parameters(), 1e-4, 5.0)

        return run

    def _add_supernet(self) -> None:
        network = SupernetWithExits(self.provider.supernet(self.task), self.provider, PoolLinear(), self.task)
        trainer = SandwichTraining(
            network,
            self.space,
            self.parts,
            self.settings,
            Joint(),
            ScoreMargin(),
            self.seed,
            self.folder / "state.pt",
        )
        network.train()
        students = trainer._students(np.random.default_rng(derive_seed(self.seed, "backbones", 0)))
        total = sum(self._costs(backbone) for backbone in (trainer.largest, *students))

        def step() -> None:
            trainer.make_step(self.images, self.labels)

        def without() -> None:
            with mock.patch.object(sandwich, "compute_precision", lambda *_: nullcontext()):
                step()

        largest, smallest = trainer.largest, trainer.smallest
        theirs = self.ofa(self.provider)
        contiguous = self.images.contiguous()
        with torch.no_grad():
            alone = network.supernet.extract(smallest).train()
        tuned = copy.deepcopy(alone)
        probabilities = torch.full((self.batch, CLASSES), 1 / CLASSES)
        optimizer = make_optimizer(tuned, self.settings)

        def finetune() -> None:
            with compute_precision(FP32, CPU):
                logits = tuned(self.images)
            targets = mixed_targets(self.labels, probabilities, 0.5, 0.1)
            F.cross_entropy(logits, targets).backward()
            update(optimizer, tuned.parameters(), 1e-4, 5.0)

        def forward_and_backward() -> None:
            with fast():
                F.cross_entropy(alone(self.images), self.labels).backward()

        def logits() -> list[torch.Tensor]:
            with fast():
                return network.logits(largest, self.images)

        self.runs |= {
            "sandwich of 3": step,
            "sandwich, torch's operators": without,
            "largest, all exits": self._step(network, logits),
            "largest, ofa's modules": self._step(theirs, lambda: [theirs.view(largest)(contiguous)]),
            "smallest, fine-tuning": finetune,
            "smallest, forward and backward": forward_and_backward,
        }
        sizes = (total, total, *[self._costs(largest)] * 2, *[self._costs(smallest)] * 2)
        self.macs |= dict(zip(self.runs, sizes, strict=True))


@contextmanager
def fast() -> Any:
    """Compute in float32 with the training's convolutions."""
    with compute_precision(FP32, CPU):
        yield


def print_table(
    ofa: Callable[[OFAMobileNetV3Provider], nn.Module],
    timed: Callable[[dict[str, Run]], dict[str, float]],
    seed: int,
) -> None:
    """Print images and GFLOP per CPU-second of each step at each side.

    A step counts 6 operations per multiply-add of the networks that it trains. The heads of early exits are
    not counted.

    Args:
        ofa: Function from a provider to its supernet in ofa's own modules.
        timed: Function from steps by name to their seconds.
        seed: Seed of weights, images and random backbones.
    """
    print(f"{processor()}; images and GFLOP per CPU-second of a step, float32")
    for side, batch in BATCHES.items():
        with tempfile.TemporaryDirectory() as folder:
            contest = Contest(side, ofa, seed, Path(folder))
            seconds = timed(contest.runs)
        for name, each in seconds.items():
            speed = batch / each if each else math.inf
            macs = contest.macs[name]
            print(
                f"{side:3} px, batch {batch:3}, {name:31} {macs / 1e6:8.3f}M MACs {speed:9.0f} images/s "
                f"{6e-9 * macs * speed:6.1f} GFLOP/s"
            )
