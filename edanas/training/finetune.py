"""Training of one early-exit network: a candidate of a search in `finetune` mode, or a result of a run."""

import copy
import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import nn

from edanas.core.contracts import ExitBatch, ExitNetwork, ExitPart, Phase, TrainingScheme
from edanas.core.finite import check_finite
from edanas.core.progress import Bar
from edanas.core.settings import TrainingSettings
from edanas.core.types import DataParts
from edanas.training.class_weights import class_weights
from edanas.training.distillation import Teacher, mixed_targets, stored_probabilities
from edanas.training.finite_steps import FiniteSteps
from edanas.training.pace import Pace
from edanas.training.phase_plan import PhasePlan
from edanas.training.precision import AUTO, compute_precision, faster_precision
from edanas.training.schedule import Schedule
from edanas.training.steps import (
    Batches,
    derive_seed,
    learning_rate,
    make_optimizer,
    scheme_module,
    update,
)
from edanas.training.weight_average import WeightAverage


def finetune(
    network: ExitNetwork,
    parts: DataParts,
    settings: TrainingSettings,
    scheme: TrainingScheme,
    seed: int,
    bar: Bar,
    recalibrate: Callable[[], None],
    teacher: Teacher | None = None,
    pace: Pace | None = None,
    macs: tuple[float, ...] = (),
    stops: Callable[[int, Callable[[], nn.Module]], bool] = lambda _step, _network: False,
) -> None:
    """Train `network` on the train part, and set it to eval mode.

    The result depends only on the initial weights and the arguments; torch's global generator is neither used
    nor changed. The learning-rate schedule restarts in each phase of `scheme`. At the end of each phase the
    weights are replaced with their moving average.

    Args:
        network: The network to train, on the device of the training.
        parts: The data; only the train part is used.
        settings: Epochs, learning rate and other settings of training.
        scheme: The training scheme, which defines the phases and the loss.
        seed: Seed of the order of samples, augmentation and dropout.
        bar: Progress bar, advanced by 1 in each step.
        recalibrate: Function that recomputes the network's BatchNorm statistics. It is called between phases,
            so that later modules are trained on the final features of frozen modules.
        teacher: Function that returns a teacher's class probabilities. They have the weight
            `settings.distillation` in the targets. With `None`, the default, the targets are the labels.
            The probabilities are computed once for each image of the train part.
        pace: Fits the number of steps to a time limit. With `None`, the default, the settings determine the
            number of steps. A training of 0 steps has no pace.
        macs: Multiply-adds of a sample that exits at each exit; empty, the default, if unknown.
        stops: Called after each step with the number of completed steps, and with a function that returns a
            copy of the network with the weights of the moment. It returns true to end the training.

    Raises:
        ConfigError: The scheme's options do not fit the network's exits.
        TrainingError: A loss or a gradient is not finite.
        WeightsError: A weight is not finite.
    """
    every = (*network.points, network.exit_points)
    points = (*network.points, network.last_point)
    device = next(network.parameters()).device
    learned = scheme_module(scheme, every, seed, device)
    trained = nn.ModuleList([network, learned])
    # Listing the parameters walks over all modules, which takes as long as a small layer.
    own, trained_weights = tuple(network.parameters()), tuple(trained.parameters())
    batches = Batches(parts, settings, network.resolution, device, seed)
    optimizer, weights = make_optimizer(trained, settings), class_weights(parts.train, settings, device)
    plan = PhasePlan(scheme.phases(every))
    schedule = Schedule(settings.steps or settings.epochs * len(batches))
    network.to(memory_format=torch.channels_last)
    precision = _precision(network, settings, batches, plan.phases[0])
    average = WeightAverage(network, settings.ema)
    finite = FiniteSteps("the network", trained, settings, len(batches))
    run, smoothing = partial(_logits, network, precision), settings.label_smoothing
    if teacher is not None and settings.distillation and settings.trains:
        stored = stored_probabilities(teacher, parts, settings, network.resolution, device)
        batches.targets = partial(_targets, batches.labels, stored, settings)
        # The targets are smoothed already.
        smoothing = 0.0
    step, phase = 0, cast("Phase | None", None)
    for epoch in itertools.count():
        if step >= schedule.steps:
            break
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive_seed(seed, "finetune", epoch))
            generator = torch.Generator().manual_seed(derive_seed(seed, "batches", epoch))
            for images, targets in batches.epoch(generator, number=epoch):
                if pace is not None:
                    schedule = pace.schedule(schedule, step)
                if step >= schedule.steps:
                    break
                moment = plan.at(schedule.place(step), schedule.steps)
                if moment.phase is not phase:
                    if phase is not None:
                        average.apply()
                        recalibrate()
                    _set_modes(network, network.exit_parts(), moment.phase)
                phase, done, steps = moment
                logits = run(images, phase)
                batch = ExitBatch(
                    logits,
                    targets,
                    phase,
                    points,
                    network.criterion,
                    smoothing,
                    learned,
                    weights,
                    partial(run, images, phase),
                    own,
                    tuple(each / macs[-1] for each in macs),
                    done / steps,
                    macs[-1] if macs else 0.0,
                )
                loss = scheme.loss(batch) + batch.criterion_loss()
                loss.backward()  # type: ignore[no-untyped-call]
                rate, value = learning_rate(settings, done, steps), float(loss.detach())
                norm = update(optimizer, trained_weights, rate, settings.gradient_clip, value)
                finite.check(value, norm, rate, step)
                step += 1
                average.update(step)
                bar.advance()
                if stops(step, partial(average.averaged_copy, network)):
                    schedule = replace(schedule, steps=step)
                    break
    average.apply()
    check_finite(network.state_dict(), "training of the network")
    network.eval()


