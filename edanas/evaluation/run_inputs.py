"""Components, data and folder of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edanas.core.contracts import (
    ConfidenceCriterion,
    ExitClassifier,
    InferenceRule,
    Meter,
    SupernetProvider,
    TrainingScheme,
)
from edanas.core.settings import Component, Settings
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, DataParts
from edanas.thresholds.schemes import Measure
from edanas.training.steps import derive_seed


@dataclass(frozen=True)
class RunInputs:
    """The objects that the settings of a run name, its data and its folder. Picklable.

    Args:
        settings: The run's settings.
        provider: Builds the supernet and its backbones.
        classifier: Builds heads.
        criterion: Builds the confidence criterion of each network.
        inference: Builds the inference rule of each network.
        scheme: Trains networks with exits.
        space: Encodes candidates as genomes.
        parts: The data.
        device: The device of all networks.
        folder: The run folder.
        meters: Measure backbones for the objectives and constraints, e.g. their latency.
        measure: The MACs that continuous thresholds trade against accuracy.
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

    @property
    def memory(self) -> bool:
        """`True` if an exit's prediction or confidence depends on which exits are placed before it."""
        return self.criterion.memory or self.inference.memory

    def seed(self, *names: object) -> int:
        """Return the seed for one purpose of this run."""
        return derive_seed(self.settings.seed, *names)

    def describe(self, backbone: Backbone) -> dict[str, Any]:
        """Return the plain values from which `edanas.load` rebuilds a network of this run."""
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
