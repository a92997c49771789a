"""An estimate of the cost of a run before it starts, for `--dry-run`."""

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
"""The number of random backbones whose median by MACs represents all evaluated and fine-tuned ones."""


def estimate(registry: Registry, settings: Settings) -> dict[str, Any]:
    """Estimate the size of the search space, the MACs of its backbones, and the time of a run here.

    MACs are for one sample up to the last exit. The time follows from measured training steps of the
    smallest, a median and the largest backbone, and is right to a factor of about two. Nothing is downloaded.
    For a known data set that is not there, MACs are for its declared channels and classes. Figures that
    depend on its images are then `None`, and `unknown` is a sentence with the reason.

    Raises:
        EdanasError: The same errors as in the run itself, on wrong names, options or data.
    """
    provider, space = make_space(registry, settings)
    composition: Composition | None = None
    unknown = None
    try:
        composition = compose(registry, _without_download(settings), folder=Path(), progress=Silent())
        task = composition.workbench.parts.task
    except AbsentDataError as absent:
        task = Task(absent.channels, absent.classes)
        unknown = (
            f"the run's MACs and time, until the data is there ({absent}) The MACs of backbones are for its "
            f"{task.in_channels} channels and {task.num_classes} classes."
        )
    rng = np.random.default_rng(settings.seed)
    drawn = [space.sample_backbone(rng) for _ in range(_SAMPLE)]
    typical = sorted(drawn, key=lambda backbone: _macs(provider.build(backbone, task), task))[_SAMPLE // 2]
    sandwich = [provider.build(each, task) for each in (space.smallest(), typical, space.largest())]
    smallest, median, largest = macs = [_macs(each, task) for each in sandwich]
    candidates = settings.search.initial + settings.search.iterations * settings.search.per_iteration
    candidates = min(candidates, settings.search.max_evals or candidates)
    total_macs = seconds = None
    if composition is not None:
        times = [_seconds_per_sample(each, task, settings) for each in sandwich]
        before, during = _forward_passes(composition, settings, candidates)
        trained = (1, settings.training.random_backbones, 1)
        total_macs = before * fmean(macs, trained) + during * median
        seconds = before * fmean(times, trained) + during * times[1]
    return {
        "settings": to_plain(settings),
        "space_size": space.size(),
        "genes": space.dimensions,
        "exit_points": provider.exit_points,
        "smallest_backbone_macs": smallest,
        "median_backbone_macs": median,
        "largest_backbone_macs": largest,
        "train_images": None if composition is None else len(composition.workbench.parts.train),
        "candidates": candidates,
        "total_macs": None if total_macs is None else int(total_macs),
        "seconds_here": None if seconds is None else round(seconds, 1),
        "unknown": unknown,
    }


def _without_download(settings: Settings) -> Settings:
    """Return the settings with the download of data switched off."""
    if not settings.data.options.get("download"):
        return settings
    return replace(
        settings, data=replace(settings.data, options={**settings.data.options, "download": False})
    )


def _forward_passes(composition: Composition, settings: Settings, candidates: int) -> tuple[float, float]:
    """Count forward passes of single samples: by the supernet before the search, by backbones from then on.

    A backward pass counts as `BACKWARD` forward passes.
    """
    before, per_candidate = composition.evaluator.passes()
    train = len(composition.workbench.parts.train)
    # About as many single-exit networks are finished as early-exit ones.
    finetuning = 2 * settings.search.results * settings.finetune.epochs * train * BACKWARD
    return before, candidates * per_candidate + finetuning


def _macs(backbone: StagedBackbone, task: Task) -> int:
    stages, last = trace(backbone, task.in_channels)
    return sum(stage.macs for stage in stages) + last.macs


def _seconds_per_sample(network: StagedBackbone, task: Task, settings: Settings) -> float:
    """Measure a training step, and return the seconds of the forward pass of one sample."""
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