def _targets(
    labels: torch.Tensor, probabilities: torch.Tensor, settings: TrainingSettings, indices: torch.Tensor
) -> torch.Tensor:
    """Return the target probabilities (B, K) of images of the train part.

    Args:
        labels: Labels (S,) of all S images.
        probabilities: The teacher's probabilities (S, K).
        settings: Settings of training; only `distillation` and `label_smoothing` are used.
        indices: Indices (B,) of the images.
    """
    share, smoothing = settings.distillation, settings.label_smoothing
    return mixed_targets(labels[indices], probabilities[indices], share, smoothing)


def _logits(network: ExitNetwork, precision: str, images: torch.Tensor, phase: Phase) -> list[torch.Tensor]:
    """Return the logits (B, K) of each exit of a phase, as the network's inference rule corrects them."""
    with compute_precision(precision, images.device):
        logits = [each.float() for each in network.prepared_logits(images, phase)]
    every = (*network.points, network.last_point)
    return network.inference.corrected_for_training(logits, [every[index] for index in phase.exits])


def _precision(network: ExitNetwork, settings: TrainingSettings, batches: Batches, phase: Phase) -> str:
    """Return the precision of a training; `auto` is the one that makes the passes of a step fastest."""
    if settings.precision != AUTO or not settings.trains:
        return settings.precision
    with torch.random.fork_rng(devices=[batches.device] if batches.device.type == "cuda" else []):
        images, _ = next(batches.epoch(torch.Generator().manual_seed(0)))
        trial = copy.deepcopy(network).train()

        def passes(precision: str) -> None:
            torch.stack(_logits(trial, precision, images, phase)).square().mean().backward()  # type: ignore[no-untyped-call]

        return faster_precision(passes, batches.device)


def _set_modes(network: nn.Module, parts: list[ExitPart], phase: Phase) -> None:
    """Set training mode for modules that the phase trains, and eval mode for all other modules."""
    network.train()
    for index, (segment, head) in enumerate(parts):
        for stage in segment:
            stage.train(index in phase.segments)
        head.train(index in phase.heads)


def step_count(parts: DataParts, settings: TrainingSettings) -> int:
    """Return the number of steps of `finetune` for a data set and settings of training."""
    return settings.steps or settings.epochs * len(Batches(parts, settings, 1, torch.device("cpu")))
