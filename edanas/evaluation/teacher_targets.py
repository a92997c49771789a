"""The teacher of the setting `teacher`: run in each step of a training, or through its kept logits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from edanas.core.errors import ConfigError
from edanas.core.progress import Progress, Silent
from edanas.evaluation.kept_logits import kept_logits, kept_targets
from edanas.evaluation.teachers import ExternalTeacher, load_teacher, parse_teacher
from edanas.evaluation.workbench import Workbench
from edanas.training.distillation import StoredTeacher
from edanas.training.sandwich import SandwichTraining
from edanas.training.supernet_file import find, read_recipe

RECIPE = "train-teacher"
"""Value of `recipe` in the recipe of a file that `edanas train-teacher` writes."""


def attach_teacher(bench: Workbench, trainer: SandwichTraining, progress: Progress) -> None:
    """Load the teacher of the setting `teacher`, and let a supernet's training use it.

    Args:
        bench: The run's objects.
        trainer: The training of the supernet.
        progress: Shows messages and the computation of kept logits.

    Raises:
        ConfigError: Logits are to be kept for a teacher without a file.
        WeightsError: The teacher is missing, damaged or does not fit the run.
        RunError: The file of the logits cannot be written.
    """
    teacher, message = load_teacher(bench)
    progress.say(message)
    settings = bench.settings
    if not keeps_logits(settings.teacher, settings.teacher_logits):
        trainer.teacher = teacher
        return
    path = teacher_file(settings.teacher)
    if path is None:
        raise ConfigError(
            f"teacher_logits: found 'kept' with teacher '{settings.teacher}', which has no file; allowed: "
            "'step', or a teacher in a file"
        )
    mirrored = trainer.settings.mirrors
    logits = kept_logits(teacher, path, bench.parts.train, mirrored=mirrored, progress=progress)
    share, smoothing = trainer.settings.distillation, trainer.settings.label_smoothing
    trainer.batches.targets = kept_targets(logits, trainer.batches.labels, share, smoothing)
    # The targets are smoothed already.
    trainer.settings = replace(trainer.settings, label_smoothing=0.0)


class KeptTeacher(StoredTeacher):
    """A teacher of results, whose probabilities for the train part follow from its kept logits.

    Args:
        teacher: The teacher.
        bench: The run's objects.
        path: The teacher's file.
    """

    def __init__(self, teacher: ExternalTeacher, bench: Workbench, path: Path) -> None:
        super().__init__(teacher, bench.parts, torch.device(bench.device), teacher.resolution)
        self.external, self.path = teacher, path

    def probabilities(self, *, mirrored: bool) -> torch.Tensor:
        """Return the probabilities (S, K); see `StoredTeacher`."""
        logits = kept_logits(self.external, self.path, self.parts.train, mirrored=mirrored, progress=Silent())
        return torch.from_numpy(logits.astype(np.float32)).mean(1).softmax(1).to(self.device)


def teacher_of_results(bench: Workbench) -> StoredTeacher:
    """Return the teacher of the setting `teacher` for the training of results.

    Args:
        bench: The run's objects.

    Raises:
        WeightsError: The teacher is missing, damaged or does not fit the run.
    """
    teacher, _ = load_teacher(bench)
    path, settings = teacher_file(bench.settings.teacher), bench.settings
    if path is not None and keeps_logits(settings.teacher, settings.teacher_logits):
        return KeptTeacher(teacher, bench, path)
    return StoredTeacher(teacher, bench.parts, torch.device(bench.device), teacher.resolution)


def keeps_logits(teacher: str, choice: str) -> bool:
    """Return whether a training uses kept logits, for the settings `teacher` and `teacher_logits`."""
    if choice != "auto":
        return choice == "kept"
    path = find(teacher)
    return path is not None and read_recipe(path).get("recipe") == RECIPE


def teacher_file(teacher: str) -> Path | None:
    """Return the file with a teacher's weights; `None` if timm publishes the weights."""
    path = parse_teacher(teacher).path
    return path.with_suffix(".safetensors") if path is not None and path.suffix == ".json" else path
