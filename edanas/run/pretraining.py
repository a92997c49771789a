"""The training of a supernet without a search, in any number of calls, for later runs to begin with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from edanas.core.config import changed, resolve, to_plain
from edanas.core.devices import threads_of
from edanas.core.errors import ConfigError, Interrupted, PluginError, RunError, type_of
from edanas.core.machine import computing, user_path
from edanas.core.progress import Progress
from edanas.core.records import parse, sealed_text, unsealed
from edanas.core.runfolder import RunLock, left_files, matching_files, replace_file
from edanas.core.settings import Component, Settings
from edanas.evaluation.initial_weights import trained_parts
from edanas.plugins.blame import blamed
from edanas.plugins.registry import Registry
from edanas.run.compose import Composition, compose, supernet_trainers
from edanas.run.helping import help_training
from edanas.run.paths import PATH_OPTIONS
from edanas.run.provenance import digest_of_file, digest_of_parts, digest_of_teacher, environment
from edanas.training.loop import Training
from edanas.training.ranks import joined
from edanas.training.sandwich import SandwichTraining
from edanas.training.schedule import TimeSlice
from edanas.training.supernet_file import read_recipe, write

ORDER = "order.json"
"""The name of the file in the work folder that holds the order."""

SUFFIX = ".safetensors"
"""The ending of the weights file; the recipe, a file beside it, ends in `.json`."""

DECISIVE = (
    *("data", "split", "seed", "supernet", "weights", "teacher", "teacher_logits"),
    *("classifier", "criterion", "scheme", "training"),
)
"""The settings that determine the weights of a supernet."""


@dataclass(frozen=True)
class Order:
    """An order to train a supernet: its settings, its file and its time.

    Args:
        settings: The settings of the runs that will begin with the supernet. Their evaluation mode must train
            a supernet.
        out: The weights file to write; its name ends in `SUFFIX`. Until the training is finished, its state
            is stored in the work folder, the path of the weights file followed by `.work`.
        time_limit: The time limit of this call, in seconds; no limit by default.
        total_time: The training time of all calls together, in seconds, which replaces `training.epochs`;
            `None`, the default, to train for `training.epochs`.
        half: Store weights as float16, the default, instead of float32.
    """

    settings: Settings
    out: Path
    time_limit: float = math.inf
    total_time: float | None = None
    half: bool = True
    noun: ClassVar[str] = "supernet"
    """Noun for the network in messages."""

    @property
    def work(self) -> Path:
        """The path of the work folder, which holds the state of the training."""
        return self.out.with_name(f"{self.out.name}.work")

    def decisive(self) -> dict[str, Any]:
        """Return the settings and the total time, which determine the weights, in JSON's types."""
        plain = to_plain(self.settings)
        return {"settings": {name: plain[name] for name in DECISIVE}, "total_time": self.total_time}


@dataclass(frozen=True)
class Trained:
    """The state of the training of a supernet at the end of a call.

    Args:
        out: The weights file, which exists once the training is finished.
        finished: `True` if the training is finished.
        steps: The numbers of finished and of planned steps.
        epochs: The planned number of passes over the train part.
        seconds: The training time of all calls together, in seconds.
        images_per_second: The speed of this call, in images that pass through all backbones of a step per
            second.
        input_share: The fraction of this call's time that the preparation of batches took, 0 to 1.
    """

    out: Path
    finished: bool
    steps: tuple[int, int]
    epochs: int
    seconds: float
    images_per_second: float
    input_share: float


def train_supernet(registry: Registry, order: Order, progress: Progress) -> Trained:
    """Train a supernet, or resume its training, until it is finished or the time limit is reached.

    In processes that torchrun starts, all of them train, and the others than the first then end.

    Args:
        registry: The extensions by kind and name.
        order: The supernet to train.
        progress: The display of progress.

    Returns:
        The state of the training; for a supernet that was finished before, the state in its file.

    Raises:
        EdanasError: The user can correct the error; its message says how.
        Interrupted: After Ctrl-C; the same call resumes the training.
    """
    segment = TimeSlice(order.time_limit)
    order = valid_order(order)
    with joined(order.settings.device) as ranks:
        if not ranks.leads:
            help_training(registry, order.settings, order.work, ranks)
        return _train(registry, order, progress, segment)


