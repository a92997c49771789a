"""Choice between a teacher that runs in each step of a supernet's training, and its kept logits."""

from dataclasses import replace
from pathlib import Path

from edanas.core.errors import ConfigError
from edanas.core.progress import Progress
from edanas.evaluation.kept_logits import kept_logits, kept_targets
from edanas.evaluation.teachers import load_teacher, parse_teacher
from edanas.evaluation.workbench import Workbench
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
    mirrored = "flip" in trainer.settings.augment
    logits = kept_logits(teacher, path, bench.parts.train, mirrored=mirrored, progress=progress)
    share, smoothing = trainer.settings.distillation, trainer.settings.label_smoothing
    trainer.batches.targets = kept_targets(logits, trainer.batches.labels, share, smoothing)
    # The targets are smoothed already.
    trainer.settings = replace(trainer.settings, label_smoothing=0.0)


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
