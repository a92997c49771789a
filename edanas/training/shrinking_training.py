"""Training of a supernet by progressive shrinking, as in Once-for-All."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from edanas.core.contracts import Phase
from edanas.core.types import Backbone
from edanas.training.distillation import mixed_targets
from edanas.training.sandwich import SandwichTraining, SupernetWithExits
from edanas.training.shrinking import Shrinking
from edanas.training.steps import derive_seed, learning_rate, update
from edanas.training.weight_average import WeightAverage

_TEACHER_SHARE = 0.5
"""Share of the teacher in the targets: the source adds the loss on labels and the loss on the teacher."""


class ShrinkingTraining(SandwichTraining):
    """Training of a `SupernetWithExits` in the stages of `edanas.training.shrinking`.

    The first stage trains the full network. A copy of it then is the teacher of all later stages, in which a
    step trains random backbones on labels and on the teacher's probabilities. All backbones of a step have
    the same, random resolution. Before expansions open, the channels inside blocks are sorted by importance,
    so that smaller backbones begin with the most important channels. Each stage has a fresh optimiser and a
    learning-rate schedule of its own, whose peak is relative to that of the first stage.

    Source: Cai et al., "Once-for-All: Train one network and specialize it for efficient deployment", ICLR
    2020, Section 3.3. Arguments are those of `SandwichTraining`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.shrinking = Shrinking(self.space)
        self.full_teacher: SupernetWithExits | None = None
        """The full network at the end of the first stage; `None` before."""

    def make_step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """Make a step with the random backbones of the current stage; see `Training.make_step`.

        Returns the mean loss of a backbone, as a mean over exits.
        """
        now = self.shrinking.at(self.schedule.done(self.step))
        if self.step and self.shrinking.at(self.schedule.done(self.step - 1)).stage != now.stage:
            self._enter(now.stage)
        rng = np.random.default_rng(derive_seed(self.seed, "backbones", self.step))
        phase, stage = self._moment(self.step).phase, self.shrinking.stages[now.stage]
        if self.step and self._moment(self.step - 1).phase is not phase:
            self.average.apply()
        backbones = [self.shrinking.sample_backbone(rng, now.stage) for _ in range(stage.networks)]
        total = sum(
            self._add_gradients(*part, backbones, phase, self.batches.share * len(part[0]) / len(images))
            for part in self._micro_batches(images, labels)
        )
        total = self.ranks.sum_gradients(self.weights, total)
        steps = max(1.0, now.share * self.schedule.steps)
        rate = stage.rate * learning_rate(self.settings, now.done * steps, round(steps))
        norm = update(self.optimizer, self.weights, rate, self.settings.gradient_clip, total)
        self.finite.check(total, norm, rate, self.step)
        return total

    def _add_gradients(
        self,
        images: torch.Tensor,
        labels: torch.Tensor,
        backbones: Sequence[Backbone],
        phase: Phase,
        share: float,
    ) -> float:
        """Add the gradients of the backbones; return their mean loss, times `share`, as a mean over exits."""
        side = int(backbones[0]["resolution"])
        small = self._inputs(images, backbones[0])
        targets, smoothing = self._targets(images, labels)
        if self.full_teacher is not None:
            probabilities = self._teacher_probabilities(self.full_teacher, small, side)
            targets, smoothing = mixed_targets(targets, probabilities, _TEACHER_SHARE, smoothing), 0.0
        total = 0.0
        for backbone in backbones:
            at_side = _at_side(backbone, side)
            logits = self._logits(at_side, small, phase)
            loss = share * self._loss(logits, targets, smoothing, phase, at_side, small)
            (loss / len(backbones)).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach()) / len(logits) / len(backbones)
        return total

    def own_state(self) -> dict[str, Any]:
        """Return the teacher's weights; see `Training.own_state`."""
        return {} if self.full_teacher is None else {"teacher": self.full_teacher.state_dict()}

    def load_own_state(self, state: Mapping[str, Any]) -> None:
        """Restore the teacher; see `Training.load_own_state`."""
        if "teacher" in state:
            self.full_teacher = self._frozen_copy()
            self.full_teacher.load_state_dict(state["teacher"])

    def _enter(self, stage: int) -> None:
        """Begin a stage: its teacher, the order of its channels, and a fresh optimiser."""
        self.average.apply()
        if self.full_teacher is None:
            self.full_teacher = self._frozen_copy()
        if self.shrinking.stages[stage].kind == "expand":
            self.network.supernet.sort_channels(self.shrinking.trained_choices(stage))
        self.optimizer.state.clear()
        self.average = WeightAverage(self.network, self.settings.ema)
        self.finite.remember()

    def _frozen_copy(self) -> SupernetWithExits:
        return copy.deepcopy(self.network).eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def _teacher_probabilities(
        self, teacher: SupernetWithExits, images: torch.Tensor, side: int
    ) -> torch.Tensor:
        """Return the probabilities (B, K) of the full network's last exit for images of a side."""
        rule, last = teacher.inference, len(self.points) - 1
        exits = (last,) if rule is None else tuple(range(last + 1))
        logits = teacher.logits(_at_side(self.largest, side), images, Phase("teacher", exits, (), ()))
        if rule is not None:
            logits = rule.corrected_for_training(logits, exits)
        return logits[-1].float().softmax(dim=1)


def _at_side(backbone: Backbone, side: int) -> Backbone:
    """Return a backbone at another resolution."""
    return Backbone(tuple((name, side if name == "resolution" else each) for name, each in backbone.choices))
