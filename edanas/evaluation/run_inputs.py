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
from edanas.core.cut_backbones import completed, restricted, stages_of
from edanas.core.device_profiles import DeviceProfile
from edanas.core.devices import device_kind, worker_device
from edanas.core.preprocess import PREPROCESSING, stated_preprocessing
from edanas.core.settings import Component, Settings
from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, DataParts, Variable, described_labels
from edanas.thresholds.schemes import Measure
from edanas.training.steps import derive_seed


@dataclass(frozen=True)
class RunInputs:
    """The objects that a run's settings select, with the run's data and folder.

    The object is picklable. Its device is the worker's: it is resolved again where the pickle is loaded.

    Args:
        settings: The run's settings.
        provider: Builds the supernet and its backbones.
        classifier: Builds the heads.
        criterion: Builds the confidence criterion of each network.
        inference: Builds the inference rule of each network.
        scheme: The training scheme of early-exit networks.
        space: The search space, which encodes candidates as genomes.
        parts: The train, calibration, validation and test part of the data.
        device: The torch device of all networks.
        folder: The run folder.
        meters: Measure the costs of backbones that the objectives and constraints use, e.g. latency.
        measure: The MACs that continuous thresholds trade against accuracy: `ada` (default) or `executed`.
        footprints: True if an objective, constraint or meter needs the footprint of every candidate's
            segments; default False.
        device_profile: The microcontroller for which results are estimated; `None`, the default, for none.
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
    footprints: bool = False
    device_profile: DeviceProfile | None = None

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickled object, which computes on the device of the process that restores it."""
        self.__dict__.update(state, device=worker_device(state["settings"]))

    def device_kind(self) -> str:
        """Return the name of the device's model, e.g. of the GPU."""
        return device_kind(self.device)

    @property
    def memory(self) -> bool:
        """`True` if the prediction or confidence at an exit depends on the exits placed before it."""
        return self.criterion.memory or self.inference.memory

    def seed(self, *names: object) -> int:
        """Return the seed for one purpose, derived from the run's seed.

        Args:
            names: Identify the purpose, e.g. `"heads"` and a backbone's id. Equal names give equal seeds.
        """
        return derive_seed(self.settings.seed, *names)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The variables of the backbone, then those of the heads."""
        return (*self.provider.variables(), *self.classifier.variables(self.provider.exit_points))

    def whole(self, backbone: Backbone) -> Backbone:
        """Return the whole backbone that begins with a cut backbone; a provider builds whole backbones only.

        The choices of the heads stay. See `edanas.core.cut_backbones.completed`.
        """
        return completed(backbone, self.variables)

    def built(self, backbone: Backbone) -> Backbone:
        """Return the whole backbone that begins with a backbone, without the choices of the heads."""
        return restricted(self.whole(backbone), self.provider.variables())

    def stages_of(self, backbone: Backbone) -> int:
        """Return the number of stages of a backbone, whole or cut."""
        return stages_of(backbone, self.provider.exit_points + 1)

    def describe(self, backbone: Backbone) -> dict[str, Any]:
        """Return a network's description, from which `edanas.load` rebuilds the network.

        Args:
            backbone: The network's backbone.

        Returns:
            The components with their options, the backbone's choices, the task and the preprocessing, as
            values of JSON's types.
        """
        task, settings = self.parts.task, self.settings

        def named(component: Component) -> dict[str, Any]:
            return {"name": component.name, "options": dict(component.options)}

        return {
            **described_labels(self.parts.train),
            "supernet": named(settings.supernet),
            "classifier": named(settings.classifier),
            "criterion": named(settings.criterion),
            "inference": named(settings.inference),
            "backbone": dict(backbone.choices),
            "in_channels": task.in_channels,
            "num_classes": task.num_classes,
            PREPROCESSING: stated_preprocessing(self.parts, int(backbone["resolution"])),
        }
