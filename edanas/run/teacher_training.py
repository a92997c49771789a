"""The training of a dense teacher from nothing, in any number of calls, for later trainings of supernets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from edanas.core.config import to_plain
from edanas.core.devices import threads_of
from edanas.core.errors import ConfigError, Interrupted, RunError
from edanas.core.launched import place
from edanas.core.machine import computing
from edanas.core.preprocess import prepare
from edanas.core.progress import Progress
from edanas.core.records import sealed_text
from edanas.core.runfolder import RunLock, replace_file
from edanas.core.settings import Component, Settings
from edanas.core.space import SearchSpace
from edanas.core.types import DataParts
from edanas.evaluation.initial_weights import SUPERNET
from edanas.evaluation.kept_logits import kept_logits
from edanas.evaluation.teacher_targets import RECIPE
from edanas.evaluation.teachers import load_teacher
from edanas.evaluation.workbench import Workbench
from edanas.plugins.blame import blamed
from edanas.plugins.registry import Registry
from edanas.run.compose import Composition, compose
from edanas.run.pretraining import (
    ORDER,
    Order,
    Trained,
    bind_order,
    compare_orders,
    portable,
    training_state,
    valid_order,
)
from edanas.run.provenance import digest_of_file, digest_of_parts, environment
from edanas.supernets.option_checks import SMALLEST_SIDE
from edanas.supernets.whitened_cnn import WhitenedCNN
from edanas.supernets.whitening import whiten
from edanas.training.schedule import TimeSlice
from edanas.training.supernet_file import read_recipe, write
from edanas.training.teacher_training import TeacherTraining, default_epochs, teacher_settings

PROVIDER = "whitened-cnn"
"""The name of the supernet provider of teachers."""

CHECKPOINT = "teacher.pt"
"""The name of the checkpoint in the work folder."""

LARGEST_SIDE = 32
"""The largest side, in pixels, at which a teacher reads images by default; the recipe is for this size."""

WHITENED = 5000
"""The number of training images whose patches the stem whitens."""


@dataclass(frozen=True)
class TeacherOrder(Order):
    """An order to train a teacher.

    Args:
        epochs: The passes over the train part; `None`, the default, = as many as make 500,000 images, from
            10 to 100.
        channels: The numbers of channels of the three pairs of convolutions.
        side: The side of the images in pixels; `None`, the default, = the images' own shorter side, at most
            `LARGEST_SIDE`.
    """

    epochs: int | None = None
    channels: tuple[int, ...] = (64, 256, 256)
    side: int | None = None
    noun = "teacher"

    def decisive(self) -> dict[str, Any]:
        """Return the settings and the options that determine the weights, in JSON's types."""
        plain = to_plain(self.settings)
        side = {} if self.side is None else {"resolutions": [self.side]}
        network = {"name": PROVIDER, "channels": list(self.channels), **side}
        training = {"epochs": self.epochs or 0, "precision": self.settings.training.precision}
        settings = {name: plain[name] for name in ("data", "split", "seed")}
        settings |= {"supernet": network, "training": training}
        return {"settings": settings, "total_time": self.total_time}


def train_teacher(registry: Registry, order: TeacherOrder, progress: Progress) -> Trained:
    """Train a teacher, or resume its training, until it is finished or the time limit is reached.

    The finished teacher is written as a trained supernet with a single backbone. Its logits for the train
    part are computed once, and kept in a file beside it.

    Args:
        registry: The extensions by kind and name.
        order: The teacher to train. Of the settings, data, split, seed, device, threads and
            `training.precision` are used.
        progress: The display of progress.

    Returns:
        The state of the training; for a teacher that was finished before, the state in its file.

    Raises:
        EdanasError: The user can correct the error; its message says how.
        Interrupted: After Ctrl-C; the same call resumes the training.
    """
    segment, order = TimeSlice(order.time_limit), _valid(order)
    if place().count > 1:
        raise ConfigError(
            f"train-teacher: found {place().count} processes; allowed: one, since one process trains a "
            "teacher; leave out torchrun"
        )
    with blamed(registry):
        composition = compose(registry, order.settings, order.work, progress)
    parts = composition.workbench.parts
    if order.out.exists():
        return _existing(order, parts, progress)
    with RunLock(order.work), computing(threads_of(order.settings)):
        bind_order(order, digest_of_parts(parts), [CHECKPOINT])
        for remark in composition.remarks:
            progress.say(remark)
        try:
            trainer = _trainer(order, composition.workbench)
            if order.total_time is not None:
                progress.say(trainer.fit(order.total_time))
            if trainer.run(progress, segment):
                _write(order, composition, trainer)
                _keep_logits(order, composition, progress)
                for name in (CHECKPOINT, ORDER):
                    (order.work / name).unlink(missing_ok=True)
        except KeyboardInterrupt:
            raise Interrupted(
                f"Interrupted; the training so far is kept in {order.work}. To resume, run the same "
                "command again"
            ) from None
    return training_state(order, trainer)


