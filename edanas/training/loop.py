"""The training loop of a supernet; a resumed training gives the same weights as without the interruption."""

import copy
import io
import itertools
import math
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edanas.core.errors import RunError, TrainingError, WeightsError
from edanas.core.finite import check_finite
from edanas.core.machine import clock
from edanas.core.progress import Bar, Progress, Silent
from edanas.core.settings import TrainingSettings
from edanas.core.types import DataParts
from edanas.training.checkpoint import Checkpoint
from edanas.training.finite_steps import FiniteSteps
from edanas.training.pace import Pace
from edanas.training.precision import AUTO, BF16, CLEARLY_FASTER, FP32
from edanas.training.ranks import ALONE
from edanas.training.schedule import Schedule, TimeSlice, TrainingSpeed
from edanas.training.steps import Batches, derive_seed, make_optimizer
from edanas.training.weight_average import WeightAverage

SAVE_EVERY = 60.0
"""Seconds between two checkpoints."""

WARM_UP_STEPS, TRIAL_STEPS = 2, 3
"""Numbers of untimed and of timed steps in a speed measurement; the untimed steps run first."""

TRIAL_SHARE = 0.02
"""Share of a time limit after which a speed measurement ends."""


class Training(ABC):
    """Base class of a training that can be interrupted and continued; a subclass implements one step.

    All random numbers of a step derive from the seed and the number of the step. The checkpoint therefore
    holds no state of random generators.

    Args:
        network: The network to train, on the device of the training.
        learned: Module of the scheme that is trained with the network, but is not part of the result.
        parts: The data; only the train part is used.
        settings: Epochs, learning rate and other settings of training.
        resolution: Side of the images that `make_step` gets, in pixels.
        seed: Seed of all random numbers.
        checkpoint: Path of the checkpoint, and the noun for the network in messages, e.g. `supernet`.
        save_every: Seconds between two checkpoints, 60 by default. The last step also writes a checkpoint.
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
        # Listing the parameters walks over all modules, which takes as long as a small layer.
        self.weights, self.network_weights = tuple(self.trained.parameters()), tuple(network.parameters())
        self.settings, self.seed, self.save_every = settings, seed, save_every
        self.checkpoint = Checkpoint(*checkpoint)
        self.batches = Batches(parts, settings, resolution, self.device, seed)
        self.optimizer = make_optimizer(self.trained, settings)
        self.schedule = Schedule(settings.steps or settings.epochs * len(self.batches))
        self.pace: Pace | None = None
        """The pace of a training with a time limit; `None` for the number of steps in the settings."""
        self.average = WeightAverage(network, settings.ema)
        self.finite = FiniteSteps(f"the {self.checkpoint.of}", self.trained, settings, len(self.batches))
        self.speed = TrainingSpeed()
        self.precision = settings.precision
        self.ranks = ALONE
        """The processes of this training."""
        self.step, self.seconds, self._written = 0, 0.0, -1
        self._seconds_per_step: float | None = None
        """Mean seconds per step in the latest call of `run`; `None` before the first step."""

    @abstractmethod
    def make_step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Make one training step, and return the loss to display.

        Args:
            images: Batch of B normalised images (B, C, R, R); R is the resolution.
            labels: Labels (B,), int64, or probabilities (B, K) of K classes for mixup.
        """

    def own_state(self) -> dict[str, Any]:
        """Return what a checkpoint holds for this kind of training alone; empty by default."""
        return {}

    def load_own_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - few have such a state
        """Restore what `own_state` returned; by default, do nothing."""

    @property
    def finished(self) -> bool:
        """True if all steps are done."""
        return self.step >= self.schedule.steps

    @property
    def epochs(self) -> int:
        """Number of planned passes over the train part; the last one may be incomplete."""
        return math.ceil(self.schedule.steps / len(self.batches))

    def run(self, progress: Progress, time_slice: TimeSlice | None = None) -> bool:
        """Make the remaining steps, as far as time permits, and set the network to eval mode.

        Args:
            progress: Displays the progress of the training.
            time_slice: The time available to this call; `None`, the default, sets no limit.

        Returns:
            True if all steps are done; then the network has its final weights.

        Raises:
            RunError: The checkpoint is damaged, belongs to another network, or cannot be written.
            TrainingError: A loss, a gradient or a weight is not finite.
        """
        time_slice = time_slice or TimeSlice()
        self.resume()
        if self.finished:
            self._network.eval()
            return True
        with self.ranks.calling("run", self._call_state):
            self._run(progress, time_slice)
        return self.finished

    def _run(self, progress: Progress, time_slice: TimeSlice) -> None:
        with self.ranks.sharing_cores():
            self._choose_precision()
            with self._task(progress) as bar, self._isolated_random_state():
                self._train_for(time_slice, bar)
        self._network.eval()

    def repeat(self, name: str, content: bytes) -> None:
        """Repeat a call of the first process, for this process's part of each batch; see `Ranks.calling`.

        Raises:
            RunError: This process has other training samples than the first process.
        """
        state = torch.load(io.BytesIO(content), map_location=self.device, weights_only=True)
        # Machines round differently, but not as much as other samples would.
        if not np.allclose(state["samples"], self._call_state()["samples"], rtol=1e-3):
            at = self.ranks.at
            raise RunError(
                f"process {at.rank} of {at.count}: the train part differs from that of the first process; "
                "all machines need the same files"
            )
        self._restore(state)
        if name == "run":
            self._run(Silent(), TimeSlice())
        else:
            self._measure_step()

    def fit(self, total: float) -> str:
        """Set the number of steps so that the training ends after `total` seconds.

        The time per step was measured in the latest call of `run`, or is measured in a few trial steps, at
        each remaining side if images grow. The number of steps stays if it changes by at most 5% of the
        remaining steps.

        Args:
            total: Time for the whole training in seconds, including the steps that are done.

        Returns:
            A sentence that reports steps, epochs and speed.

        Raises:
            RunError: The checkpoint is damaged, belongs to another network, or cannot be written.
            TrainingError: A loss, a gradient or a weight is not finite.
        """
        self.resume()
        with self.ranks.calling("fit", self._call_state):
            step_seconds = self._measure_step()
        if not self.finished:
            self.schedule = self.schedule.refitted(self.step, self.seconds, total, step_seconds)
            self._written = -1
            self._save()
        speed = self.settings.batch_size / step_seconds
        return (
            f"The training has {self.schedule.steps} steps, {self.schedule.steps / len(self.batches):.1f} "
            f"epochs, to end after {total:.0f} s at {speed:.0f} samples per second."
        )

    def _call_state(self) -> dict[str, Any]:
        """Return the state for the other processes, with figures by which they compare their samples."""
        parts = self.batches.parts
        labels = float(parts.train.labels.double().mean())
        return {**self._state(), "samples": [len(parts.train), labels, *parts.mean, *parts.std]}

    def _measure_step(self) -> float:
        """Return the mean seconds of a remaining step, from the latest call of `run` or from trial steps."""
        self._choose_precision()
        if not (moments := self._trial_moments()):
            return self._seconds_per_step or statistics.mean(self._time_trial_steps(time.monotonic))
        seconds = [statistics.mean(self._time_trial_steps(time.monotonic, at)) for at, _ in moments]
        return statistics.fmean(seconds, [share for _, share in moments])

    def _trial_moments(self) -> list[tuple[float, float]]:
        """Return the moments of the remaining training whose steps differ in duration; empty if none do.

        A moment is a progress, with the share of the progress that it stands for.
        """
        return []

    def _choose_precision(self) -> None:
        """Choose bfloat16 if it is clearly faster than float32, and the setting `precision` is `auto`.

        The two are measured in turn, twice, each by its fastest step. The checkpoint records the choice.
        """
        if self.precision != AUTO:
            return
        seconds: dict[str, list[float]] = {FP32: [math.inf], BF16: [math.inf]}
        latest = [at for at, _ in self._trial_moments()[-1:]]
        for precision in (FP32, BF16) * 2 if self.schedule.steps else ():
            self.precision = precision
            seconds[precision] += self._time_trial_steps(clock(self.device), *latest)
        (is_faster,) = self.ranks.agreed(min(seconds[BF16]) < CLEARLY_FASTER * min(seconds[FP32]))
        self.precision = BF16 if is_faster else FP32

    def _time_trial_steps(self, now: Callable[[], float], at: float | None = None) -> list[float]:
        """Measure the seconds of each of `TRIAL_STEPS` steps; the state of the training is then restored.

        Args:
            now: The clock.
            at: Progress of the training in these steps; `None`, the default, means its present progress.
        """
        before, step = copy.deepcopy(self._state()), self.step
        if at is not None:
            self.schedule = Schedule(self.schedule.steps, step, at)
        self._network.train()
        seconds: list[float] = []
        begin = time.monotonic()
        with self._isolated_random_state():
            batches = itertools.chain.from_iterable(iter(self._rest_of_epoch, None))
            for _ in range(WARM_UP_STEPS + TRIAL_STEPS):
                start = now()
                self._seeded_step(*next(batches))
                seconds.append(now() - start)
                self.step = step
                limit = math.inf if self.pace is None else TRIAL_SHARE * self.pace.limit
                (is_late,) = self.ranks.agreed(time.monotonic() - begin > limit)
                if len(seconds) > WARM_UP_STEPS and is_late:
                    break
        self._restore(before)
        return seconds[WARM_UP_STEPS:]

    @contextmanager
    def _isolated_random_state(self) -> Iterator[None]:
        """Restore torch's global generators after the block."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            yield

    def _train_for(self, time_slice: TimeSlice, bar: Bar) -> None:
        """Train until all steps are done or the time slice is over, and write checkpoints."""
        self._network.train()
        seconds_before, start, first = self.seconds, time_slice.seconds, self.step
        saved = start
        while not self.finished:
            batches, step_end = self._rest_of_epoch(), time_slice.seconds
            for images, labels in batches:
                self.speed.input_seconds += time_slice.seconds - step_end
                if self._is_over(time_slice):
                    # A `finally` block would also save after a failed step, which may change statistics.
                    return self._save()
                loss = self._seeded_step(images, labels)
                step_end = time_slice.seconds
                self.speed.images += round(len(labels) / self.batches.share)
                self.speed.seconds = step_end - start
                self.seconds = seconds_before + self.speed.seconds
                self._seconds_per_step = self.speed.seconds / (self.step - first)
                epoch = -(-self.step // len(self.batches))
                bar.advance(self._bar_steps(), note=f"epoch {epoch}/{self.epochs}, loss {loss:.3f}")
                if step_end - saved > self.save_every:
                    self._save()
                    saved = time_slice.seconds
        return self._save()

    def _is_over(self, time_slice: TimeSlice) -> bool:
        """Fit the number of steps to the time; return whether all steps are done or the time slice is over.

        The first process decides for all.
        """
        if self.pace is not None:
            self.schedule = self.pace.schedule(self.schedule, self.step)
        is_over = self.finished or time_slice.is_over()
        if self.ranks.count > 1:
            values = self.schedule.steps, self.schedule.since, self.schedule.position, is_over
            steps, since, position, ends = self.ranks.agreed(*values)
            self.schedule, is_over = Schedule(int(steps), int(since), position), bool(ends)
        return is_over

    @contextmanager
    def _task(self, progress: Progress) -> Iterator[Bar]:
        """Show a bar of steps, or of percent if the number of steps follows from the time."""
        label, paced = f"Training the {self.checkpoint.of}", self.pace is not None
        total = 100 if paced else self.schedule.steps
        self._shown = 0
        with progress.task(f"{label} (% of its time)" if paced else label, total) as bar:
            bar.advance(self._bar_steps())
            yield bar

    def _bar_steps(self) -> int:
        """Return the number of steps by which the bar lags behind."""
        done = int(100 * self.schedule.done(self.step)) if self.pace is not None else self.step
        lag, self._shown = done - self._shown, max(done, self._shown)
        return max(0, lag)

    def _rest_of_epoch(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        epoch, first = divmod(self.step, len(self.batches))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "epoch", epoch))
        return self.batches.epoch(generator, first, epoch)

    def _seeded_step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        rank = ("rank", self.ranks.at.rank) if self.ranks.at.rank else ()
        torch.manual_seed(derive_seed(self.seed, "step", self.step, *rank))
        loss = self.make_step(images, labels)
        self.step += 1
        self.average.update(self.step)
        return loss

    def _save(self) -> None:
        """Write the checkpoint. After the last step it holds the averaged weights, but no optimiser state."""
        if self._written == self.step:
            return
        if self.finished:
            self.average.apply()
        if not self.ranks.leads:
            return
        state = self._state()
        try:
            check_finite(state["network"], f"training of the {self.checkpoint.of}, step {self.step}")
        except WeightsError as error:
            raise TrainingError(
                f"{error}; lower learning_rate (found {self.settings.learning_rate:g})"
            ) from error
        self.checkpoint.write(state)
        self._written = self.step

    def _state(self) -> dict[str, Any]:
        """Return the state of the training; after the last step, it has no optimiser state."""
        state: dict[str, Any] = {
            "step": self.step,
            "seconds": self.seconds,
            "each": self._seconds_per_step,
            "precision": self.precision,
            "schedule": self.schedule.to_dict(),
            "skipped": self.finite.skipped,
        }
        if not self.finished:
            state |= {"optimizer": self.optimizer.state_dict(), "average": self.average.state()}
            state |= {"learned": self.learned.state_dict(), "own": self.own_state()}
        return {**state, "network": self._network.state_dict()}

    def resume(self) -> None:
        """Restore the state from the checkpoint if the file exists and this object has made no step.

        Raises:
            RunError: The checkpoint is damaged, or belongs to another network.
            WeightsError: The checkpoint holds weights that are not finite.
        """
        if self.step:
            return
        with self.checkpoint.reading(self.device) as state:
            if state is not None:
                check_finite(state["network"], self.checkpoint.path)
                self._restore(state)
                self._written = self.step

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.schedule, step = Schedule.from_dict(state["schedule"]), int(state["step"])
        self._network.load_state_dict(state["network"])
        self.precision = str(state["precision"])
        if step < self.schedule.steps:
            self.optimizer.load_state_dict(state["optimizer"])
            self.average.load(state["average"])
            self.learned.load_state_dict(state["learned"])
            self.load_own_state(state["own"])
        self.finite.skipped = int(state["skipped"])
        self.finite.remember()
        self._seconds_per_step = None if state["each"] is None else float(state["each"])
        self.step, self.seconds = step, float(state["seconds"])
