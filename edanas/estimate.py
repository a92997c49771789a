"""What a run will cost, before it starts: for `--dry-run`."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edanas.compose import compose, device_of, make_space, threads_of
from edanas.core.config import to_plain
from edanas.core.contracts import StagedBackbone
from edanas.core.costs import trace
from edanas.core.progress import Silent
from edanas.core.settings import Settings
from edanas.core.types import Task
from edanas.evaluation.workbench import BACKWARD
from edanas.plugins.registry import Registry

_SAMPLE = 20
"""Random backbones that the median is taken of."""


def estimate(registry: Registry, settings: Settings) -> dict[str, Any]:
    """The space's size, the MACs of its backbones, and about how long the run will take here.

    MACs are for one sample of the last exit; the time follows from them and from the speed of one measured
    training step, so it is right to a factor of two or so.

    Raises:
        EdanasError: As the run itself would, on wrong names, options or data.
    """
    provider, space = make_space(registry, settings)
    made = compose(registry, settings, folder=Path(), progress=Silent())
    parts, task = made.workbench.parts, made.workbench.parts.task
    rng = np.random.default_rng(settings.seed)
    random = [_macs(provider.build(space.sample_backbone(rng), task), task) for _ in range(_SAMPLE)]
    largest = provider.build(space.largest(), task)
    smallest, typical = _macs(provider.build(space.smallest(), task), task), float(np.median(random))
    candidates = settings.search.initial + settings.search.iterations * settings.search.per_iteration
    candidates = min(candidates, settings.search.max_evals or candidates)
    once, each = made.evaluator.passes()
    # About as many single-exit networks are finished as early-exit ones.
    finished = 2 * settings.search.results * settings.finetune.epochs * len(parts.train) * BACKWARD
    work = (once + candidates * each + finished) * typical
    return {
        "settings": to_plain(settings),
        "space_size": space.size(),
        "genes": space.dimensions,
        "exit_points": provider.exit_points,
        "smallest_backbone_macs": smallest,
        "median_backbone_macs": int(typical),
        "largest_backbone_macs": _macs(largest, task),
        "train_images": len(parts.train),
        "candidates": candidates,
        "total_macs": int(work),
        "seconds_here": round(work / _speed(largest, task, settings), 1),
    }


def _macs(backbone: StagedBackbone, task: Task) -> int:
    stages, last = trace(backbone, task.in_channels)
    return sum(stage.macs for stage in stages) + last.macs


def _speed(network: StagedBackbone, task: Task, settings: Settings) -> float:
    """Forward-pass MACs in a second, from one training step."""
    torch.set_num_threads(threads_of(settings))
    device = device_of(settings)
    batch, side, macs = settings.training.batch_size, network.resolution, _macs(network, task)
    network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    images = torch.zeros(batch, task.in_channels, side, side, device=device)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        network(images).sum().backward()
        seconds.append(time.perf_counter() - start)
    return BACKWARD * batch * macs / seconds[-1]
