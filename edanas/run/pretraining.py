"""A supernet trained by itself, in as many short pieces as one likes, for the runs that begin with it."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
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
"""In the folder of what is in the making: what it is the making of."""

SUFFIX = ".safetensors"
"""What the name of the file of the weights ends in; its recipe beside it ends in `.json`."""

DECISIVE = (
    *("data", "split", "seed", "supernet", "weights", "teacher"),
    *("classifier", "criterion", "scheme", "training"),
)
"""Settings that a supernet's weights follow from."""


@dataclass(frozen=True)
class Order:
    """A supernet that is wanted.

    Args:
        settings: Of the runs that will begin with it; their evaluation trains a supernet.
        out: The file of the weights, which ends in `SUFFIX`; the state of the training lies in the folder
            `OUT.work` beside it.
        time_limit: Seconds that this segment may take, from `segment`'s making.
        total_time: Seconds of training in all segments together, which the schedule is fitted to, whatever
            `training.epochs` says; `None` where that says how long.
        half: Whether weights are stored as float16.
    """

    settings: Settings
    out: Path
    time_limit: float = math.inf
    total_time: float | None = None
    half: bool = True

    @property
    def work(self) -> Path:
        """The folder of what is in the making."""
        return self.out.with_name(f"{self.out.name}.work")

    def asked(self) -> dict[str, Any]:
        """What decides the weights, in JSON's types."""
        plain = to_plain(self.settings)
        return {"settings": {name: plain[name] for name in DECISIVE}, "total_time": self.total_time}


@dataclass(frozen=True)
class Trained:
    """How far a training is.

    Args:
        out: The file of the weights, there once `finished`.
        finished: Whether nothing is left to do.
        steps: Done, and planned.
        epochs: Planned passes over the train part.
        seconds: Of training, in all segments.
        images_per_second: In this segment: images that passed through all backbones of a step.
        input_share: Of this segment's time, spent on making batches.
    """

    out: Path
    finished: bool
    steps: tuple[int, int]
    epochs: int
    seconds: float
    images_per_second: float
    input_share: float


def plain(done: Trained) -> dict[str, Any]:
    """In JSON's types."""
    return {**asdict(done), "out": str(done.out)}


def train_supernet(registry: Registry, order: Order, progress: Progress) -> Trained:
    """Train the supernet that `order` describes, or go on with it, until it is done or time is up.

    Raises:
        EdanasError: Something the user can put right.
        Interrupted: After Ctrl-C; the same call goes on from there.
    """
    segment = TimeSlice(order.time_limit)
    order = _checked(registry, order)
    if order.out.exists():
        return _present(registry, order, progress)
    with blamed(registry):
        made = compose(registry, order.settings, order.work, progress)
    with RunLock(order.work), computing(threads_of(order.settings)), blamed(registry):
        outside = _bind(order, digest_of_parts(made.workbench.parts), left_files(made.evaluator))
        for remark in made.remarks:
            progress.say(remark)
        try:
            trainer = _trainer(made, progress)
            if order.total_time is not None:
                progress.say(trainer.fit(order.total_time))
            finished = trainer.run(progress, segment)
        except KeyboardInterrupt:
            raise Interrupted(
                f"Interrupted; what was written is kept in {order.work}. To go on: the same command again"
            ) from None
        if finished:
            _write(order, made, trainer, outside)
    return _told(order, trainer)


def _trainer(made: Composition, progress: Progress) -> SandwichTraining:
    """Return the training of the run's evaluation.

    Raises:
        ConfigError: The evaluation trains no supernet.
        PluginError: Its trainer is of another class.
    """
    if not made.evaluator.trains_supernet:
        name = made.workbench.settings.evaluation.name
        raise ConfigError(f"evaluation: found '{name}', which trains no supernet")
    trainer: object = made.evaluator.trainer(progress)
    if not isinstance(trainer, SandwichTraining):
        raise PluginError(
            f"{type(made.evaluator).__name__}: `trainer` returns a {type(trainer).__name__}; expected a "
            "SandwichTraining"
        )
    return trainer


