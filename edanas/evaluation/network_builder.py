"""Building of early-exit networks from backbones and heads."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from edanas.core.contracts import ConfidenceCriterion, InferenceRule, StagedBackbone, Supernet
from edanas.core.cut_backbones import NO_CHOICES, stages_of
from edanas.core.preprocess import prepare
from edanas.core.tracing import exit_points, trace
from edanas.core.types import Backbone, ExitPoint, SelectionScheme
from edanas.evaluation.run_inputs import RunInputs
from edanas.model.eenn import EENN
from edanas.training.steps import recalibration_sample

_PIXELS = 5000 * 32**2
"""Largest number of pixels of the sample of training images that determines initial weights."""


@dataclass(frozen=True)
class NetworkBuilder:
    """Builds heads, criteria and networks for the data of a run.

    Args:
        run: The run's components and data.
    """

    run: RunInputs

    def build(
        self,
        backbone: StagedBackbone,
        heads: Mapping[int, nn.Module],
        scheme: SelectionScheme,
        criterion: ConfidenceCriterion | None = None,
        inference: InferenceRule | None = None,
    ) -> EENN:
        """Return an early-exit network on the run's device, in eval mode.

        Args:
            backbone: The backbone with its weights. It is not copied: the network shares them.
            heads: Index of an exit point -> head. The heads are copied.
            scheme: The thresholds.
            criterion: The confidence criterion, which is copied. `None` = a new criterion, whose weights are
                drawn from torch's global generator.
            inference: The inference rule, which is copied. `None` = a new rule.
        """
        run, parts = self.run, self.run.parts
        copies = {index: copy.deepcopy(head) for index, head in heads.items()}
        network = EENN(
            backbone,
            copies,
            scheme,
            self.criterion() if criterion is None else copy.deepcopy(criterion),
            parts.mean,
            parts.std,
            parts.train.classes,
            self.inference() if inference is None else copy.deepcopy(inference),
        )
        return network.to(run.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]

    def supernet(self) -> Supernet:
        """Return the supernet with fresh weights, from torch's global generator and from the train part."""
        run, parts = self.run, self.run.parts
        supernet = run.provider.supernet(parts.task)
        side = int(run.space.largest()["resolution"])
        sample = recalibration_sample(parts.train, max(1, _PIXELS // side**2), run.settings.seed)
        supernet.initialise(prepare(parts.train.images[sample], side, parts.mean, parts.std))
        return supernet

    def staged(
        self,
        backbone: Backbone,
        build: Callable[[Backbone], StagedBackbone],
        last: Callable[[StagedBackbone, int], nn.Module],
    ) -> StagedBackbone:
        """Return a backbone, whole or cut, as a network of stages.

        Args:
            backbone: The backbone.
            build: Builds a whole backbone, e.g. with copies of a supernet's weights.
            last: Returns the last exit of a cut backbone, from the whole network and the index of the exit
                point where it ends.
        """
        whole = build(self.run.built(backbone))
        stages = stages_of(backbone, len(whole.stages))
        return whole if stages == len(whole.stages) else whole.cut(stages, last(whole, stages - 1))

    def head(self, backbone: StagedBackbone, point: int, choices: Backbone = NO_CHOICES) -> nn.Module:
        """Return a new head for the exit point with index `point`; see `heads`."""
        return self.heads(backbone, (point,), choices)[point]

    def heads(
        self, backbone: StagedBackbone, placed: tuple[int, ...], choices: Backbone = NO_CHOICES
    ) -> dict[int, nn.Module]:
        """Return new heads with random weights from torch's global generator.

        Args:
            backbone: The backbone that the heads fit.
            placed: Indices of the exit points that get a head, from 0.
            choices: The choices of the heads; by default the first choices.

        Returns:
            A dictionary from the index of an exit point to its head.
        """
        points, classes = self.exit_points(backbone), self.run.parts.task.num_classes
        classifier = self.run.classifier
        return {index: classifier.chosen(choices, index).build(points[index], classes) for index in placed}

    def criterion(self) -> ConfidenceCriterion:
        """Return a new confidence criterion. Its weights, if any, are drawn from torch's global generator."""
        return self.run.criterion.build(self.run.parts.task.num_classes, self.run.provider.exit_points)

    def inference(self) -> InferenceRule:
        """Return a new inference rule. Its weights, if any, are drawn from torch's global generator."""
        return self.run.inference.build(self.run.parts.task.num_classes, self.run.provider.exit_points)

    def exit_points(self, backbone: StagedBackbone) -> tuple[ExitPoint, ...]:
        """Return the shapes of the features at the backbone's exit points."""
        stages, _ = trace(backbone, self.run.parts.task.in_channels)
        return exit_points(stages)

    def with_every_head(self, backbone: Backbone) -> EENN:
        """Return a network with random weights and a head at every exit point. No exit is placed.

        A network of a cut backbone has heads at the exit points before its end.
        """
        run = self.run
        with torch.random.fork_rng(devices=[]):
            last = partial(self.head, choices=backbone)
            staged = self.staged(backbone, lambda whole: run.provider.build(whole, run.parts.task), last)
            points = run.provider.exit_points
            every = tuple(range(stages_of(backbone, points + 1) - 1))
            heads = self.heads(staged, every, backbone)
            return self.build(staged, heads, SelectionScheme((None,) * points))
