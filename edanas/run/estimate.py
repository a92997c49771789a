"""What a run will cost, before it starts: for `--dry-run`."""

import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from edanas.core.config import to_plain
from edanas.core.contracts import StagedBackbone
from edanas.core.devices import device_of, threads_of
from edanas.core.errors import AbsentDataError
from edanas.core.machine import computing
from edanas.core.progress import Silent
from edanas.core.settings import Settings
from edanas.core.tracing import trace
from edanas.core.types import Task
from edanas.evaluation.network_trainer import BACKWARD
from edanas.plugins.registry import Registry
from edanas.run.compose import Composition, compose, make_space

_SAMPLE = 21
"""Random backbones whose middle one, by MACs, stands for all that are judged and fine-tuned."""


def estimate(registry: Registry, settings: Settings) -> dict[str, Any]:
    """The space's size, the MACs of its backbones, and about how long the run will take here.

    MACs are for one sample of the last exit; the time follows from measured training steps of the smallest,
    a middling and the largest backbone, so it is right to a factor of two or so. Nothing is downloaded:
    where a known data set is not there, MACs are for what it declares, what depends on its images is `None`,
    and `unknown` says why.

    Raises:
        EdanasError: As the run itself would, on wrong names, options or data.
    """
    provider, space = make_space(registry, settings)
    made: Composition | None = None
    unknown = None
    try:
        made = compose(registry, _undownloaded(settings), folder=Path(), progress=Silent())
        task = made.workbench.parts.task
    except AbsentDataError as absent:
        task = Task(absent.channels, absent.classes)
        unknown = (
            f"the run's MACs and time, until the data is there ({absent}) Those of backbones are for its "
            f"{task.in_channels} channels and {task.num_classes} classes."
        )
    rng = np.random.default_rng(settings.seed)
    drawn = [space.sample_backbone(rng) for _ in range(_SAMPLE)]
    typical = sorted(drawn, key=lambda backbone: _macs(provider.build(backbone, task), task))[_SAMPLE // 2]
    sandwich = [provider.build(each, task) for each in (space.smallest(), typical, space.largest())]
    smallest, median, largest = macs = [_macs(each, task) for each in sandwich]
    candidates = settings.search.initial + settings.search.iterations * settings.search.per_iteration
    candidates = min(candidates, settings.search.max_evals or candidates)
    work = took = None
    if made is not None:
        times = [_seconds(each, task, settings) for each in sandwich]
        once, later = _passes(made, settings, candidates)
        trained = (1, settings.training.random_backbones, 1)
        work = once * fmean(macs, trained) + later * median
        took = once * fmean(times, trained) + later * times[1]
    return {
        "settings": to_plain(settings),
        "space_size": space.size(),
        "genes": space.dimensions,
        "exit_points": provider.exit_points,
        "smallest_backbone_macs": smallest,
        "median_backbone_macs": median,
        "largest_backbone_macs": largest,
        "train_images": None if made is None else len(made.workbench.parts.train),
        "candidates": candidates,
        "total_macs": None if work is None else int(work),
        "seconds_here": None if took is None else round(took, 1),
        "unknown": unknown,
    }


def _undownloaded(settings: Settings) -> Settings:
    """The settings, but that data is not fetched."""
    if not settings.data.options.get("download"):
        return settings
    return replace(
        settings, data=replace(settings.data, options={**settings.data.options, "download": False})
    )


def _passes(made: Composition, settings: Settings, candidates: int) -> tuple[float, float]:
    """How many samples' forward passes come before the search, on what a step trains, and how many later."""
    once, each = made.evaluator.passes()
    train = len(made.workbench.parts.train)
    # About as many single-exit networks are finished as early-exit ones.
    finished = 2 * settings.search.results * settings.finetune.epochs * train * BACKWARD
    return once, candidates * each + finished


def _macs(backbone: StagedBackbone, task: Task) -> int:
    stages, last = trace(backbone, task.in_channels)
    return sum(stage.macs for stage in stages) + last.macs


def _seconds(network: StagedBackbone, task: Task, settings: Settings) -> float:
    """What a sample's forward pass takes, from one training step."""
    device = device_of(settings)
    batch, side = settings.training.batch_size, network.resolution
    network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    images = torch.zeros(batch, task.in_channels, side, side, device=device)
    seconds = []
    with computing(threads_of(settings)):
        for _ in range(2):
            start = time.perf_counter()
            network(images).sum().backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - start)
    return seconds[-1] / (BACKWARD * batch)
