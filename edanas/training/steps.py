"""What every training shares: batches that repeat by seed, the optimiser and its schedule."""

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
"""Share of the steps in which the cosine schedule first rises."""


def derive_seed(seed: int, *names: object) -> int:
    """A seed for one purpose, e.g. `derive_seed(0, "supernet", epoch)`; the same on every machine."""
    text = ":".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


class Batches:
    """The train part in random batches, resized, normalised and augmented on the device.

    Args:
        parts: The data; only its train part is read.
        settings: `batch_size` and `augment`.
        resolution: Side in pixels of the images that `epoch` yields.
        device: Where the images are kept and given.
    """

    def __init__(
        self, parts: DataParts, settings: TrainingSettings, resolution: int, device: torch.device
    ) -> None:
        self.parts, self.settings, self.resolution, self.device = parts, settings, resolution, device
        self.images = parts.train.images.to(device)
        self.labels = parts.train.labels.to(device)

    def __len__(self) -> int:
        """Steps in an epoch; a last batch of one or of less than half the size is dropped, for BatchNorm."""
        full, rest = divmod(len(self.labels), self.settings.batch_size)
        return max(1, full + (rest > 1 and 2 * rest >= self.settings.batch_size))

    def epoch(
        self, generator: torch.Generator, first: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Pairs of images (B, C, R, R) and labels (B,), or probabilities (B, K) where images are mixed.

        Order and augmentation follow from `generator`.

        Args:
            generator: A CPU generator.
            first: The step to begin with, where the epoch was cut before it; the rest is as it would be.
        """
        order = torch.randperm(len(self.labels), generator=generator).to(self.device)
        base = int(torch.randint(2**62, (), generator=generator))
        for step in range(first, len(self)):
            at = order[step * self.settings.batch_size : (step + 1) * self.settings.batch_size]
            images = prepare(self.images[at], self.resolution, self.parts.mean, self.parts.std)
            generator.manual_seed(base + step)
            images, targets = augment(images, self.settings.augment, generator), self.labels[at]
            if "mixup" in self.settings.augment:
                images, targets = mix(images, targets, len(self.parts.train.classes), generator)
            yield images, targets


def scheme_module(
    scheme: TrainingScheme, points: tuple[int, ...], seed: int, device: torch.device
) -> nn.Module:
    """What the scheme learns besides a network with exits at `points`: an empty module if nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "learned"))
        return (scheme.learned(points) or nn.Module()).to(device)


def make_optimizer(module: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW, or SGD with momentum 0.9; biases and normalisation are not decayed."""
    decayed = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    spared = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=0.9)
    # One operator for all; it wants gradients in their parameters' memory format, as autograd makes them.
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def learning_rate(settings: TrainingSettings, step: float, steps: int) -> float:
    """The rate at `step` of `steps`: constant, or a cosine to 0 after a linear rise over a tenth."""
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
    """One step with the gradients that were gathered, which are then cleared."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    if clip > 0:
        nn.utils.clip_grad_norm_(parameters, clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def recalibration_sample(data: ImageSet, count: int, seed: int) -> torch.Tensor:
    """Indices of at most `count` train images for BatchNorm statistics: one sample for all backbones."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "recalibration"))
    return torch.randperm(len(data), generator=generator)[:count]
