"""Training of one single-exit network from labels, which can be interrupted and continued."""

import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from edanas.core.contracts import StagedBackbone
from edanas.core.settings import TrainingSettings
from edanas.core.types import DataParts
from edanas.training.loop import SAVE_EVERY, Training
from edanas.training.precision import compute_precision
from edanas.training.steps import learning_rate, update


class LabelTraining(Training):
    """Training of a backbone with its last exit; the targets are the labels.

    Args:
        network: The backbone to train, on the device of the training.
        parts: The data; only the train part is used.
        settings: Epochs, learning rate and other settings of training.
        seed: Seed of all random numbers.
        checkpoint: Path of the checkpoint, and the noun for the network in messages.
        save_every: Seconds between two checkpoints, 60 by default. The last step also writes a checkpoint.
    """

    def __init__(
        self,
        network: StagedBackbone,
        parts: DataParts,
        settings: TrainingSettings,
        seed: int,
        checkpoint: tuple[Path, str],
        save_every: float = SAVE_EVERY,
    ) -> None:
        self.network = network
        super().__init__(
            network, nn.Module(), parts, settings, network.resolution, seed, checkpoint, save_every
        )

    def make_step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Make one training step, and return the mean cross-entropy; see `Training.make_step`."""
        with compute_precision(self.precision, self.device):
            logits = self.network(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.settings.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        steps, value = self.schedule.steps, float(loss.detach())
        rate = learning_rate(self.settings, self.schedule.done(self.step) * steps, steps)
        norm = update(self.optimizer, self.weights, rate, self.settings.gradient_clip, value)
        self.finite.check(value, norm, rate, self.step)
        return value

    def seconds_per_epoch(self) -> float:
        """Measure a few steps, and return the seconds of an epoch; the training stays as it was."""
        return statistics.median(self._time_trial_steps(time.monotonic)) * len(self.batches)
