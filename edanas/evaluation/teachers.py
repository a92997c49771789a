"""External teachers of a supernet: another trained supernet, a finished network, or a model of timm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from edanas.core.config import resolve
from edanas.core.contracts import StagedBackbone, SupernetProvider
from edanas.core.errors import EdanasError, WeightsError
from edanas.core.finite import check_finite
from edanas.core.machine import user_path
from edanas.core.preprocess import by_channel
from edanas.core.space import SearchSpace
from edanas.core.trust import from_a_file
from edanas.core.types import DataParts, Task
from edanas.evaluation.initial_weights import SUPERNET
from edanas.evaluation.leakage import check_leakage
from edanas.evaluation.workbench import Workbench
from edanas.model.loading import load as load_finished
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.supernets.timm_models import (
    check_timm_model,
    create_timm_model,
    pretrained_timm_model,
    timm_names,
)
from edanas.supernets.weights import TensorNames, fill, read_tensors
from edanas.training.recalibrate import recalibrate
from edanas.training.sandwich import resized
from edanas.training.supernet_file import find, load, read_recipe

TIMM = "timm:"
"""Prefix of the setting `teacher` for a model of timm."""


class TeacherName(NamedTuple):
    """Parsed value of the setting `teacher`.

    Args:
        model: Name of a model in timm; empty = the teacher is a supernet or a finished network.
        path: File of the teacher's weights. `None` with a model = the weights that timm publishes; `None`
            without a model = the setting is empty.
    """

    model: str
    path: Path | None


class Normalisation(NamedTuple):
    """Normalisation of images: mean and standard deviation of the pixels in [0, 1], one per channel."""

    mean: Sequence[float]
    std: Sequence[float]


@dataclass(frozen=True)
class ExternalTeacher:
    """A teacher whose images are resized and normalised as in its own training.

    It maps the run's prepared images (B, C, R, R) to probabilities (B, K): B images, C channels, R pixels a
    side, K classes.

    Args:
        network: The teacher's network in eval mode, from images to logits (B, K).
        resolution: Side of the teacher's training images in pixels.
        here: Normalisation of the run's images.
        own: Normalisation of the teacher's training images.
        remark: A sentence for the user, e.g. that a check was not possible; empty = none.
    """

    network: nn.Module
    resolution: int
    here: Normalisation
    own: Normalisation
    remark: str = ""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return the teacher's probabilities (B, K) for the run's prepared images (B, C, R, R)."""
        logits: torch.Tensor = self.network(resized(self._renormalised(images), self.resolution))
        return logits.float().softmax(1)

    def _renormalised(self, images: torch.Tensor) -> torch.Tensor:
        if self.own == self.here:
            return images
        mean, std = (by_channel(values, images.device) for values in self.here)
        own_mean, own_std = (by_channel(values, images.device) for values in self.own)
        return (images * std + (mean - own_mean)) / own_std


def parse_teacher(name: str) -> TeacherName:
    """Parse the setting `teacher`.

    Args:
        name: `timm:MODEL@FILE`, `timm:MODEL`, the path of a file, the name of a trained supernet in
            `weights/`, or empty.

    Example:
        >>> parse_teacher("timm:resnet18").model
        'resnet18'
    """
    if not name.startswith(TIMM):
        return TeacherName("", (find(name) or user_path(name)) if name else None)
    model, at, file = name.removeprefix(TIMM).partition("@")
    return TeacherName(model, user_path(file) if at else None)


def load_teacher(bench: Workbench) -> tuple[ExternalTeacher, str]:
    """Load the teacher of the setting `teacher` on the run's device.

    The BatchNorm statistics of the teacher are those of its training. If the teacher is a backbone of a
    supernet, its BatchNorm statistics are recomputed on the run's training images.

    Returns:
        The teacher, and a sentence for the user that describes it.

    Raises:
        WeightsError: The file is missing, damaged, or holds no teacher; the teacher's classes or channels
            differ from the run's; the teacher was trained on held-out images; timm cannot download weights.
        ConfigError: timm does not have the model, or a plugin of the teacher is not installed.
    """
    name = bench.settings.teacher
    model, path = parse_teacher(name)
    try:
        if model:
            teacher = _of_timm(model, path, bench)
        elif path is None or not path.is_file():
            raise WeightsError(
                f"'{name}': no such file; allowed: a trained supernet, a finished network, or timm:MODEL@FILE"
            )
        else:
            teacher = _of_supernet(path, bench) if find(str(path)) else _finished(path, bench)
        check_finite(teacher.network.state_dict(), name)
    except EdanasError as error:
        raise type(error)(f"teacher: {error}") from error
    teacher.network.to(bench.device).to(memory_format=torch.channels_last)
    teacher.network.eval().requires_grad_(requires_grad=False)
    share = bench.settings.training.distillation
    unit = "values" if bench.parts.series else "pixels"
    message = (
        f"Teacher: {name}, at {teacher.resolution} {unit}, for {share:.0%} of the largest backbone's loss"
    )
    return teacher, f"{message}. {teacher.remark}" if teacher.remark else message


