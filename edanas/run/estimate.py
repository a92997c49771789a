"""An estimate of the cost of a run before it starts, for `--dry-run`."""

import functools
import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import torch

from edanas.core.archive import Archive
from edanas.core.config import to_plain
from edanas.core.contracts import StagedBackbone, SupernetProvider
from edanas.core.cut_backbones import restricted
from edanas.core.devices import device_of, threads_of
from edanas.core.errors import AbsentDataError
from edanas.core.machine import computing
from edanas.core.progress import Silent
from edanas.core.settings import Settings
from edanas.core.space import SearchSpace
from edanas.core.tracing import trace
from edanas.core.types import Backbone, Task
from edanas.evaluation.network_trainer import BACKWARD
from edanas.evaluation.plain_networks import plain_backbone, plain_side, with_calibration
from edanas.plugins.registry import Registry
from edanas.run.binding import check_inputs
from edanas.run.compose import Composition, compose, make_space
from edanas.run.folder import DEFAULT_PLACE, RunFolder
from edanas.run.rehearsal import rehearse
from edanas.supernets.plain import plain_family

_SAMPLE = 21
"""The number of random backbones; the median by MACs stands for every evaluated or fine-tuned backbone."""

_BUILT = 5
"""The number of random backbones of a provider whose backbones must be built to count their MACs."""

_STEP = 0.25
"""Expected seconds of a measured training step; larger networks are measured on smaller batches."""

_SLOW_MACS, _SLOW_PASSES = 2e8, 500
"""Multiply-adds and forward passes of small networks per second on a very slow machine."""

_HOUR = 3600


def estimate(registry: Registry, settings: Settings, out: RunFolder | None = None) -> dict[str, Any]:
    """Estimate the size of the search space, the MACs of backbones, and the time of a run on this machine.

    The time follows from measured training steps of the smallest, a median and the largest backbone, and is
    accurate to a factor of about two. With a time limit, the time is the limit. Nothing is downloaded. For a
    data set that is known but not downloaded yet, MACs follow from its declared numbers of channels and
    classes.

    Args:
        registry: The extensions by kind and name.
        settings: The settings of the run.
        out: The run folder; `None`, the default, = a new folder.

    Returns:
        The settings and the estimated values by name, in JSON's types. Keys that end in `backbone_macs` are
        multiply-adds of one sample up to the last exit. Values that depend on images which are not
        downloaded yet are `None`, and `unknown` is then a sentence with the reason. `remarks` are the
        sentences that the run prints on its data before it starts.

    Raises:
        EdanasError: A name, an option, the data, the folder, the weights, the teacher or the warm start is
            wrong; the run would raise the same error.
    """
    if out is not None:
        out.check()
    folder = DEFAULT_PLACE / "dry-run" if out is None else out.path
    provider, space = make_space(registry, settings)
    composition: Composition | None = None
    unknown = None
    try:
        composition = compose(registry, _without_download(settings), folder, progress=Silent())
        has_run = out is not None and out.has_run()
        if has_run:
            bench = composition.workbench
            with Archive(folder, read_only=True) as archive:
                check_inputs(folder, settings, archive, bench.space, bench.parts)
        unknown = rehearse(registry, composition, has_run=has_run)
        task = composition.workbench.parts.task
    except AbsentDataError as absent:
        task = Task(absent.channels, absent.classes)
        unknown = (
            f"the run's MACs and time, until the data is there ({absent}) The MACs of backbones are for "
            f"samples of {task.in_channels} channels and {task.num_classes} classes."
        )
    whole = space.whole()
    costs_of = functools.partial(_backbone_macs, provider, task)
    typical = typical_backbone(whole, provider, task, settings.seed)
    bare = [restricted(each, provider.variables()) for each in (whole.smallest(), whole.largest())]
    chosen = (bare[0], typical, bare[1])
    smallest, median, largest = macs = [costs_of(each) for each in chosen]
    candidates = candidate_count(settings)
    total_macs = seconds = plain = None
    if composition is not None:
        total_macs = _total(composition, settings, candidates, macs)
        sandwich = [provider.build(each, task) for each in chosen]
        seconds = _seconds(composition, settings, candidates, sandwich)
        plain = _plain_seconds(composition, settings, seconds)
        seconds += plain
        if settings.time_limit:
            share = settings.time_limit / max(seconds, 1e-9)
            total_macs, seconds, plain = total_macs * share, settings.time_limit, plain * share
    return {
        "settings": to_plain(settings),
        "space_size": space.size(),
        "genes": space.dimensions,
        "exit_points": provider.exit_points,
        "smallest_backbone_macs": smallest,
        "median_backbone_macs": median,
        "largest_backbone_macs": largest,
        "train_samples": None if composition is None else len(composition.workbench.parts.train),
        "candidates": candidates,
        "total_macs": None if total_macs is None else int(total_macs),
        "plain_networks_seconds_here": None if plain is None else round(plain, 1),
        "seconds_here": None if seconds is None else round(seconds, 1),
        "unknown": unknown,
        "remarks": [] if composition is None else list(composition.remarks),
    }


