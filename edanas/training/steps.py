"""Parts of every training: batches that are reproducible by a seed, the optimiser, and learning rates."""

import hashlib
import math
from collections.abc import Iterable, Iterator

import torch
from torch import nn

from edanas.core.contracts import TrainingScheme
from edanas.core.preprocess import prepare
from edanas.core.settings import TrainingSettings
from edanas.core.types import DataParts, ImageSet
from edanas.training.augment import augment, mix

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises linearly, before the cosine."""


def derive_seed(seed: int, *names: object) -> int:
    """Return a seed for one purpose, the same on every machine.

    Example:
        >>> derive_seed(0, "supernet", 1)
        42918649115390
    """
    text = ":".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


class Batches:
    """The train part in random batches, resized, normalised and augmented on the device.

    Args:
        parts: The data; only its train part is read.
        settings: `batch_size` and `augment`.
        resolution: Side in pixels of the images that `epoch` yields.
        device: Device of the images.
    """

    def __init__(
        self, parts: DataParts, settings: TrainingSettings, resolution: int, device: torch.device
    ) -> None:
        self.parts, self.settings, self.resolution, self.device = parts, settings, resolution, device
        self.images = parts.train.images.to(device)
        self.labels = parts.train.labels.to(device)

    def __len__(self) -> int:
        """Return the steps per epoch; a last batch of one image or less than half the size is dropped."""
        full, rest = divmod(len(self.labels), self.settings.batch_size)
        return max(1, full + (rest > 1 and 2 * rest >= self.settings.batch_size))

    def epoch(
        self, generator: torch.Generator, first: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield images (B, C, R, R) with labels (B,), or with probabilities (B, K) for mixup.

        Args:
            generator: A CPU generator, which determines order and augmentation.
            first: The first step, for an interrupted epoch; the batches do not depend on it.
        """
        order = torch.randperm(len(self.labels), generator=generator).to(self.device)
        base = int(torch.randint(2**62, (), generator=generator))
        for step in range(first, len(self)):
            indices = order[step * self.settings.batch_size : (step + 1) * self.settings.batch_size]
            images = prepare(self.images[indices], self.resolution, self.parts.mean, self.parts.std)
            generator.manual_seed(base + step)
            images, targets = augment(images, self.settings.augment, generator), self.labels[indices]
            if "mixup" in self.settings.augment:
                images, targets = mix(images, targets, len(self.parts.train.classes), generator)
            yield images, targets


def scheme_module(
    scheme: TrainingScheme, points: tuple[int, ...], seed: int, device: torch.device
) -> nn.Module:
    """Return the scheme's module to train with a network that has exits at `points`; empty if it has none."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "learned"))
        return (scheme.learned(points) or nn.Module()).to(device)


def make_optimizer(module: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return AdamW, or SGD with momentum 0.9; weight decay excludes biases and normalisation."""
    decayed = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    not_decayed = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": not_decayed, "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=0.9)
    # `fused` needs gradients in the memory format of their parameters, which autograd provides.
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def learning_rate(settings: TrainingSettings, step: float, steps: int) -> float:
    """Return the rate at `step` of `steps`: constant, or a cosine to 0 after a linear rise over a tenth.

    Example:
        >>> settings = TrainingSettings(learning_rate=1.0, schedule="cosine")
        >>> [round(learning_rate(settings, step, 10), 2) for step in (0, 1, 9)]
        [1.0, 1.0, 0.03]
    """
    if settings.schedule == "constant":
        return settings.learning_rate
    warm_up = max(1, round(steps * WARM_UP))
    if step < warm_up:
        return settings.learning_rate * (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def update(
    optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], rate: float, clip: float
) -> None:
    """Make one step with the accumulated gradients, and clear them."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    if clip > 0:
        nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def recalibration_sample(data: ImageSet, count: int, seed: int) -> torch.Tensor:
    """Return indices of at most `count` train images for BatchNorm statistics, the same for all backbones."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "recalibration"))
    return torch.randperm(len(data), generator=generator)[:count]