def _valid(order: TeacherOrder) -> TeacherOrder:
    """Check an order, and return it without the settings that a teacher does not use.

    Raises:
        ConfigError: A value is out of range.
    """
    if order.epochs is not None and order.epochs < 1:
        raise ConfigError(f"--epochs: found {order.epochs}; allowed: 1 or more")
    WhitenedCNN(order.channels, resolutions=(order.side or LARGEST_SIDE,))
    valid_order(order)
    return replace(order, settings=replace(order.settings, teacher="", weights="", warm_start=""))


def _supernet(order: TeacherOrder, parts: DataParts) -> Component:
    """Return the supernet provider of the teacher with its options."""
    side = order.side or max(SMALLEST_SIDE, min(LARGEST_SIDE, *parts.train.images.shape[2:]))
    return Component(PROVIDER, {"channels": list(order.channels), "resolutions": [side]})


def _mirrors(parts: DataParts) -> bool:
    """Return whether images are mirrored: colour images are, grey images may be characters."""
    return parts.task.in_channels == 3


def _trainer(order: TeacherOrder, bench: Workbench) -> TeacherTraining:
    parts, provider = bench.parts, _provider(_supernet(order, bench.parts))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(bench.seed("teacher"))
        network = provider.build(_space(provider, bench.settings).largest(), parts.task)
    sample = prepare(parts.train.images[:WHITENED], network.resolution, parts.mean, parts.std)
    whiten(network.stages[0][0], sample)  # type: ignore[index]
    epochs = order.epochs or default_epochs(len(parts.train))
    settings = teacher_settings(epochs, len(parts.train), order.settings.training.precision)
    file, mirrors = (order.work / CHECKPOINT, "teacher"), _mirrors(parts)
    return TeacherTraining(
        network.to(bench.device), parts, settings, bench.seed("teacher"), file, mirrors=mirrors
    )


def _provider(supernet: Component) -> WhitenedCNN:
    return WhitenedCNN(**supernet.options)


def _space(provider: WhitenedCNN, settings: Settings) -> SearchSpace:
    return SearchSpace.of(provider, settings.thresholds)


def _write(order: TeacherOrder, composition: Composition, trainer: TeacherTraining) -> None:
    """Write the weights file, which contains the recipe, and the recipe as a file beside it."""
    bench, parts = composition.workbench, composition.workbench.parts
    settings = replace(order.settings, supernet=_supernet(order, parts))
    recipe = {
        "recipe": RECIPE,
        "order": _portable(order).decisive(),
        "settings": to_plain(portable(settings)),
        "space": _space(_provider(settings.supernet), settings).signature(),
        "classes": list(parts.train.classes),
        "image_shape": list(parts.train.images.shape[1:]),
        "in_channels": parts.task.in_channels,
        "num_classes": parts.task.num_classes,
        "data": digest_of_parts(parts),
        "mirrored": _mirrors(parts),
        "train_images": len(parts.train),
        "steps": trainer.step,
        "epochs": trainer.epochs,
        "seconds": round(trainer.seconds, 1),
        "environment": environment(bench.settings),
    }
    write(order.out, {SUPERNET: trainer.network}, recipe, parts.train, half=order.half)
    beside = {**recipe, "sha256": digest_of_file(str(order.out))}
    replace_file(order.out.with_suffix(".json"), sealed_text(beside))


def _portable(order: TeacherOrder) -> TeacherOrder:
    """Return an order whose settings name files without their folders."""
    return replace(order, settings=portable(order.settings))


def _keep_logits(order: TeacherOrder, composition: Composition, progress: Progress) -> None:
    """Compute the logits of the teacher in the file for the train part, and keep them beside it."""
    bench = composition.workbench
    taught = replace(bench, settings=replace(bench.settings, teacher=str(order.out)))
    teacher, _ = load_teacher(taught)
    kept_logits(teacher, order.out, bench.parts.train, mirrored=_mirrors(bench.parts), progress=progress)


def _existing(order: TeacherOrder, parts: DataParts, progress: Progress) -> Trained:
    """Return the state of the finished training that the weights file records.

    Raises:
        RunError: The file holds a supernet, or a teacher of another recipe or of other images.
    """
    recipe: Mapping[str, Any] = read_recipe(order.out)
    if recipe.get("recipe") != RECIPE:
        raise RunError(f"{order.out} holds a supernet, not a teacher; choose another --out")
    compare_orders(_portable(order), recipe["order"], f"{order.out} holds")
    if recipe["data"] != digest_of_parts(parts):
        raise RunError(
            f"{order.out} holds a teacher that was trained on other samples than the samples of "
            f"'{order.settings.data.name}'; choose another --out"
        )
    progress.say(f"{order.out}: already complete; the teacher is fully trained")
    steps = int(recipe["steps"])
    return Trained(
        Path(order.out),
        finished=True,
        steps=(steps, steps),
        epochs=int(recipe["epochs"]),
        seconds=float(recipe["seconds"]),
        images_per_second=0.0,
        input_share=0.0,
    )
