"""Building blocks of a training: reproducible batches, the optimiser, and the learning rate."""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from edanas.core.contracts import TrainingScheme
from edanas.core.errors import ConfigError
from edanas.core.preprocess import prepare
from edanas.core.settings import ALTERNATING, TrainingSettings
from edanas.core.types import DataParts, ImageSet
from edanas.training.augment import augment, mix
from edanas.training.ranks import ALONE, Ranks

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises linearly, before it falls along a cosine."""


def derive_seed(seed: int, *names: object) -> int:
    """Return a seed for one purpose, derived from the seed of the run and the names of the purpose.

    Equal arguments give the same seed on every machine.

    Args:
        seed: Seed of the run.
        names: Texts or numbers that identify the purpose, e.g. `"epoch", 3`.

    Example:
        >>> derive_seed(0, "supernet", 1)
        42918649115390
    """
    text = ":".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


class Batches:
    """The train part in random batches, resized, normalised and augmented on the device.

    Args:
        parts: The data; only the train part is used.
        settings: Settings of training; only `batch_size` and `augment` are used.
        resolution: Side of the images in a batch, in pixels.
        device: Device of the batches. It holds the whole train part, too, unless that takes more than half of
            the free memory of a GPU. Each batch is then copied to it.
        seed: Seed of the choice of images that `alternating-flip` mirrors in the first epoch; 0 by default.
    """

    def __init__(
        self,
        parts: DataParts,
        settings: TrainingSettings,
        resolution: int,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        self.parts, self.settings, self.resolution, self.device = parts, settings, resolution, device
        images = parts.train.images
        self.images = images if _is_large(images, device) else images.to(device)
        self.labels = parts.train.labels.to(device)
        generator = torch.Generator().manual_seed(derive_seed(seed, "mirrored"))
        self.first_mirrored = torch.rand(len(images), generator=generator) < 0.5
        """True for each image (S,) that `alternating-flip` mirrors in epochs 0, 2, 4 and so on.

        Other images are mirrored in the other epochs. Jordan, 94% on CIFAR-10 in 3.29 Seconds, 2024.
        """
        self.targets: Callable[[torch.Tensor], torch.Tensor] | None = None
        """Function from indices of images (B,) to probabilities (B, K); `None` = the targets are labels."""
        self.ranks = ALONE
        """The processes among which each batch is divided."""
        self.share = 1.0
        """Share of this process in the latest batch, from 0 to 1."""

    def __len__(self) -> int:
        """Return the number of batches in an epoch.

        An incomplete last batch is used if it has at least half of the batch size, and at least two images.
        """
        full, rest = divmod(len(self.labels), self.settings.batch_size)
        return max(1, full + (rest > 1 and 2 * rest >= self.settings.batch_size))

    def divide(self, ranks: Ranks) -> None:
        """Divide each batch among processes.

        Raises:
            ConfigError: A process would have fewer than two samples of a batch, which BatchNorm needs.
        """
        size, samples = self.settings.batch_size, len(self.labels)
        rest = samples - size * (len(self) - 1)
        smallest = min(size, samples, rest)
        if ranks.count > 1 and smallest < 2 * ranks.count:
            raise ConfigError(
                f"training.batch_size: found {size} with {ranks.count} processes, and the smallest batch of "
                f"{samples} training samples has {smallest}; allowed: two samples or more for each process"
            )
        self.ranks = ranks

    def epoch(
        self, generator: torch.Generator, first: int = 0, number: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the batches of one epoch.

        Args:
            generator: A CPU generator, which determines order and augmentation of the images.
            first: Number of batches to skip, so that an interrupted epoch can continue. The remaining batches
                are the same as without skipping.
            number: Number of the epoch in the training, from 0, which only `alternating-flip` uses.

        Yields:
            B images (B, C, R, R), and their labels (B,). With mixup or `targets`, the labels are class
            probabilities (B, K) for K classes. With several processes, this is one process's part of the
            batch, which it augments with random numbers of its own.
        """
        rank, count = self.ranks.at.rank, self.ranks.count
        order = torch.randperm(len(self.labels), generator=generator).to(self.device)
        base = int(torch.randint(2**62, (), generator=generator))
        for step in range(first, len(self)):
            batch = order[step * self.settings.batch_size : (step + 1) * self.settings.batch_size]
            indices = batch.tensor_split(count)[rank]
            self.share = len(indices) / len(batch)
            images = self.images[indices.to(self.images.device)].to(self.device)
            images = prepare(images, self.resolution, self.parts.mean, self.parts.std)
            generator.manual_seed(derive_seed(base + step, rank) if rank else base + step)
            mirrored = None
            if ALTERNATING in self.settings.augment:
                mirrored = self.first_mirrored[indices.cpu()] ^ (number % 2 == 1)
            images = self.augmented(images, mirrored, generator)
            targets = self.labels[indices] if self.targets is None else self.targets(indices)
            if "mixup" in self.settings.augment:
                images, targets = mix(images, targets, len(self.parts.train.classes), generator)
            yield images, targets

    def augmented(
        self, images: torch.Tensor, mirrored: torch.Tensor | None, generator: torch.Generator
    ) -> torch.Tensor:
        """Return the augmented images of a batch; see `edanas.training.augment.augment`."""
        return augment(images, self.settings.augment, generator, mirrored)


