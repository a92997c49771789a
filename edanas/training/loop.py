"""The training loop of a supernet, which can be interrupted at any step and gives the same weights."""

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edanas.core.progress import Bar, Progress
from edanas.core.settings import TrainingSettings
from edanas.core.types import DataParts
from edanas.training.checkpoint import Checkpoint
from edanas.training.precision import AUTO, BF16, FP32
from edanas.training.schedule import Schedule, TimeSlice, TrainingSpeed
from edanas.training.steps import Batches, derive_seed, make_optimizer
from edanas.training.weight_average import WeightAverage

SAVE_EVERY = 60.0
"""Seconds between two checkpoints."""

WARM_UP_STEPS, TRIAL_STEPS = 2, 6
"""Steps of a speed measurement: untimed ones, then timed ones."""


class Training(ABC):
    """Base class of a resumable training; a subclass implements the step.

    All randomness of a step derives from the seed and the step's number. The checkpoint therefore holds only
    weights, optimiser state and step.

    Args:
        network: The network to train, on its device.
        learned: A module of the scheme that is trained too, but is not part of the result.
        parts: The data, of which only the train part is read.
        settings: Epochs, learning rate and other settings of training.
        resolution: Side in pixels of the images in a step.
        seed: Seed of everything random.
        checkpoint: The file of the state, and the noun for the network in messages.
        save_every: Seconds between two checkpoints; one is also written at the end.
    """

    def __init__(
        self,
        network: nn.Module,
        learned: nn.Module,
        parts: DataParts,
        settings: TrainingSettings,
        resolution: int,
        seed: int,
        checkpoint: tuple[Path, str],
        save_every: float = SAVE_EVERY,
    ) -> None:
        self.device = next(network.parameters()).device
        network.to(memory_format=torch.channels_last)
        self._network, self.learned = network, learned
        self.trained = nn.ModuleList([network, learned])
        self.settings, self.seed, self.save_every = settings, seed, save_every
        self.checkpoint = Checkpoint(*checkpoint)
        self.batches = Batches(parts, settings, resolution, self.device)
        self.optimizer = make_optimizer(self.trained, settings)
        self.schedule = Schedule(settings.epochs * len(self.batches))
        self.average = WeightAverage(network, settings.ema)
        self.speed = TrainingSpeed()
        self.precision = settings.precision
        self.step, self.seconds, self._written = 0, 0.0, -1
        self._seconds_per_step: float | None = None
        """Mean seconds per step in the latest call of `run` with a step; `None` before the first one."""

    @abstractmethod
    def make_step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Update the weights on prepared images (B, C, R, R) and labels (B,); return the loss to display."""

    @property
    def finished(self) -> bool:
        """True if all steps are done."""
        return self.step >= self.schedule.steps

    @property
    def epochs(self) -> int:
        """Number of planned passes over the train part; the last one may be incomplete."""
        return math.ceil(self.schedule.steps / len(self.batches))

    def run(self, progress: Progress, time_slice: TimeSlice | None = None) -> bool:
        """Do the remaining steps, as far as time permits; the network ends in eval mode.

        Args:
            progress: Displays the progress.
            time_slice: The available time; `None` = no limit.

        Returns:
            Whether the training is finished. Only then does the network have its final weights.

        Raises:
            RunError: The checkpoint is damaged, belongs to another network, or cannot be written.
        """
        time_slice = time_slice or TimeSlice()
        self.resume()
        self._choose_precision()
        with progress.task(f"Training the {self.checkpoint.of}", self.schedule.steps) as bar:
            bar.advance(self.step)
            with self._isolated_random_state():
                self._train_for(time_slice, bar)
        self._network.eval()
        return self.finished

    def fit(self, total: float) -> str:
        """Plan as many steps as fit into `total` seconds; return a sentence on the plan.

        The speed is that of the latest call of `run`, or of a few trial steps. A plan that ends within 5% of
        the time does not change.

        Raises:
            RunError: The checkpoint is damaged, belongs to another network, or cannot be written.
        """
        self.resume()
        self._choose_precision()
        step_seconds = self._seconds_per_step or self._time_trial_steps() / TRIAL_STEPS
        if not self.finished:
            self.schedule = self.schedule.refitted(self.step, self.seconds, total, step_seconds)
            self._written = -1
            self._save()
        speed = self.settings.batch_size / step_seconds
        return (
            f"{self.schedule.steps} steps, {self.schedule.steps / len(self.batches):.1f} epochs, fit into "
            f"{total:.0f} s at {speed:.0f} images a second"
        )

    def _choose_precision(self) -> None:
        """Choose the faster precision before the first step, if the setting is `auto`."""
        if self.precision != AUTO:
            return
        seconds = {}
        for precision in (FP32, BF16) if self.schedule.steps else ():
            self.precision = precision
            seconds[precision] = self._time_trial_steps()
        self.precision = min(seconds, key=lambda name: seconds[name], default=FP32)

    def _time_trial_steps(self) -> float:
        """Return the seconds for `TRIAL_STEPS` steps, and restore the state."""
        before = copy.deepcopy((self.trained.state_dict(), self.optimizer.state_dict()))
        self._network.train()
        seconds = 0.0
        with self._isolated_random_state():
            batches = self._rest_of_epoch()
            for number in range(WARM_UP_STEPS + TRIAL_STEPS):
                start = time.monotonic()
                batch = next(batches, None)
                if batch is None:
                    batches = self._rest_of_epoch()
                    batch = next(batches)
                self._seeded_step(*batch)
                seconds += (time.monotonic() - start) * (number >= WARM_UP_STEPS)
                self.step = 0
        self.trained.load_state_dict(before[0])
        self.optimizer.load_state_dict(before[1])
        self.average = WeightAverage(self._network, self.settings.ema)
        return seconds

    @contextmanager
    def _isolated_random_state(self) -> Iterator[None]:
        """Restore torch's global generators after the block."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            yield

    def _train_for(self, time_slice: TimeSlice, bar: Bar) -> None:
        """Train to the end of the training or of the time slice, and write checkpoints."""
        self._network.train()
        seconds_before, start, first = self.seconds, time_slice.seconds, self.step
        saved = start
        while not self.finished:
            batches, step_end = self._rest_of_epoch(), time_slice.seconds
            for images, labels in batches:
                self.speed.input_seconds += time_slice.seconds - step_end
                if self.finished or time_slice.is_over():
                    # Not in a `finally`, since a failed step may have changed BatchNorm's statistics.
                    return self._save()
                loss = self._seeded_step(images, labels)
                step_end = time_slice.seconds
                self.speed.images += len(labels)
                self.speed.seconds = step_end - start
                self.seconds = seconds_before + self.speed.seconds
                self._seconds_per_step = self.speed.seconds / (self.step - first)
                epoch = -(-self.step // len(self.batches))
                bar.advance(note=f"epoch {epoch}/{self.epochs}, loss {loss:.3f}")
                if step_end - saved > self.save_every:
                    self._save()
                    saved = time_slice.seconds
        return self._save()

    def _rest_of_epoch(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        epoch, first = divmod(self.step, len(self.batches))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "epoch", epoch))
        return self.batches.epoch(generator, first)

    def _seeded_step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        torch.manual_seed(derive_seed(self.seed, "step", self.step))
        loss = self.make_step(images, labels)
        self.step += 1
        self.average.update(self.step)
        return loss

    def _save(self) -> None:
        """Write the state; after the last step only the result, with averaged weights."""
        if self._written == self.step:
            return
        state: dict[str, Any] = {
            "step": self.step,
            "seconds": self.seconds,
            "each": self._seconds_per_step,
            "precision": self.precision,
            "schedule": self.schedule.to_dict(),
        }
        if self.finished:
            self.average.apply()
        else:
            state |= {"optimizer": self.optimizer.state_dict(), "average": self.average.state()}
            state |= {"learned": self.learned.state_dict()}
        self.checkpoint.write({**state, "network": self._network.state_dict()})
        self._written = self.step

    def resume(self) -> None:
        """Restore the state from the checkpoint, if there is one and no step was done yet.

        Raises:
            RunError: The checkpoint is damaged, or belongs to another network.
        """
        if self.step:
            return
        with self.checkpoint.reading(self.device) as state:
            if state is None:
                return
            self.schedule, step = Schedule.from_dict(state["schedule"]), int(state["step"])
            self._network.load_state_dict(state["network"])
            self.precision = str(state["precision"])
            if step < self.schedule.steps:
                self.optimizer.load_state_dict(state["optimizer"])
                self.average.load(state["average"])
                self.learned.load_state_dict(state["learned"])
            self._seconds_per_step = None if state["each"] is None else float(state["each"])
            self.step, self.seconds, self._written = step, float(state["seconds"]), step