def _train(registry: Registry, order: Order, progress: Progress, segment: TimeSlice) -> Trained:
    if order.out.exists():
        return _existing_supernet(registry, order, progress)
    with blamed(registry):
        composition = _compose(registry, order, progress)
    with RunLock(order.work), computing(threads_of(order.settings)), blamed(registry):
        digests = bind_order(
            order, digest_of_parts(composition.workbench.parts), left_files(composition.evaluator)
        )
        for remark in composition.remarks:
            progress.say(remark)
        try:
            trainer = _trainer(composition, progress)
            if order.total_time is not None:
                progress.say(trainer.fit(order.total_time))
            finished = trainer.run(progress, segment)
        except KeyboardInterrupt:
            raise Interrupted(
                f"Interrupted; the training so far is kept in {order.work}. To resume, run the same "
                "command again"
            ) from None
        if finished:
            _write(order, composition, trainer, digests)
    return training_state(order, trainer)


def _compose(registry: Registry, order: Order, progress: Progress) -> Composition:
    """Make the objects of a run, and check that its evaluation trains a supernet.

    The evaluation itself decides, not its class: a wrapper copies the attribute of the wrapped evaluation.

    Raises:
        ConfigError: The evaluation trains no supernet.
    """
    composition = compose(registry, order.settings, order.work, progress)
    if not composition.evaluator.trains_supernet:
        name = order.settings.evaluation.name
        others = " or ".join(f"'{each}'" for each in supernet_trainers(registry))
        raise ConfigError(f"evaluation: found '{name}', which trains no supernet; allowed: {others}")
    return composition


def _trainer(composition: Composition, progress: Progress) -> SandwichTraining:
    """Return the trainer of the supernet in the evaluation.

    Raises:
        PluginError: The trainer is not a `SandwichTraining`.
    """
    evaluator = composition.evaluator
    trainer: object = evaluator.trainer(progress)
    if not isinstance(trainer, SandwichTraining):
        raise PluginError(
            f"{type(evaluator).__name__}: `trainer` returns {type_of(trainer)}; expected a SandwichTraining"
        )
    return trainer


def valid_order(order: Order) -> Order:
    """Check an order, and return it; an order with a total time gets one epoch if it has none.

    Raises:
        ConfigError: A value is out of range.
    """
    settings = order.settings
    if order.out.suffix != SUFFIX:
        raise ConfigError(
            f"--out: found '{order.out}'; allowed: a file name that ends in {SUFFIX}. Did you mean "
            f"'{order.out}{SUFFIX}'?"
        )
    if not order.time_limit >= 0:
        raise ConfigError(f"--time-limit: found {order.time_limit}; allowed: a number of seconds >= 0")
    if order.total_time is None:
        return order
    if not 0 < order.total_time < math.inf:
        raise ConfigError(f"--total-time: found {order.total_time}; allowed: a finite number of seconds > 0")
    # A schedule of zero epochs could not be fitted to the total time.
    training = replace(settings.training, epochs=settings.training.epochs or 1)
    return replace(order, settings=replace(settings, training=training))


def training_state(order: Order, trainer: Training) -> Trained:
    """Return the state of a training at the end of a call."""
    return Trained(
        order.out,
        trainer.finished,
        (trainer.step, trainer.schedule.steps),
        trainer.epochs,
        trainer.seconds,
        trainer.speed.images_per_second,
        trainer.speed.input_share,
    )


def _existing_supernet(registry: Registry, order: Order, progress: Progress) -> Trained:
    """Return the state of the finished training that the weights file records.

    Raises:
        ConfigError: The evaluation trains no supernet.
        RunError: The supernet in the file was trained with other settings, or on other images.
    """
    recipe = read_recipe(order.out)
    stored = {name: recipe["settings"][name] for name in DECISIVE if name in recipe["settings"]}
    comparable = replace(order, settings=portable(order.settings))
    compare_orders(comparable, {"settings": stored, "total_time": recipe["total_time"]}, f"{order.out} holds")
    # The recipe holds the name of an image folder without its path; the digest shows if the images differ.
    with blamed(registry):
        parts = _compose(registry, order, progress).workbench.parts
    if recipe["data"] != digest_of_parts(parts):
        raise RunError(
            f"{order.out} holds a supernet that was trained on other samples than the samples of "
            f"'{order.settings.data.name}'; choose another --out"
        )
    progress.say(f"{order.out}: already complete; the supernet is fully trained")
    return Trained(
        order.out,
        finished=True,
        steps=(int(recipe["steps"]), int(recipe["steps"])),
        epochs=int(recipe["epochs"]),
        seconds=float(recipe["seconds"]),
        images_per_second=0.0,
        input_share=0.0,
    )


