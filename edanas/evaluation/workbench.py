"""What every evaluation of a run works with."""

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edanas.core.contracts import (
    ConfidenceCriterion,
    ExitClassifier,
    ExitNetwork,
    InferenceRule,
    Meter,
    Specimen,
    StagedBackbone,
    SupernetProvider,
    TrainingScheme,
)
from edanas.core.costs import Costs
from edanas.core.preprocess import prepare
from edanas.core.progress import Bar
from edanas.core.settings import Component, Settings, TrainingSettings
from edanas.core.space import SearchSpace
from edanas.core.tracing import exit_points, measure, trace
from edanas.core.types import Backbone, DataParts, ExitPoint, SegmentCost, SelectionScheme
from edanas.evaluation.measured_times import once
from edanas.exits.decisions import decision_costs
from edanas.model.anatomy import Anatomy
from edanas.model.eenn import EENN
from edanas.model.fitting import fit
from edanas.thresholds.schemes import Measure
from edanas.training.distillation import Teacher
from edanas.training.finetune import finetune
from edanas.training.recalibrate import recalibrate
from edanas.training.steps import derive_seed, recalibration_sample

_BATCH = 256

BACKWARD = 3
"""A training step costs about as much as three forward passes."""


@dataclass(frozen=True)
class Workbench:
    """The objects that a run's names became, its data and its folder. Picklable.

    Args:
        settings: The run's settings.
        provider: The supernet's provider.
        classifier: Builds heads.
        criterion: Says how sure an exit is; each network has one of its own built of it.
        inference: Says what is answered; as `criterion`.
        scheme: How networks with exits are trained.
        space: Genomes and candidates.
        parts: The data.
        device: Where networks run.
        folder: The run's folder; training states are kept below it.
        meters: What tells how long backbones take, where anybody asks.
        measure: What thresholds trade against accuracy, where they are continuous.
    """

    settings: Settings
    provider: SupernetProvider
    classifier: ExitClassifier
    criterion: ConfidenceCriterion
    inference: InferenceRule
    scheme: TrainingScheme
    space: SearchSpace
    parts: DataParts
    device: torch.device
    folder: Path
    meters: tuple[Meter, ...] = ()
    measure: Measure = "ada"
    _segments: dict[str, tuple[tuple[SegmentCost, ...], SegmentCost]] = field(
        default_factory=dict, repr=False
    )
    _heads: dict[ExitPoint, SegmentCost] = field(default_factory=dict, repr=False)
    _decisions: list[SegmentCost] = field(default_factory=list, repr=False)
    _figures: dict[tuple[str, str], Costs] = field(default_factory=dict, repr=False)

    @property
    def memory(self) -> bool:
        """Whether an exit's answer or confidence depends on which exits stand before it."""
        return self.criterion.memory or self.inference.memory

    def seed(self, *names: object) -> int:
        """A seed for one purpose of this run."""
        return derive_seed(self.settings.seed, *names)

    def network(
        self,
        backbone: StagedBackbone,
        heads: Mapping[int, nn.Module],
        scheme: SelectionScheme,
        criterion: ConfidenceCriterion | None = None,
    ) -> EENN:
        """An EENN on this run's data, on its device, in eval mode.

        Args:
            backbone: With its weights.
            heads: Are copied.
            scheme: Who leaves where.
            criterion: Is copied; by default a fresh one, whose weights, if any, are drawn from torch's global
                generator.
        """
        copies = {index: copy.deepcopy(head) for index, head in heads.items()}
        parts = self.parts
        network = EENN(
            backbone,
            copies,
            scheme,
            self.fresh_criterion() if criterion is None else copy.deepcopy(criterion),
            parts.mean,
            parts.std,
            parts.train.classes,
            self.inference.build(parts.task.num_classes, self.provider.exit_points),
        )
        return network.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]

    def fresh_heads(self, backbone: StagedBackbone, placed: tuple[int, ...]) -> dict[int, nn.Module]:
        """New heads for the exit points `placed`, drawn from torch's global generator."""
        points = self.exit_points(backbone)
        return {at: self.classifier.build(points[at], self.parts.task.num_classes) for at in placed}

    def fresh_criterion(self) -> ConfidenceCriterion:
        """The criterion of one network, its weights, if any, drawn from torch's global generator."""
        return self.criterion.build(self.parts.task.num_classes, self.provider.exit_points)

    def exit_points(self, backbone: StagedBackbone) -> tuple[ExitPoint, ...]:
        """The shapes of the features at the backbone's exit points."""
        stages, _ = trace(backbone, self.parts.task.in_channels)
        return exit_points(stages)

    def anatomy(self, network: ExitNetwork) -> Anatomy:
        """What the network's segments cost."""
        return Anatomy.of(network, self.parts.task.in_channels)

    def anatomy_of(self, backbone: Backbone, points: tuple[int, ...]) -> Anatomy:
        """What a backbone with heads at `points` costs, from its structure alone."""
        stages, last = self.segments(backbone)
        places, deciding = exit_points(stages), self._deciding()
        heads = {at: self._head(places[at]) + deciding[at] for at in points}
        figures = {meter.name: self._metered(meter, backbone) for meter in self.meters}
        return Anatomy(stages, heads, last + deciding[-1], figures)

    def segments(self, backbone: Backbone) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """What a backbone's stages and last exit cost: counted by its provider, or seen on a built one."""
        task = self.parts.task
        counted = self.provider.costs(backbone, task)
        if counted is not None:
            return counted
        if backbone.id not in self._segments:
            with torch.random.fork_rng(devices=[]):
                staged = self.provider.build(backbone, task)
            self._segments[backbone.id] = trace(staged, task.in_channels)
        return self._segments[backbone.id]

    def _metered(self, meter: Meter, backbone: Backbone) -> Costs:
        """What the meter tells; one that may tell something else next time is asked once a run."""
        key = meter.name, backbone.id
        if key not in self._figures:
            specimen = self._specimen(backbone)
            ask = partial(meter.figures, specimen)
            told = ask() if meter.counted else once(self.folder, *key, ask)
            self._figures[key] = Costs(told.stages, told.heads, told.last)
        return self._figures[key]

    def _specimen(self, backbone: Backbone) -> Specimen:
        stages, last = self.segments(backbone)
        *deciding, at_last = self._deciding()
        heads = tuple(self._head(p) + d for p, d in zip(exit_points(stages), deciding, strict=True))
        return Specimen(
            backbone,
            self.provider,
            self.parts.task,
            stages,
            heads,
            last + at_last,
            partial(self._with_every_head, backbone),
        )

    def _with_every_head(self, backbone: Backbone) -> EENN:
        with torch.random.fork_rng(devices=[]):
            staged = self.provider.build(backbone, self.parts.task)
            everywhere = tuple(range(self.provider.exit_points))
            heads = self.fresh_heads(staged, everywhere)
            return self.network(staged, heads, SelectionScheme((None,) * len(everywhere)))

    def _head(self, point: ExitPoint) -> SegmentCost:
        """What a head costs at an exit point; remembered for each shape of the features there."""
        if point not in self._heads:
            with torch.random.fork_rng(devices=[]):
                head = self.classifier.build(point, self.parts.task.num_classes)
            self._heads[point] = measure(head, (point.channels, point.height, point.width))
        return self._heads[point]

    def _deciding(self) -> tuple[SegmentCost, ...]:
        """What deciding costs at each exit point and the last exit; the same for all networks of the run."""
        if not self._decisions:
            task, points = self.parts.task, self.provider.exit_points
            with torch.random.fork_rng(devices=[]):
                criterion = self.fresh_criterion()
                inference = self.inference.build(task.num_classes, points)
            self._decisions.extend(decision_costs(inference, criterion, task.num_classes, points))
        return tuple(self._decisions)

    def finetune(
        self,
        network: ExitNetwork,
        settings: TrainingSettings,
        seed: int,
        bar: Bar,
        teacher: Teacher | None = None,
    ) -> None:
        """Train `network` by the run's scheme, then recompute its BatchNorm statistics, and `fit` it."""
        anew = partial(self.recalibrate, network)
        finetune(network, self.parts, settings, self.scheme, seed, bar, anew, teacher)
        anew()
        self.fit(network)

    def recalibrate(self, network: ExitNetwork) -> None:
        """BatchNorm statistics on the run's sample of train images, which is the same for all networks."""
        recalibrate(_Exits(network), self.train_images(network.resolution))

    def fit(self, network: ExitNetwork) -> None:
        """On the calibration part, what rule and criterion learn after training, if anything."""
        fit(network, self.parts.calibration)

    def train_images(self, resolution: int) -> Iterator[torch.Tensor]:
        """The run's sample of train images for BatchNorm statistics, prepared: batches (B, C, R, R)."""
        train = self.parts.train
        at = recalibration_sample(train, self.settings.recalibration, self.settings.seed)
        # Of nearly equal size: each counts as much in the average, and a single sample has no variance.
        for batch in torch.tensor_split(at, math.ceil(len(at) / _BATCH)):
            images = train.images[batch].to(self.device)
            yield prepare(images, resolution, self.parts.mean, self.parts.std)

    def judging_passes(self) -> int:
        """How many samples pass forward to recalibrate, fit and judge one network."""
        fitted = len(self.parts.calibration) if self.inference.fits or self.criterion.fits else 0
        return min(self.settings.recalibration, len(self.parts.train)) + fitted + len(self.parts.validation)

    def describe(self, backbone: Backbone) -> dict[str, Any]:
        """What `edanas.load` needs, besides what the network itself knows, to build it again."""
        task, settings = self.parts.task, self.settings

        def named(component: Component) -> dict[str, Any]:
            return {"name": component.name, "options": dict(component.options)}

        return {
            "supernet": named(settings.supernet),
            "classifier": named(settings.classifier),
            "criterion": named(settings.criterion),
            "inference": named(settings.inference),
            "backbone": dict(backbone.choices),
            "in_channels": task.in_channels,
            "num_classes": task.num_classes,
        }


class _Exits(nn.Module):
    """Runs all exits of a network, so that BatchNorm in its heads sees data too."""

    def __init__(self, network: ExitNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return self.network.logits(images)