def _of_supernet(path: Path, bench: Workbench) -> ExternalTeacher:
    """Return the largest backbone of a trained supernet as a teacher."""
    recipe = read_recipe(path)
    try:
        settings = resolve([("", recipe["settings"])])
        task, classes = Task(recipe["in_channels"], recipe["num_classes"]), [*recipe["classes"]]
    except (LookupError, TypeError) as error:
        raise WeightsError(f"{path}: its recipe is damaged: {error!r}") from error
    _check_fits(path, task, bench.parts, classes)
    doubt = check_leakage(bench, path)
    with from_a_file(trust=False), torch.random.fork_rng(devices=[]):
        provider: SupernetProvider = Registry(load_plugins()).create(
            "supernet provider", settings.supernet.name, settings.supernet.options
        )
        supernet = provider.supernet(task)
    load(path, {SUPERNET: supernet})
    space = SearchSpace.of(provider, settings.thresholds)
    backbone: StagedBackbone = supernet.extract(space.largest()).without_idle(())
    backbone.to(bench.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if space.largest() != space.smallest():
        # The statistics of a single backbone are in its file.
        recalibrate(backbone, bench.train_images(backbone.resolution))
    normalisation = _normalisation(bench.parts)
    return ExternalTeacher(backbone, backbone.resolution, normalisation, normalisation, doubt)


def _finished(path: Path, bench: Workbench) -> ExternalTeacher:
    """Return the backbone of a finished network, with its last exit, as a teacher."""
    try:
        network = load_finished(path)
    except WeightsError as error:
        raise WeightsError(
            f"{path} is not a readable trained supernet, and reading it as a finished network failed: {error}"
        ) from error
    task = Task(len(network.mean), len(network.classes))
    _check_fits(path, task, bench.parts, network.classes)
    own = Normalisation(network.mean, network.std)
    backbone = network.backbone.without_idle(()).float()
    return ExternalTeacher(backbone, network.resolution, _normalisation(bench.parts), own)


def _of_timm(model: str, path: Path | None, bench: Workbench) -> ExternalTeacher:
    """Return a model of timm as a teacher, with weights from a file or with weights that timm publishes."""
    check_timm_model(model, f"'{TIMM}{model}'")
    here = _normalisation(bench.parts)
    if path is None:
        network: Any = pretrained_timm_model(model)
        config = network.pretrained_cfg
        channels, _, side = config["input_size"]
        _check_fits(f"timm's '{model}'", Task(channels, config["num_classes"]), bench.parts)
        return ExternalTeacher(network, side, here, Normalisation(config["mean"], config["std"]))
    tensors = read_tensors(path)
    task = _task_of(tensors, timm_names(model), bench.parts.task)
    _check_fits(path, task, bench.parts)
    # The file does not describe its training images: the size and normalisation of this run are assumed.
    side = int(bench.space.largest()["resolution"])
    network = create_timm_model(model, task, side)
    fill(network, task, tensors, str(path), timm_names(model))
    return ExternalTeacher(network, side, here, here)


def _task_of(tensors: Mapping[str, torch.Tensor], names: TensorNames, here: Task) -> Task:
    """Return the numbers of channels and classes of a model of timm, from the shapes of its weights.

    Args:
        tensors: The weights by name.
        names: Names of the model's tensors.
        here: The run's task, for numbers that the shapes do not show.
    """
    by_name = {names.canonical(name): tensor for name, tensor in tensors.items()}
    stem, last = by_name.get(names.stem), by_name.get(names.classifier[0]) if names.classifier else None
    return Task(
        here.in_channels if stem is None or stem.ndim < 2 else stem.shape[1],
        here.num_classes if last is None or not last.ndim else len(last),
    )


def _check_fits(source: object, task: Task, parts: DataParts, classes: Sequence[str] = ()) -> None:
    """Check that a teacher has the run's number of channels, and the run's classes in the same order.

    Args:
        source: The teacher's file or model, for messages.
        task: The teacher's numbers of channels and classes.
        parts: The run's data.
        classes: The teacher's class names in order; empty = not known, and not checked.

    Raises:
        WeightsError: The channels or the classes are not those of the run.
    """
    here = parts.task
    for noun, number, allowed in (
        ("channels", task.in_channels, here.in_channels),
        ("classes", task.num_classes, here.num_classes),
    ):
        if number != allowed:
            raise WeightsError(
                f"{source}: is for {number} {noun}; allowed: {allowed}, as in this run's samples"
            )
    for own, expected in zip(classes, parts.train.classes, strict=False):
        if own != expected:
            raise WeightsError(
                f"{source}: is for the class '{own}' where this run's samples have '{expected}'; allowed: "
                "the same classes in the same order"
            )


def _normalisation(parts: DataParts) -> Normalisation:
    return Normalisation(parts.mean, parts.std)
