"""The loop of a long training: cut anywhere, it goes on to the same weights, in any number of segments."""

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
"""Seconds between two writings of a training's state."""

WARM_UP_STEPS, TRIAL_STEPS = 2, 6
"""Steps on trial, by which a schedule is fitted to a time: those that are not counted, and those that are."""


class Training(ABC):
    """A training whose steps a subclass makes.

    What is random in a step derives from the seed and the step's number, so that the checkpoint need hold no
    more than weights, optimiser and step.

    Args:
        network: What to train, already on its device.
        learned: What is learned besides it, and is not part of what the training gives.
        parts: The data; only its train part is read.
        settings: Epochs, rate and the rest.
        resolution: Side in pixels of the images that a step gets.
        seed: Of everything random.
        checkpoint: The file that holds the state, and what is trained, for messages.
        save_every: Seconds between two writings of it; it is written at the end, too.
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
        self.pace = TrainingSpeed()
        self.precision = settings.precision
        self.step, self.seconds, self._written = 0, 0.0, -1
        self._each: float | None = None
        """Seconds that a step took on average in the latest segment that made one; `None` before any."""

    @abstractmethod
    def make_step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """One update from prepared images (B, C, R, R) and labels (B,); returns the loss to show."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.step >= self.schedule.steps

    @property
    def epochs(self) -> int:
        """How many passes over the train part are planned, the last one perhaps not whole."""
        return math.ceil(self.schedule.steps / len(self.batches))

    def run(self, progress: Progress, segment: TimeSlice | None = None) -> bool:
        """Train what is missing, as far as there is time; the network is left in eval mode.

        Args:
            progress: Where to show it.
            segment: The time that there is; no limit if left out.

        Returns:
            Whether the training is finished: only then are the network's weights the trained ones.

        Raises:
            RunError: The checkpoint is damaged, belongs to another network, or cannot be written.
        """
        segment = segment or TimeSlice()
        self.resume()
        self._choose_precision()
        with progress.task(f"Training the {self.checkpoint.of}", self.schedule.steps) as bar:
            bar.advance(self.step)
            with self._isolated_random_state():
                self._train_segment(segment, bar)
        self._network.eval()
        return self.finished

    def fit(self, total: float) -> str:
        """Plan as many steps as fit into `total` seconds.

        The speed is that of the latest segment, or of a few steps on trial. A plan that ends about in time
        stays as it is. Returns a sentence on what is planned, and why.

        Raises:
            RunError: As `run`.
        """
        self.resume()
        self._choose_precision()
        each = self._each or self._time_trial_steps() / TRIAL_STEPS
        if not self.finished:
            self.schedule = self.schedule.refitted(self.step, self.seconds, total, each)
            self._written = -1
            self._save()
        speed = self.settings.batch_size / each
        return (
            f"{self.schedule.steps} steps, {self.schedule.steps / len(self.batches):.1f} epochs, fit into "
            f"{total:.0f} s at {speed:.0f} images a second"
        )

    def _choose_precision(self) -> None:
        """Where the precision is to be measured, take the faster one, before the first step."""
        if self.precision != AUTO:
            return
        took = {}
        for precision in (FP32, BF16) if self.schedule.steps else ():
            self.precision = precision
            took[precision] = self._time_trial_steps()
        self.precision = min(took, key=lambda name: took[name], default=FP32)

    def _time_trial_steps(self) -> float:
        """The seconds that `TRIAL_STEPS` steps take; everything is left as it was."""
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
        """Nothing here changes what others draw from torch's global generators."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            yield

    def _train_segment(self, segment: TimeSlice, bar: Bar) -> None:
        """Step by step to the end of the training or of the segment, and write what was done."""
        self._network.train()
        before, begun, first = self.seconds, segment.seconds, self.step
        saved = begun
        while not self.finished:
            batches, asked = self._rest_of_epoch(), segment.seconds
            for images, labels in batches:
                self.pace.input_seconds += segment.seconds - asked
                if self.finished or segment.is_over():
                    # Nothing is written where a step fails: it leaves its traces in BatchNorm's statistics.
                    return self._save()
                loss = self._seeded_step(images, labels)
                asked = segment.seconds
                self.pace.images += len(labels)
                self.pace.seconds = asked - begun
                self.seconds = before + self.pace.seconds
                self._each = self.pace.seconds / (self.step - first)
                epoch = -(-self.step // len(self.batches))
                bar.advance(note=f"epoch {epoch}/{self.epochs}, loss {loss:.3f}")
                if asked - saved > self.save_every:
                    self._save()
                    saved = segment.seconds
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
        """Write the state; of a finished training only what it gave, which are the averaged weights."""
        if self._written == self.step:
            return
        state: dict[str, Any] = {
            "step": self.step,
            "seconds": self.seconds,
            "each": self._each,
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
        """Take up the state that the checkpoint holds, if there is one and this has not begun yet.

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
            self._each = None if state["each"] is None else float(state["each"])
            self.step, self.seconds, self._written = step, float(state["seconds"]), step
