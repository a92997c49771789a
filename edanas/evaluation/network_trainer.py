"""Training of early-exit networks, and the steps after it: BatchNorm statistics, fitting of the criterion."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from edanas.core.contracts import ExitNetwork
from edanas.core.costs import executed_per_exit
from edanas.core.preprocess import prepare
from edanas.core.progress import Bar
from edanas.core.settings import TrainingSettings
from edanas.core.types import SelectionScheme
from edanas.evaluation.run_inputs import RunInputs
from edanas.model.anatomy import Anatomy
from edanas.model.fitting import fit
from edanas.training.distillation import Teacher
from edanas.training.finetune import finetune
from edanas.training.pace import Pace
from edanas.training.recalibrate import recalibrate
from edanas.training.steps import recalibration_sample

_BATCH = 256

Stops = Callable[[int, Callable[[], nn.Module]], bool]
"""Decides after a step whether a training ends, from the number of steps and a copy of the network."""

BACKWARD = 3
"""Approximate cost of one training step, counted in forward passes: forward 1, backward 2."""


@dataclass(frozen=True)
class NetworkTrainer:
    """Trains networks with the run's training scheme, and fits their BatchNorm statistics and criteria.

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
        pace: Pace | None = None,
        stops: Stops = lambda _step, _network: False,
    ) -> None:
        """Train a network, recompute its BatchNorm statistics, then fit its inference rule and criterion.

        Args:
            network: The network; changed in place.
            settings: Settings of the training, e.g. the number of epochs.
            seed: Seed of the order of samples, augmentation and dropout.
            bar: Progress bar, advanced once per step.
            teacher: Teacher of the distillation; `None` = the network learns from labels alone.
            pace: Fits the number of steps to a time limit; `None` = the settings determine it.
            stops: See `edanas.training.finetune.finetune`.
        """
        run, recompute = self.run, partial(self.recalibrate, network)
        macs = exit_macs(network, run.parts.task.in_channels) if run.scheme.uses_costs else ()
        finetune(network, run.parts, settings, run.scheme, seed, bar, recompute, teacher, pace, macs, stops)
        recompute()
        self.fit(network)

    def recalibrate(self, network: ExitNetwork) -> None:
        """Recompute the BatchNorm statistics of a network on a sample of the training images.

        All networks of a run use the same sample.
        """
        recalibrate(_AllExits(network), self.train_images(network.resolution))

    def fit(self, network: ExitNetwork) -> None:
        """Fit the inference rule and the criterion on the calibration part, if they learn after training."""
        fit(network, self.run.parts.calibration)

    def train_images(self, resolution: int) -> Iterator[torch.Tensor]:
        """Yield the run's sample of training images for BatchNorm statistics.

        Args:
            resolution: R, the side of the yielded images in pixels.

        Yields:
            Normalised batches (B, C, R, R) of B images with C channels, on the run's device.
        """
        run, parts = self.run, self.run.parts
        sample = recalibration_sample(parts.train, run.settings.recalibration, run.settings.seed)
        # Equal sizes, since batches weigh equally in the average, and a batch of one image has no variance.
        for batch in torch.tensor_split(sample, math.ceil(len(sample) / _BATCH)):
            images = parts.train.images[batch].to(run.device)
            yield prepare(images, resolution, parts.mean, parts.std)

    def judging_passes(self) -> int:
        """Return the number of samples that pass through a network to recalibrate, fit and validate it."""
        run, parts = self.run, self.run.parts
        fitted = len(parts.calibration) if run.inference.fits or run.criterion.fits else 0
        return min(run.settings.recalibration, len(parts.train)) + fitted + len(parts.validation)


def relative_costs(network: ExitNetwork, in_channels: int) -> tuple[float, ...]:
    """Return the multiply-adds of a sample at each exit, as a share of those at the last exit.

    Arguments are those of `exit_macs`.
    """
    macs = exit_macs(network, in_channels)
    return tuple(each / macs[-1] for each in macs)


def exit_macs(network: ExitNetwork, in_channels: int) -> tuple[float, ...]:
    """Return the multiply-adds of a sample that exits at each exit.

    Args:
        network: The network; every head runs before the next exit.
        in_channels: Number of channels of its images.
    """
    heads = SelectionScheme(tuple(1.0 if n in network.points else None for n in range(network.exit_points)))
    macs = executed_per_exit(Anatomy.of(network, in_channels).costs, heads)
    return tuple(float(each) for each in macs[~np.isnan(macs)])


class _AllExits(nn.Module):
    """Wrapper that runs all exits of a network, so that BatchNorm layers in heads receive data, too."""

    def __init__(self, network: ExitNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return self.network.prepared_logits(images)