def _is_large(images: torch.Tensor, device: torch.device) -> bool:
    """Return whether images take more than half of the free memory of a GPU."""
    return device.type == "cuda" and 2 * images.nbytes > torch.cuda.mem_get_info(device)[0]


def scheme_module(
    scheme: TrainingScheme, points: tuple[int, ...], seed: int, device: torch.device
) -> nn.Module:
    """Return the module that a training scheme trains together with a network.

    Args:
        scheme: The training scheme.
        points: The exit points that have an exit, ascending, then N for the last exit.
        seed: Seed of the initial weights.
        device: Device of the module.

    Returns:
        The module; it has no weights if the scheme has nothing to learn.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "learned"))
        return (scheme.learned(points) or nn.Module()).to(device)


def make_optimizer(module: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return the optimiser of `settings`: AdamW, or SGD with momentum 0.9.

    Weight decay does not apply to biases and normalisation layers.
    """
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
    """Return the learning rate of one step.

    The schedule `cosine` rises linearly in the first tenth of the steps, then falls along a cosine to 0. The
    schedule `constant` returns `settings.learning_rate` for all steps.

    Args:
        settings: Settings of training; only `schedule` and `learning_rate`, the peak, are used.
        step: Number of completed steps; may be a fraction.
        steps: Total number of steps.

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
    optimizer: torch.optim.Optimizer,
    parameters: Iterable[nn.Parameter],
    rate: float,
    clip: float,
    loss: float = 0.0,
) -> float:
    """Update the weights with the accumulated gradients, clear the gradients, and return their norm.

    The weights stay as they are if the loss or the norm is not finite.

    Args:
        optimizer: The optimiser of the weights.
        parameters: The weights whose joint gradient is clipped.
        rate: Learning rate of this update.
        clip: Largest norm of the gradient; 0 turns clipping off.
        loss: The loss of the step, which is only checked.

    Returns:
        The norm of the gradient before clipping.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    if clip > 0:
        norm = nn.utils.clip_grad_norm_(parameters, clip)
    else:
        norm = nn.utils.get_total_norm([each.grad for each in parameters if each.grad is not None])
    if math.isfinite(norm) and math.isfinite(loss):
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(norm)


def recalibration_sample(data: ImageSet, count: int, seed: int) -> torch.Tensor:
    """Return the indices of the images on which BatchNorm statistics are recalibrated.

    Args:
        data: The train part.
        count: Largest number of images.
        seed: Seed of the run. Equal seeds give the same images for all backbones.

    Returns:
        Indices (count,), int64, or fewer if `data` has fewer images.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "recalibration"))
    return torch.randperm(len(data), generator=generator)[:count]
