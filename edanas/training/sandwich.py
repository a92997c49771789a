"""Training a supernet with all its exits at once: the sandwich rule with in-place distillation.

Each step trains the largest backbone on the labels, and the smallest and a random one on the largest's last
exit of those that the scheme's phase runs (Yu and Huang, Universally Slimmable Networks, 2019; Yu et al.,
BigNAS, 2020). Gradients of the three add up to one update.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from edanas.core.contracts import (
    ConfidenceCriterion,
    ExitBatch,
    ExitClassifier,
    Phase,
    Supernet,
    SupernetProvider,
    TrainingScheme,
)
from edanas.core.passes import exit_logits, exit_parts
from edanas.core.progress import Bar, Progress
from edanas.core.settings import TrainingSettings
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, DataParts, ExitPoint, Task
from edanas.training.averaging import Average
from edanas.training.checkpoint import Checkpoint
from edanas.training.phases import PhasePlan
from edanas.training.plan import Plan, Segment
from edanas.training.steps import (
    Batches,
    derive_seed,
    learned_beside,
    learning_rate,
    make_optimizer,
    update,
)


class SupernetWithExits(nn.Module):
    """A supernet and a head for every exit point and every number of channels that may reach it.

    Args:
        supernet: The weight-sharing network.
        provider: Names the exit points' channels.
        classifier: Builds the heads.
        task: Channels and classes.
    """

    def __init__(
        self, supernet: Supernet, provider: SupernetProvider, classifier: ExitClassifier, task: Task
    ) -> None:
        super().__init__()
        self.supernet = supernet
        self.channels = provider.exit_channels()
        self.heads = nn.ModuleDict(
            {
                f"{index}-{channels}": classifier.build(ExitPoint(index, channels, 1, 1), task.num_classes)
                for index, options in enumerate(self.channels)
                for channels in options
            }
        )

    def head(self, index: int, channels: int) -> nn.Module:
        """The shared head of exit point `index` for features of so many channels."""
        return self.heads[f"{index}-{channels}"]

    def logits(
        self, backbone: Backbone, images: torch.Tensor, phase: Phase | None = None
    ) -> list[torch.Tensor]:
        """Prepared images (B, C, R, R) -> logits (B, K) of every exit of `backbone`, the last exit last.

        Of a training's phase, only the exits that it runs are computed, and only what it trains is tracked.
        What is frozen runs in the supernet's mode: BatchNorm takes the batch's statistics, since no running
        statistics fit all backbones.
        """
        heads = {index: _HeadsAt(self, index) for index in range(len(self.channels))}
        return exit_logits(exit_parts(self.supernet.view(backbone), heads), images, phase)


class _HeadsAt(nn.Module):
    """The heads of one exit point; the features' channels choose among them."""

    def __init__(self, network: SupernetWithExits, index: int) -> None:
        super().__init__()
        self.options = nn.ModuleDict(
            {str(channels): network.head(index, channels) for channels in network.channels[index]}
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.options[str(features.shape[1])](features)
        return logits


class SandwichTrainer:
    """Trains a `SupernetWithExits`; cut anywhere, even in an epoch, it goes on to the same weights.

    What is random in a step derives from the seed and the step's number, so that the checkpoint need hold no
    more than weights, optimiser and step.

    Args:
        network: What to train, already on its device.
        space: Where random backbones come from.
        parts: The data; only its train part is read.
        settings: Epochs, rate and the rest.
        scheme: The phases, and what makes one loss of several.
        criterion: The run's, for schemes whose loss depends on confidences.
        seed: The run's seed.
        checkpoint: The file that holds the state.
        save_every: Seconds between two writings of it; it is written at the end, too.

    Raises:
        ConfigError: The scheme's options do not fit the supernet's exits.
    """

    def __init__(
        self,
        network: SupernetWithExits,
        space: SearchSpace,
        parts: DataParts,
        settings: TrainingSettings,
        scheme: TrainingScheme,
        criterion: ConfidenceCriterion,
        seed: int,
        checkpoint: Path,
        save_every: float = 60.0,
    ) -> None:
        self.network, self.space, self.settings, self.scheme = network, space, settings, scheme
        self.criterion, self.seed, self.checkpoint = criterion, seed, Checkpoint(checkpoint, "supernet")
        self.save_every = save_every
        self.device = next(network.parameters()).device
        self.largest, self.smallest = space.largest(), space.smallest()
        self.batches = Batches(parts, settings, int(self.largest["resolution"]), self.device)
        self.points = tuple(range(len(network.channels) + 1))
        self.phases = PhasePlan(scheme.phases(self.points))
        self.learned = learned_beside(scheme, self.points, seed, self.device)
        self.trained = nn.ModuleList([network, self.learned])
        self.optimizer = make_optimizer(self.trained, settings)
        self.plan = Plan(settings.epochs * len(self.batches))
        self.step, self.seconds, self._written = 0, 0.0, -1

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.step >= self.plan.steps

    @property
    def epochs(self) -> int:
        """How many passes over the train part are planned, the last one perhaps not whole."""
        return math.ceil(self.plan.steps / len(self.batches))

    def run(self, progress: Progress, segment: Segment | None = None) -> bool:
        """Train what is missing, as far as there is time; the network is left in eval mode.

        Args:
            progress: Where to show it.
            segment: The time that there is; no limit if left out.

        Returns:
            Whether the training is finished: only then are the network's weights the trained ones.

        Raises:
            RunError: The checkpoint is damaged, belongs to another network, or cannot be written.
        """
        segment = segment or Segment()
        self.network.to(memory_format=torch.channels_last)
        self.average = Average(self.network, self.settings.ema)
        self.resume()
        with progress.task("Training the supernet", self.plan.steps) as bar:
            bar.advance(self.step)
            with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                self._go_on(segment, bar)
        self.network.eval()
        return self.finished

    def _go_on(self, segment: Segment, bar: Bar) -> None:
        """Step by step to the end of the training or of the segment, and write what was done."""
        self.network.train()
        before, saved = self.seconds, 0.0
        while not self.finished:
            for images, labels in self._rest_of_epoch():
                if self.finished or segment.is_over():
                    # Nothing is written where a step fails: it leaves its traces in BatchNorm's statistics.
                    return self._save()
                loss = self._seeded_step(images, labels)
                self.seconds = before + segment.seconds
                epoch = -(-self.step // len(self.batches))
                bar.advance(note=f"epoch {epoch}/{self.epochs}, loss {loss:.3f}")
                if segment.seconds - saved > self.save_every:
                    self._save()
                    saved = segment.seconds
        return self._save()

    def _rest_of_epoch(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        epoch, first = divmod(self.step, len(self.batches))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "sandwich", epoch))
        return self.batches.epoch(generator, first)

    def _seeded_step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        torch.manual_seed(derive_seed(self.seed, "supernet", self.step))
        rng = np.random.default_rng(derive_seed(self.seed, "backbones", self.step))
        loss = self._step(images, labels, rng)
        self.step += 1
        self.average.update(self.step)
        return loss

    def _step(self, images: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator) -> float:
        """One update from the largest, the smallest and a random backbone; the largest's mean exit loss."""
        whole = self.plan.steps
        phase, done, steps = self.phases.at(self.plan.done(self.step) * whole, whole)
        logits = self.network.logits(self.largest, images, phase)
        loss = self._loss(logits, labels, phase, self.settings.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        teacher = logits[-1].detach().softmax(1)
        for backbone in (self.smallest, self.space.sample_backbone(rng)):
            if backbone == self.largest:
                # It was just trained: a network alone has nobody to learn from.
                continue
            student = self.network.logits(backbone, _resized(images, int(backbone["resolution"])), phase)
            self._loss(student, teacher, phase).backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(self.settings, done, steps)
        update(self.optimizer, self.trained.parameters(), rate, self.settings.gradient_clip)
        return float(loss.detach()) / len(logits)

    def _loss(
        self, logits: list[torch.Tensor], targets: torch.Tensor, phase: Phase, smoothing: float = 0.0
    ) -> torch.Tensor:
        batch = ExitBatch(logits, targets, phase, self.points, self.criterion, smoothing, self.learned)
        return self.scheme.loss(batch)

    def _save(self) -> None:
        """Write the state; of a finished training only what it gave, which are the averaged weights."""
        if self._written == self.step:
            return
        state: dict[str, Any] = {"step": self.step, "seconds": self.seconds, "plan": self.plan.to_dict()}
        if self.finished:
            self.average.apply()
        else:
            state |= {"optimizer": self.optimizer.state_dict(), "average": self.average.state()}
            state |= {"learned": self.learned.state_dict()}
        self.checkpoint.write({**state, "network": self.network.state_dict()})
        self._written = self.step

    def resume(self) -> None:
        """Take up the state that the checkpoint holds, if there is one."""
        with self.checkpoint.reading(self.device) as state:
            if state is None:
                return
            self.plan, step = Plan.from_dict(state["plan"]), int(state["step"])
            self.network.load_state_dict(state["network"])
            if step < self.plan.steps:
                self.optimizer.load_state_dict(state["optimizer"])
                self.average.load(state["average"])
                self.learned.load_state_dict(state["learned"])
            self.step, self.seconds, self._written = step, float(state["seconds"]), step


def _resized(images: torch.Tensor, resolution: int) -> torch.Tensor:
    if images.shape[-1] == resolution:
        return images
    small = F.interpolate(
        images, size=(resolution, resolution), mode="bilinear", align_corners=False, antialias=True
    )
    return small.contiguous(memory_format=torch.channels_last)
