"""Training of early-exit networks, with the work that follows it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from edanas.core.contracts import ExitNetwork
from edanas.core.preprocess import prepare
from edanas.core.progress import Bar
from edanas.core.settings import TrainingSettings
from edanas.evaluation.run_inputs import RunInputs
from edanas.model.fitting import fit
from edanas.training.distillation import Teacher
from edanas.training.finetune import finetune
from edanas.training.recalibrate import recalibrate
from edanas.training.steps import recalibration_sample

_BATCH = 256

BACKWARD = 3
"""Cost of a training step in forward passes, roughly."""


@dataclass(frozen=True)
class NetworkTrainer:
    """Trains networks by the run's scheme, and recomputes what depends on their weights.

    Args:
        run: The run's components and data.
    """

    run: RunInputs

    def finetune(
        self,
        network: ExitNetwork,
        settings: TrainingSettings,
        seed: int,
        bar: Bar,
        teacher: Teacher | None = None,
    ) -> None:
        """Train `network`, then recompute its BatchNorm statistics, and fit its rule and criterion."""
        recompute = partial(self.recalibrate, network)
        finetune(network, self.run.parts, settings, self.run.scheme, seed, bar, recompute, teacher)
        recompute()
        self.fit(network)

    def recalibrate(self, network: ExitNetwork) -> None:
        """Recompute BatchNorm statistics on the run's sample of train images, alike for all networks."""
        recalibrate(_AllExits(network), self.train_images(network.resolution))

    def fit(self, network: ExitNetwork) -> None:
        """Fit inference rule and criterion on the calibration part, if they learn after training."""
        fit(network, self.run.parts.calibration)

    def train_images(self, resolution: int) -> Iterator[torch.Tensor]:
        """Yield the run's sample of train images for BatchNorm statistics, prepared: batches (B, C, R, R)."""
        run, parts = self.run, self.run.parts
        sample = recalibration_sample(parts.train, run.settings.recalibration, run.settings.seed)
        # Batches of nearly equal size: each counts alike in the average, and one image has no variance.
        for batch in torch.tensor_split(sample, math.ceil(len(sample) / _BATCH)):
            images = parts.train.images[batch].to(run.device)
            yield prepare(images, resolution, parts.mean, parts.std)

    def judging_passes(self) -> int:
        """Return the forward passes, in samples, to recalibrate, fit and validate one network."""
        run, parts = self.run, self.run.parts
        fitted = len(parts.calibration) if run.inference.fits or run.criterion.fits else 0
        return min(run.settings.recalibration, len(parts.train)) + fitted + len(parts.validation)


class _AllExits(nn.Module):
    """Runs all exits of a network, so that BatchNorm in its heads sees data, too."""

    def __init__(self, network: ExitNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return self.network.logits(images)
