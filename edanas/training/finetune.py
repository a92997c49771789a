"""Training of one network with its exits: a candidate in `finetune` mode, or a result at the end."""

from typing import Protocol

import torch

from edanas.core.contracts import TrainingScheme
from edanas.core.progress import Bar
from edanas.core.settings import TrainingSettings
from edanas.core.types import DataParts
from edanas.training.steps import Batches, derive_seed, learning_rate, make_optimizer, update


class ExitNetwork(Protocol):
    """What training needs of a network with exits."""

    resolution: int

    def logits(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Prepared images (B, C, R, R) -> logits (B, K) of each exit, the last exit last."""


def finetune(
    network: torch.nn.Module,
    parts: DataParts,
    settings: TrainingSettings,
    scheme: TrainingScheme,
    seed: int,
    bar: Bar,
) -> None:
    """Train all exits of `network` jointly on the train part; the network is left in eval mode.

    The result depends on the weights, the data, the settings and `seed`, not on torch's global generator,
    which is left as it was.

    Args:
        network: An `ExitNetwork`, already on its device.
        parts: The data; only its train part is read.
        settings: Epochs, rate and the rest.
        scheme: What makes one loss of several.
        seed: For the order of samples, augmentation and dropout.
        bar: Advanced once a step.
    """
    exits: ExitNetwork = network  # type: ignore[assignment]
    device = next(network.parameters()).device
    batches = Batches(parts, settings, exits.resolution, device)
    optimizer = make_optimizer(network, settings)
    steps = settings.epochs * len(batches)
    network.to(memory_format=torch.channels_last)
    network.train()
    step = 0
    for epoch in range(settings.epochs):
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive_seed(seed, "finetune", epoch))
            generator = torch.Generator().manual_seed(derive_seed(seed, "batches", epoch))
            for images, labels in batches.epoch(generator):
                loss = scheme.loss(exits.logits(images), labels, settings.label_smoothing)
                loss.backward()  # type: ignore[no-untyped-call]
                rate = learning_rate(settings, step, steps)
                update(optimizer, network.parameters(), rate, settings.gradient_clip)
                step += 1
                bar.advance()
    network.eval()


def steps_of(parts: DataParts, settings: TrainingSettings) -> int:
    """How many steps `finetune` will take, for a progress bar."""
    return settings.epochs * len(Batches(parts, settings, 1, torch.device("cpu")))
