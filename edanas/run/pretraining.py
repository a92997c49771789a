"""Training of a supernet alone, in any number of calls, for the runs that begin with it."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edanas.core.config import changed, resolve, to_plain
from edanas.core.devices import threads_of
from edanas.core.errors import ConfigError, Interrupted, PluginError, RunError
from edanas.core.machine import computing
from edanas.core.progress import Progress
from edanas.core.runfolder import RunLock, left_files, matching_files, replace_file
from edanas.core.settings import Settings
from edanas.evaluation.initial_weights import trained_parts
from edanas.plugins.blame import blamed
from edanas.plugins.registry import Registry
from edanas.run.compose import Composition, compose, supernet_trainers
from edanas.run.provenance import digest_of_file, digest_of_parts, digest_of_teacher, environment
from edanas.training.sandwich import SandwichTraining
from edanas.training.schedule import TimeSlice
from edanas.training.supernet_file import read_recipe, write

ORDER = "order.json"
"""The file in the work folder that holds the order."""

SUFFIX = ".safetensors"
"""The ending of the file of the weights; the recipe beside it ends in `.json`."""

DECISIVE = (
    *("data", "split", "seed", "supernet", "weights", "teacher"),
    *("classifier", "criterion", "scheme", "training"),
)
"""The settings that determine the weights of a supernet."""


@dataclass(frozen=True)
class Order:
    """The order of a supernet to train.

    Args:
        settings: The settings of the runs that will begin with the supernet; their evaluation trains a
            supernet.
        out: The file of the weights, which ends in `SUFFIX`. The state of the training is in the folder
            `OUT.work` beside it.
        time_limit: The longest time of this call, in seconds.
        total_time: Seconds of training in all calls together, in place of `training.epochs`; `None` to train
            for `training.epochs`.
        half: Whether weights are stored as float16.
    """

    settings: Settings
    out: Path
    time_limit: float = math.inf
    total_time: float | None = None
    half: bool = True

    @property
    def work(self) -> Path:
        """The folder for the state of the training."""
        return self.out.with_name(f"{self.out.name}.work")

    def decisive(self) -> dict[str, Any]:
        """Return everything that determines the weights, in JSON's types."""
        plain = to_plain(self.settings)
        return {"settings": {name: plain[name] for name in DECISIVE}, "total_time": self.total_time}


@dataclass(frozen=True)
class Trained:
    """The state of a training.

    Args:
        out: The file of the weights, which exists once the training is finished.
        finished: Whether the training is finished.
        steps: Finished and planned steps.
        epochs: Planned passes over the train part.
        seconds: The time of training in all calls.
        images_per_second: Images that passed through all backbones of a step, in this call.
        input_share: The share of this call's time that making batches took.
    """

    out: Path
    finished: bool
    steps: tuple[int, int]
    epochs: int
    seconds: float
    images_per_second: float
    input_share: float


def train_supernet(registry: Registry, order: Order, progress: Progress) -> Trained:
    """Train the supernet that `order` describes, or resume its training, until it is finished or time is up.

    Raises:
        EdanasError: An error that the user can put right.
        Interrupted: After Ctrl-C; the same call resumes the training.
    """
    segment = TimeSlice(order.time_limit)
    order = _valid_order(registry, order)
    if order.out.exists():
        return _existing_supernet(registry, order, progress)
    with blamed(registry):
        composition = compose(registry, order.settings, order.work, progress)
    with RunLock(order.work), computing(threads_of(order.settings)), blamed(registry):
        digests = _bind(
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
                f"Interrupted; the training so far is kept in {order.work}. To resume: the same command again"
            ) from None
        if finished:
            _write(order, composition, trainer, digests)
    return _state(order, trainer)


def _trainer(composition: Composition, progress: Progress) -> SandwichTraining:
    """Return the training of the run's evaluation.

    Raises:
        ConfigError: The evaluation trains no supernet.
        PluginError: Its trainer is of another class.
    """
    evaluator = composition.evaluator
    if not evaluator.trains_supernet:
        name = composition.workbench.settings.evaluation.name
        raise ConfigError(f"evaluation: found '{name}', which trains no supernet")
    trainer: object = evaluator.trainer(progress)
    if not isinstance(trainer, SandwichTraining):
        raise PluginError(
            f"{type(evaluator).__name__}: `trainer` returns a {type(trainer).__name__}; expected a "
            "SandwichTraining"
        )
    return trainer


