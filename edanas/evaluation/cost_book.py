"""Costs of backbones and heads, each counted or measured once per run."""

from functools import partial

import torch

from edanas.core.contracts import ExitClassifier, Meter, Specimen
from edanas.core.costs import Costs, cut_costs
from edanas.core.cut_backbones import stages_of
from edanas.core.idle_stages import image_stages_of
from edanas.core.network_memory import NOTHING, lacks_footprints
from edanas.core.tracing import exit_points, measure, trace
from edanas.core.types import Backbone, ExitPoint, SegmentCost
from edanas.evaluation.measured_times import measure_once
from edanas.evaluation.network_builder import NetworkBuilder
from edanas.evaluation.run_inputs import RunInputs
from edanas.exits.decisions import decision_costs
from edanas.model.anatomy import Anatomy

_MOST_ANATOMIES = 512
"""Largest number of cached anatomies; a search often needs the costs of few backbones at a time."""


class CostBook:
    """Costs of the run's backbones, heads and decisions. Each cost is computed once and then cached.

    A decision is the work of the inference rule and the confidence criterion at one exit.

    Args:
        run: The run's components and data.
        builder: Builds the networks that the meters measure.
    """

    def __init__(self, run: RunInputs, builder: NetworkBuilder) -> None:
        self.run, self.builder = run, builder
        self._segments: dict[str, tuple[tuple[SegmentCost, ...], SegmentCost]] = {}
        self._heads: dict[tuple[ExitPoint, ExitClassifier], SegmentCost] = {}
        self._decisions: tuple[SegmentCost, ...] = ()
        self._figures: dict[tuple[str, str], Costs] = {}
        self._anatomies: dict[tuple[Backbone, tuple[int, ...]], Anatomy] = {}

    def anatomy(self, backbone: Backbone, points: tuple[int, ...]) -> Anatomy:
        """Return the costs of a backbone and its heads, without training or weights.

        Args:
            backbone: The backbone.
            points: Indices of the exit points with a head, from 0.

        Returns:
            Multiply-adds, parameters and activations of each segment, and the figures of each meter.
        """
        anatomy = self._anatomies.get((backbone, points))
        if anatomy is None:
            if len(self._anatomies) >= _MOST_ANATOMIES:
                self._anatomies.clear()
            anatomy = self._anatomies[backbone, points] = self._anatomy(backbone, points)
        return anatomy

    def _anatomy(self, backbone: Backbone, points: tuple[int, ...]) -> Anatomy:
        stages, last = self.segments(backbone)
        shapes, decisions = exit_points(stages), self._decision_costs()
        heads = {index: self._head(shapes[index], backbone) + decisions[index] for index in points}
        whole, number = self.run.whole(backbone), stages_of(backbone, len(stages))
        figures = {m.name: cut_costs(self._measured(m, whole), number) for m in self.run.meters}
        return Anatomy(stages, heads, last + decisions[-1], figures)

    def segments(self, backbone: Backbone) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """Return the costs of a backbone's stages, and of its last exit without its decision.

        The stages behind the end of a cut backbone cost nothing, and its last exit is the head there. If
        `SupernetProvider.costs` returns `None`, or lacks footprints that the run needs, the whole backbone is
        built and its costs are traced.
        """
        stages, last = self._whole(self.run.built(backbone))
        end = stages_of(backbone, len(stages))
        if end == len(stages):
            return stages, last
        nothing = SegmentCost(0, 0, 0, stages[end - 1].shape, 0, NOTHING)
        padded = (*stages[:end], *((nothing,) * (len(stages) - end)))
        return padded, self._head(exit_points(stages)[end - 1], backbone)

    def _whole(self, backbone: Backbone) -> tuple[tuple[SegmentCost, ...], SegmentCost]:
        """Return the costs of the stages and the last exit of a whole backbone, without the decision."""
        task = self.run.parts.task
        counted = self.run.provider.costs(backbone, task)
        if counted is not None and not (self.run.footprints and lacks_footprints((*counted[0], counted[1]))):
            return counted
        if backbone.id not in self._segments:
            with torch.random.fork_rng(devices=[]):
                staged = self.run.provider.build(backbone, task)
            self._segments[backbone.id] = trace(staged, task.in_channels)
        return self._segments[backbone.id]

    def _measured(self, meter: Meter, backbone: Backbone) -> Costs:
        """Return the figures of a meter for a whole backbone.

        A meter with `Meter.counted` is called once in each process. Any other meter is called once for each
        run folder, which stores its figures.
        """
        key = meter.name, backbone.id
        if key not in self._figures:
            measure_now = partial(meter.figures, self._specimen(backbone))
            if meter.counted:
                figures = measure_now()
            else:
                figures = measure_once(self.run.folder, *key, measure_now, self.run.device_kind())
            image_stages = image_stages_of(self.segments(backbone)[0])
            self._figures[key] = Costs(figures.stages, figures.heads, figures.last, image_stages)
        return self._figures[key]

    def _specimen(self, backbone: Backbone) -> Specimen:
        stages, last = self.segments(backbone)
        *decisions, last_decision = self._decision_costs()
        shapes = exit_points(stages)
        costs = zip(shapes, decisions, strict=True)
        heads = tuple(self._head(shape, backbone) + cost for shape, cost in costs)
        build = partial(self.builder.with_every_head, backbone)
        run = self.run
        return Specimen(
            run.built(backbone), run.provider, run.parts.task, stages, heads, last + last_decision, build
        )

    def _head(self, point: ExitPoint, choices: Backbone) -> SegmentCost:
        key = point, self.run.classifier.chosen(choices, point.index)
        if key not in self._heads:
            with torch.random.fork_rng(devices=[]):
                head = key[1].build(point, self.run.parts.task.num_classes)
            self._heads[key] = measure(head, (point.channels, point.height, point.width))
        return self._heads[key]

    def _decision_costs(self) -> tuple[SegmentCost, ...]:
        """Return the costs of the decisions at each exit point and at the last exit.

        Decision costs are equal for all networks of a run.
        """
        if not self._decisions:
            classes, points = self.run.parts.task.num_classes, self.run.provider.exit_points
            with torch.random.fork_rng(devices=[]):
                criterion = self.builder.criterion()
                inference = self.builder.inference()
            self._decisions = tuple(decision_costs(inference, criterion, classes, points))
        return self._decisions