def expected_seconds(composition: Composition, settings: Settings) -> float:
    """Return the expected duration of a run without a time limit, in seconds.

    The result is 0 without any measurement if the run takes less than an hour on a very slow machine.
    """
    workbench = composition.workbench
    space, provider, task = workbench.space.whole(), workbench.provider, workbench.parts.task
    candidates = candidate_count(settings)
    rng = np.random.default_rng(settings.seed)
    backbones = (space.smallest(), space.sample_backbone(rng), space.largest())
    built = [workbench.built(each) for each in backbones]
    macs = [_backbone_macs(provider, task, each) for each in built]
    passes = sum(_forward_passes(composition, settings, candidates))
    slowest = _total(composition, settings, candidates, macs) / _SLOW_MACS + passes / _SLOW_PASSES
    if slowest <= _HOUR:
        return 0.0
    return _seconds(composition, settings, candidates, [provider.build(each, task) for each in built])


def candidate_count(settings: Settings) -> int:
    """Return the largest number of candidates of a search."""
    search = settings.search
    candidates = search.initial + search.iterations * search.per_iteration
    return min(candidates, search.max_evals or candidates)


def _total(composition: Composition, settings: Settings, candidates: int, costs: Sequence[float]) -> float:
    """Return the total cost of a run.

    Args:
        composition: The objects of the run.
        settings: The settings of the run.
        candidates: The number of candidates.
        costs: The cost of one sample's forward pass through the smallest, a median and the largest backbone.
    """
    before, during = _forward_passes(composition, settings, candidates)
    return before * fmean(costs, settings.training.passes) + during * costs[1]


def _seconds(
    composition: Composition, settings: Settings, candidates: int, sandwich: Sequence[StagedBackbone]
) -> float:
    """Measure steps of three backbones, and return the expected seconds of a run; see `_total`."""
    task = composition.workbench.parts.task
    times = [seconds_per_sample(each, task, settings) for each in sandwich]
    return _total(composition, settings, candidates, times)


def _without_download(settings: Settings) -> Settings:
    """Return the settings without the permission to download data."""
    if not settings.data.options.get("download"):
        return settings
    return replace(
        settings, data=replace(settings.data, options={**settings.data.options, "download": False})
    )


def _forward_passes(composition: Composition, settings: Settings, candidates: int) -> tuple[float, float]:
    """Count forward passes of single samples; a training step counts as `TrainingScheme.passes` passes.

    Returns:
        The passes through the supernet before the search, and the passes through backbones afterwards.
    """
    before, per_candidate = composition.evaluator.passes()
    train, passes = len(composition.workbench.parts.train), composition.workbench.scheme.passes
    # About as many single-exit networks are finished as early-exit ones, and each one's backbone on request.
    networks = (1 + settings.search.compare + settings.finetune.backbones) * settings.search.results
    finetuning = networks * settings.finetune.images(train) * passes
    return before, candidates * per_candidate + finetuning


def _plain_seconds(composition: Composition, settings: Settings, others: float) -> float:
    """Estimate the seconds of the training of the plain networks.

    Args:
        composition: The objects of the run.
        settings: The settings of the run.
        others: Seconds of all other parts of the run.
    """
    parts, baseline = with_calibration(composition.workbench.parts), settings.baseline
    if not baseline.epochs:
        return 0.0
    family = plain_family(plain_side(parts), series=parts.series).values()
    backbones = [plain_backbone(options, parts.task) for options in family]
    each = sum(seconds_per_sample(backbone, parts.task, settings) for backbone in backbones)
    return min(baseline.share * others, each * BACKWARD * baseline.epochs * len(parts.train))


def typical_backbone(space: SearchSpace, provider: SupernetProvider, task: Task, seed: int) -> Backbone:
    """Return the backbone whose multiply-adds are the median of 21 random backbones.

    If a provider cannot count costs without building its backbones, there are five.
    """
    rng = np.random.default_rng(seed)
    variables = provider.variables()
    first = restricted(space.smallest(), variables)
    count = _SAMPLE if provider.costs(first, task) is not None else _BUILT
    drawn = [restricted(space.sample_backbone(rng), variables) for _ in range(count)]
    return sorted(drawn, key=functools.partial(_backbone_macs, provider, task))[count // 2]


def _backbone_macs(provider: SupernetProvider, task: Task, backbone: Backbone) -> int:
    costs = provider.costs(backbone, task)
    stages, last = trace(provider.build(backbone, task), task.in_channels) if costs is None else costs
    return sum(stage.macs for stage in stages) + last.macs


def seconds_per_sample(network: StagedBackbone, task: Task, settings: Settings) -> float:
    """Measure two training steps, and return the estimated seconds of one sample's forward pass.

    The first step, of two samples, decides how many samples of a batch the second step has.
    """
    device = device_of(settings)
    network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    with computing(threads_of(settings)):
        first = _step_seconds(network, task, 2, device)
        batch = int(min(settings.training.batch_size, max(2, 2 * _STEP / max(first, 1e-9))))
        second = first if first > _STEP else _step_seconds(network, task, batch, device)
    return second / (BACKWARD * (2 if first > _STEP else batch))


def _step_seconds(network: StagedBackbone, task: Task, batch: int, device: torch.device) -> float:
    """Return the seconds of a forward and a backward pass of `batch` samples.

    On a CPU, they are the processor's seconds if these are fewer: other programs may hold a single thread up.
    """
    images = torch.zeros(batch, task.in_channels, *network.input_size, device=device)
    start, processor = time.perf_counter(), time.process_time()
    network(images).sum().backward()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - start
    return min(seconds, time.process_time() - processor) if device.type == "cpu" else seconds
