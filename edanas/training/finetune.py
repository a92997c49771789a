"""Training of one network with its exits: a candidate in `finetune` mode, or a result at the end."""

from collections.abc import Callable

import torch
from torch import nn

from edanas.core.contracts import ExitBatch, ExitNetwork, ExitPart, Phase, TrainingScheme
from edanas.core.progress import Bar
from edanas.core.settings import TrainingSettings
from edanas.core.types import DataParts
from edanas.training.distillation import Teacher, distillation_targets
from edanas.training.phase_plan import PhasePlan
from edanas.training.precision import compute_precision, resolve_precision
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
) -> None:
    """Train the exits of `network` by the plan of `scheme` on the train part; it is left in eval mode.

    The result depends on the weights, the data, the settings and `seed`, not on torch's global generator,
    which is left as it was. Each phase is a training of its own: its schedule begins anew, and it ends with
    averaged weights.

    Args:
        network: On its device.
        parts: The data; only its train part is read.
        settings: Epochs, rate and the rest.
        scheme: The phases, and what makes one loss of several.
        seed: For the order of samples, augmentation and dropout.
        bar: Advanced once a step.
        recalibrate: Recomputes the network's BatchNorm statistics, by which frozen parts run. Called between
            phases, so that what is trained on frozen parts meets what these will give in the end.
        teacher: Whom to learn from besides the labels, by the share of `settings.distillation`.

    Raises:
        ConfigError: The scheme's options do not fit the network's network.
    """
    points = (*network.points, network.exit_points)
    device = next(network.parameters()).device
    learned = scheme_module(scheme, points, seed, device)
    trained = nn.ModuleList([network, learned])
    batches = Batches(parts, settings, network.resolution, device)
    optimizer = make_optimizer(trained, settings)
    plan, whole = PhasePlan(scheme.phases(points)), settings.epochs * len(batches)
    network.to(memory_format=torch.channels_last)
    precision = resolve_precision(settings.precision, device)
    average = WeightAverage(network, settings.ema)
    step = 0
    for epoch in range(settings.epochs):
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive_seed(seed, "finetune", epoch))
            generator = torch.Generator().manual_seed(derive_seed(seed, "batches", epoch))
            for images, labels in batches.epoch(generator):
                phase, done, steps = plan.at(step, whole)
                if not done:
                    if step:
                        average.apply()
                        recalibrate()
                    _set_modes(network, network.exit_parts(), phase)
                smoothing, share = settings.label_smoothing, settings.distillation
                with compute_precision(precision, device):
                    logits = [each.float() for each in network.logits(images, phase)]
                    if teacher is not None and share:
                        labels, smoothing = (
                            distillation_targets(images, labels, teacher, share, smoothing),
                            0.0,
                        )
                batch = ExitBatch(logits, labels, phase, points, network.criterion, smoothing, learned)
                (scheme.loss(batch) + batch.criterion_loss()).backward()  # type: ignore[no-untyped-call]
                rate = learning_rate(settings, done, steps)
                update(optimizer, trained.parameters(), rate, settings.gradient_clip)
                step += 1
                average.update(step)
                bar.advance()
    average.apply()
    network.eval()


def _set_modes(network: nn.Module, parts: list[ExitPart], phase: Phase) -> None:
    """Training mode for what the phase trains, eval mode for the rest."""
    network.train()
    for index, (segment, head) in enumerate(parts):
        for stage in segment:
            stage.train(index in phase.segments)
        head.train(index in phase.heads)


def step_count(parts: DataParts, settings: TrainingSettings) -> int:
    """How many steps `finetune` will take, for a progress bar."""
    return settings.epochs * len(Batches(parts, settings, 1, torch.device("cpu")))