def portable(settings: Settings) -> Settings:
    """Return the settings for a recipe: each path of a file or folder is replaced by its last component."""
    model, at, file = settings.teacher.rpartition("@")
    options = settings.data.options.items()
    data = {key: _name(str(value)) if key in PATH_OPTIONS else value for key, value in options}
    return replace(
        settings,
        data=Component(_name(settings.data.name), data),
        weights=_name(settings.weights),
        teacher=f"{model}{at}{_name(file)}",
        warm_start=_name(settings.warm_start),
        plan=_name(settings.plan),
        device_profile=_name(settings.device_profile),
    )


def _name(path: str) -> str:
    return user_path(path).absolute().name if path else ""


def bind_order(order: Order, data: str, files: Sequence[str]) -> dict[str, str | None]:
    """Check that the training in the work folder began with the same settings, images and files.

    The order is stored in the work folder if no training has begun there.

    Args:
        order: The order of this call.
        data: The digest of the images and labels.
        files: The glob patterns of the files that a training writes to the work folder.

    Returns:
        The SHA-256 digests of the files that the training began with, by setting, `teacher` and `weights`;
        a digest is `None` if the setting names no file.

    Raises:
        RunError: The stored order is damaged, or the training began with other settings, images or files.
    """
    settings, order_file = order.settings, order.work / ORDER
    digests = {"teacher": digest_of_teacher(settings.teacher), "weights": digest_of_file(settings.weights)}
    if not order_file.exists():
        return _write_order(order, data, digests)
    try:
        stored = unsealed(parse(order_file.read_bytes()))
        images, first_digests = stored["data"], {name: stored[name] for name in digests}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(f"{order_file}: damaged ({error}); delete {order.work} to begin again") from error
    compare_orders(order, stored, f"{order.work} holds the training of")
    if images != data:
        raise RunError(
            f"{order.work}: the training in this folder began with other samples; has the data set changed? "
            "Choose another --out, or delete the folder to begin again"
        )
    if not matching_files(order.work, files):
        # An order is stored, but the training did not begin, e.g. because a file was missing.
        return _write_order(order, data, digests)
    for name, digest in digests.items():
        # A missing file has no digest; if the training still needs the file, reading it raises an error.
        if digest not in (None, first_digests[name]):
            raise RunError(
                f"{order.work}: {name} '{getattr(settings, name)}' has changed since the training in "
                "this folder began; was the file replaced? Choose another --out, or delete the folder to "
                "begin again"
            )
    return first_digests


def _write_order(order: Order, data: str, digests: dict[str, str | None]) -> dict[str, str | None]:
    content = {**order.decisive(), "data": data, **digests}
    replace_file(order.work / ORDER, sealed_text(content))
    return digests


def compare_orders(order: Order, stored: dict[str, Any], subject: str) -> None:
    """Check that a stored order describes the same supernet.

    Args:
        order: The order of this call.
        stored: The settings and the total time of the stored order.
        subject: The beginning of the error message.

    Raises:
        RunError: The settings or the total time differ; the message lists the differences.
    """
    present = order.decisive()
    lines = changed(resolve([("", stored["settings"])]), resolve([("", present["settings"])]))
    if stored["total_time"] != present["total_time"]:
        lines.append(f"--total-time: was {stored['total_time']}, now {present['total_time']}")
    if lines:
        raise RunError(
            f"{subject} another {order.noun}. Changed: {'; '.join(lines)}. Use the same settings to resume "
            "it, or another --out"
        )


def _write(
    order: Order, composition: Composition, trainer: SandwichTraining, digests: dict[str, str | None]
) -> None:
    """Write the weights file, which contains the recipe, and the recipe as a file beside it."""
    parts = composition.workbench.parts
    task, space = parts.task, composition.workbench.space
    recipe = {
        "settings": to_plain(portable(order.settings)),
        "total_time": order.total_time,
        "space": space.signature(),
        "classes": list(parts.train.classes),
        "image_shape": list(parts.train.images.shape[1:]),
        "in_channels": task.in_channels,
        "num_classes": task.num_classes,
        "data": digest_of_parts(parts),
        "teacher_sha256": digests["teacher"],
        "begun_with_sha256": digests["weights"],
        "train_images": len(parts.train),
        "steps": trainer.step,
        "epochs": trainer.epochs,
        "seconds": round(trainer.seconds, 1),
        "environment": environment(order.settings),
    }
    write(order.out, trained_parts(trainer.network), recipe, parts.train, half=order.half)
    beside = {**recipe, "sha256": digest_of_file(str(order.out))}
    replace_file(order.out.with_suffix(".json"), sealed_text(beside))
    files = matching_files(order.work, left_files(composition.evaluator))
    for path in (*files, order.work / ORDER):
        path.unlink(missing_ok=True)