def _valid_order(registry: Registry, order: Order) -> Order:
    """Check the order, and return it with at least one epoch if it has a total time.

    Raises:
        ConfigError: A value is out of range, or the evaluation trains no supernet.
    """
    settings = order.settings
    name = settings.evaluation.name
    factory = registry.entry("evaluation", name).factory
    # A factory that is a function declares nothing: its evaluation is checked once it is made.
    if isinstance(factory, type) and not getattr(factory, "trains_supernet", False):
        others = " or ".join(f"'{each}'" for each in supernet_trainers(registry))
        raise ConfigError(f"evaluation: found '{name}'; only {others} trains a supernet")
    if order.out.suffix != SUFFIX:
        raise ConfigError(
            f"--out: found '{order.out}'; allowed: a file's name that ends in {SUFFIX}. Did you mean "
            f"'{order.out}{SUFFIX}'?"
        )
    if not order.time_limit >= 0:
        raise ConfigError(f"--time-limit: found {order.time_limit}; allowed: a number >= 0")
    if order.total_time is None:
        return order
    if not 0 < order.total_time < math.inf:
        raise ConfigError(f"--total-time: found {order.total_time}; allowed: a number > 0, and finite")
    # A schedule without epochs could not be fitted to the time.
    training = replace(settings.training, epochs=settings.training.epochs or 1)
    return replace(order, settings=replace(settings, training=training))


def _state(order: Order, trainer: SandwichTraining) -> Trained:
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
    """Return the state of the finished training in `order.out`.

    Raises:
        RunError: It was trained with other settings, or on other images.
    """
    recipe = read_recipe(order.out)
    stored = {name: recipe["settings"][name] for name in DECISIVE if name in recipe["settings"]}
    comparable = replace(order, settings=portable(order.settings))
    _compare(comparable, {"settings": stored, "total_time": recipe["total_time"]}, f"{order.out} holds")
    # The recipe holds only the name of a folder, so that the images are compared as well.
    with blamed(registry):
        parts = compose(registry, order.settings, order.work, progress).workbench.parts
    if recipe["data"] != digest_of_parts(parts):
        raise RunError(
            f"{order.out} holds a supernet that was trained on other images than those of "
            f"'{order.settings.data.name}'; choose another --out"
        )
    progress.say(f"{order.out} holds this supernet; nothing is left to do")
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
    """Return the settings with the names of files and folders in place of their paths, for a recipe."""
    model, at, file = settings.teacher.rpartition("@")
    return replace(
        settings,
        data=replace(settings.data, name=_name(settings.data.name)),
        weights=_name(settings.weights),
        teacher=f"{model}{at}{_name(file)}",
        warm_start=_name(settings.warm_start),
    )


def _name(path: str) -> str:
    return Path(path).expanduser().absolute().name if path else ""


def _bind(order: Order, data: str, files: Sequence[str]) -> dict[str, str | None]:
    """Check that the training in the work folder began with these settings, images and files.

    Returns:
        The SHA-256 of the `teacher` and of the `weights` that the training began with; `None` without one.

    Raises:
        RunError: The training began with others; the message lists the differences.
    """
    settings, order_file = order.settings, order.work / ORDER
    digests = {"teacher": digest_of_teacher(settings.teacher), "weights": digest_of_file(settings.weights)}
    if not order_file.exists():
        return _write_order(order, data, digests)
    try:
        stored = json.loads(order_file.read_text(encoding="utf-8"))
        images, first_digests = stored["data"], {name: stored[name] for name in digests}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(f"{order_file}: damaged ({error}); delete {order.work} to begin anew") from error
    _compare(order, stored, f"{order.work} holds the training of")
    if images != data:
        raise RunError(
            f"{order.work}: its training was begun on other images; has the data set changed? Choose "
            "another --out, or delete the folder to begin anew"
        )
    if not matching_files(order.work, files):
        # The training has not begun, e.g. because a file was missing.
        return _write_order(order, data, digests)
    for name, digest in digests.items():
        # A file that is gone raises its error where it is read, if it is still needed.
        if digest not in (None, first_digests[name]):
            raise RunError(
                f"{order.work}: {name} '{getattr(settings, name)}' is not what its training was begun with; "
                "was it replaced? Choose another --out, or delete the folder to begin anew"
            )
    return first_digests


def _write_order(order: Order, data: str, digests: dict[str, str | None]) -> dict[str, str | None]:
    content = {**order.decisive(), "data": data, **digests}
    replace_file(order.work / ORDER, json.dumps(content, indent=1).encode())
    return digests


def _compare(order: Order, stored: dict[str, Any], subject: str) -> None:
    """Raise an error that begins with `subject` if the stored order is of another supernet."""
    present = order.decisive()
    lines = changed(resolve([("", stored["settings"])]), resolve([("", present["settings"])]))
    if stored["total_time"] != present["total_time"]:
        lines.append(f"--total-time: was {stored['total_time']}, now {present['total_time']}")
    if lines:
        raise RunError(
            f"{subject} another supernet. Changed: {'; '.join(lines)}. Use the same settings to resume "
            "it, or another --out"
        )


def _write(
    order: Order, composition: Composition, trainer: SandwichTraining, digests: dict[str, str | None]
) -> None:
    """Write the weights with their recipe, and the recipe again in a file beside them."""
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
    replace_file(order.out.with_suffix(".json"), (json.dumps(beside, indent=1) + "\n").encode())
    files = matching_files(order.work, left_files(composition.evaluator))
    for path in (*files, order.work / ORDER):
        path.unlink(missing_ok=True)