def _checked(registry: Registry, order: Order) -> Order:
    """The order, which can be carried out.

    Raises:
        ConfigError: It cannot.
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
    # The time says how long: what there are no epochs of could not be fitted to it.
    training = replace(settings.training, epochs=settings.training.epochs or 1)
    return replace(order, settings=replace(settings, training=training))


def _told(order: Order, trainer: SandwichTraining) -> Trained:
    return Trained(
        order.out,
        trainer.finished,
        (trainer.step, trainer.schedule.steps),
        trainer.epochs,
        trainer.seconds,
        trainer.pace.images_per_second,
        trainer.pace.input_share,
    )


def _present(registry: Registry, order: Order, progress: Progress) -> Trained:
    """What is there already, if it is what is wanted.

    Raises:
        RunError: It was trained with other settings, or on other images.
    """
    recipe = read_recipe(order.out)
    then = {name: recipe["settings"][name] for name in DECISIVE if name in recipe["settings"]}
    alike = replace(order, settings=portable(order.settings))
    _compare(alike, {"settings": then, "total_time": recipe["total_time"]}, f"{order.out} holds")
    # Of a folder, the recipe has no more than the name.
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
    """The settings with names of files and folders for their paths: a recipe travels, and a path does not."""
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
    """Make sure that what is in the making was begun with these settings, images and files.

    Returns:
        The SHA-256 of the `teacher` and of the `weights` that the training began with; `None` without one.

    Raises:
        RunError: It was begun with others, each of which is named.
    """
    settings, note = order.settings, order.work / ORDER
    outside = {"teacher": digest_of_teacher(settings.teacher), "weights": digest_of_file(settings.weights)}
    if not note.exists():
        return _noted(order, data, outside)
    try:
        then = json.loads(note.read_text(encoding="utf-8"))
        images, begun = then["data"], {name: then[name] for name in outside}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(f"{note}: damaged ({error}); delete {order.work} to begin anew") from error
    _compare(order, then, f"{order.work} holds the training of")
    if images != data:
        raise RunError(
            f"{order.work}: its training was begun on other images; has the data set changed? Choose "
            "another --out, or delete the folder to begin anew"
        )
    if not matching_files(order.work, files):
        # It could not begin: with files that were missing, or refused.
        return _noted(order, data, outside)
    for name, digest in outside.items():
        # One that is gone is missed where it is still needed.
        if digest not in (None, begun[name]):
            raise RunError(
                f"{order.work}: {name} '{getattr(settings, name)}' is not what its training was begun with; "
                "was it replaced? Choose another --out, or delete the folder to begin anew"
            )
    return begun


def _noted(order: Order, data: str, outside: dict[str, str | None]) -> dict[str, str | None]:
    noted = {**order.asked(), "data": data, **outside}
    replace_file(order.work / ORDER, json.dumps(noted, indent=1).encode())
    return outside


def _compare(order: Order, then: dict[str, Any], what: str) -> None:
    asked = order.asked()
    lines = changed(resolve([("", then["settings"])]), resolve([("", asked["settings"])]))
    if then["total_time"] != asked["total_time"]:
        lines.append(f"--total-time: was {then['total_time']}, now {asked['total_time']}")
    if lines:
        raise RunError(
            f"{what} another supernet. Changed: {'; '.join(lines)}. Use the same settings to go on, or "
            "another --out"
        )


def _write(
    order: Order, made: Composition, trainer: SandwichTraining, outside: dict[str, str | None]
) -> None:
    """The weights with their recipe, and the recipe once more beside them, to be read."""
    parts = made.workbench.parts
    task, space = parts.task, made.workbench.space
    recipe = {
        "settings": to_plain(portable(order.settings)),
        "total_time": order.total_time,
        "space": space.signature(),
        "classes": list(parts.train.classes),
        "image_shape": list(parts.train.images.shape[1:]),
        "in_channels": task.in_channels,
        "num_classes": task.num_classes,
        "data": digest_of_parts(parts),
        "teacher_sha256": outside["teacher"],
        "begun_with_sha256": outside["weights"],
        "train_images": len(parts.train),
        "steps": trainer.step,
        "epochs": trainer.epochs,
        "seconds": round(trainer.seconds, 1),
        "environment": environment(order.settings),
    }
    write(order.out, trained_parts(trainer.network), recipe, parts.train, half=order.half)
    beside = {**recipe, "sha256": digest_of_file(str(order.out))}
    replace_file(order.out.with_suffix(".json"), (json.dumps(beside, indent=1) + "\n").encode())
    for path in (*matching_files(order.work, left_files(made.evaluator)), order.work / ORDER):
        path.unlink(missing_ok=True)
