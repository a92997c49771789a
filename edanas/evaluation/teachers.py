"""Who teaches a supernet from outside: another supernet, a finished network, or a model of timm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from edanas.core.config import resolve
from edanas.core.contracts import StagedBackbone, SupernetProvider
from edanas.core.errors import EdanasError, WeightsError
from edanas.core.preprocess import by_channel
from edanas.core.space import SearchSpace
from edanas.core.trust import from_a_file
from edanas.core.types import DataParts, Task
from edanas.evaluation.initial_weights import SUPERNET
from edanas.evaluation.leakage import check_unseen
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
from edanas.training.distillation import Teacher
from edanas.training.recalibrate import recalibrate
from edanas.training.sandwich import resized
from edanas.training.supernet_file import find, load, read_recipe

TIMM = "timm:"


class Named(NamedTuple):
    """A teacher as the setting names it.

    Args:
        model: A name in timm; empty = the file says what it holds.
        path: The file of the weights; `None` = what timm publishes or, without a model, nobody.
    """

    model: str
    path: Path | None


class Normal(NamedTuple):
    """What pixels in [0, 1] are normalised by: one number a channel, each."""

    mean: Sequence[float]
    std: Sequence[float]


@dataclass(frozen=True)
class Outsider:
    """A network that answers for a run's images: prepared images (B, C, R, R) -> probabilities (B, K).

    Args:
        network: Images as it was trained on them -> logits (B, K); in eval mode.
        resolution: Side in pixels of the images that it was trained on.
        here: What the run's images are normalised by.
        own: What those were that it was trained on.
        remark: What the user should know of it.
    """

    network: nn.Module
    resolution: int
    here: Normal
    own: Normal
    remark: str = ""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """See the class."""
        logits: torch.Tensor = self.network(resized(self._as_its_own(images), self.resolution))
        return logits.float().softmax(1)

    def _as_its_own(self, images: torch.Tensor) -> torch.Tensor:
        if self.own == self.here:
            return images
        mean, std = (by_channel(each, images.device) for each in self.here)
        own_mean, own_std = (by_channel(each, images.device) for each in self.own)
        return (images * std + (mean - own_mean)) / own_std


def named_teacher(name: str) -> Named:
    """The setting `teacher`, read: `timm:MODEL@FILE`, `timm:MODEL`, a file, or a name in `weights/`."""
    if not name.startswith(TIMM):
        return Named("", (find(name) or Path(name).expanduser()) if name else None)
    model, at, file = name.removeprefix(TIMM).partition("@")
    return Named(model, Path(file).expanduser() if at else None)


def outside_teacher(bench: Workbench) -> tuple[Teacher, str]:
    """The teacher that a run's settings name, on the run's device, and a sentence on who it is.

    Its BatchNorm runs by statistics of its own training; those of a supernet's backbone are recomputed on the
    run's train images.

    Raises:
        WeightsError: There is no such file, it is damaged or no teacher, it answers for other classes or
            channels, or it has seen what must stay unseen; or timm cannot get what it publishes.
        ConfigError: timm has no such model, or a plugin that the network was made with is not installed.
    """
    name = bench.settings.teacher
    model, path = named_teacher(name)
    try:
        if model:
            found = _of_timm(model, path, bench)
        elif path is None or not path.is_file():
            raise WeightsError(
                f"'{name}': no such file; allowed: a trained supernet, a finished network, or timm:MODEL@FILE"
            )
        else:
            found = _of_supernet(path, bench) if find(str(path)) else _finished(path, bench)
    except EdanasError as error:
        raise type(error)(f"teacher: {error}") from error
    found.network.to(bench.device).to(memory_format=torch.channels_last)
    found.network.eval().requires_grad_(requires_grad=False)
    share = bench.settings.training.distillation
    said = f"{name} teaches at {found.resolution} pixels: {share:.0%} of what the largest backbone learns"
    return found, f"{said}. {found.remark}" if found.remark else said


def _of_supernet(path: Path, bench: Workbench) -> Outsider:
    """The largest backbone of a trained supernet."""
    recipe = read_recipe(path)
    try:
        settings = resolve([("", recipe["settings"])])
        task, classes = Task(recipe["in_channels"], recipe["num_classes"]), [*recipe["classes"]]
    except (LookupError, TypeError) as error:
        raise WeightsError(f"{path}: its recipe is damaged: {error!r}") from error
    _check_fits(path, task, bench.parts, classes)
    untold = check_unseen(bench, path)
    with from_a_file(trust=False), torch.random.fork_rng(devices=[]):
        provider: SupernetProvider = Registry(load_plugins()).create(
            "supernet provider", settings.supernet.name, settings.supernet.options
        )
        supernet = provider.supernet(task)
    load(path, {SUPERNET: supernet})
    space = SearchSpace(provider.variables(), settings.thresholds, provider.exit_points)
    backbone: StagedBackbone = supernet.extract(space.largest())
    backbone.to(bench.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    recalibrate(backbone, bench.train_images(backbone.resolution))
    normal = _normal_of(bench.parts)
    return Outsider(backbone, backbone.resolution, normal, normal, untold)


def _finished(path: Path, bench: Workbench) -> Outsider:
    """The last exit of a network that a search gave."""
    try:
        network = load_finished(path)
    except WeightsError as error:
        raise WeightsError(
            f"{path} is no trained supernet that can be read; as a finished network: {error}"
        ) from error
    task = Task(len(network.mean), len(network.classes))
    _check_fits(path, task, bench.parts, network.classes)
    own = Normal(network.mean, network.std)
    return Outsider(network.backbone.float(), network.resolution, _normal_of(bench.parts), own)


def _of_timm(model: str, path: Path | None, bench: Workbench) -> Outsider:
    """A model of timm, with weights from a file of its own names or with those that timm publishes."""
    check_timm_model(model, f"'{TIMM}{model}'")
    here = _normal_of(bench.parts)
    if path is None:
        network: Any = pretrained_timm_model(model)
        about = network.pretrained_cfg
        channels, _, side = about["input_size"]
        _check_fits(f"timm's '{model}'", Task(channels, about["num_classes"]), bench.parts)
        return Outsider(network, side, here, Normal(about["mean"], about["std"]))
    tensors = read_tensors(path)
    task = _task_of(tensors, timm_names(model), bench.parts.task)
    _check_fits(path, task, bench.parts)
    # The file does not say what images it was trained on: they are taken to have been as they are here.
    side = int(bench.space.largest()["resolution"])
    network = create_timm_model(model, task, side)
    fill(network, task, tensors, str(path), timm_names(model))
    return Outsider(network, side, here, here)


def _task_of(tensors: Mapping[str, torch.Tensor], names: TensorNames, here: Task) -> Task:
    """What weights are for, as far as their shapes say it; the rest is as it is here."""
    found = {names.canonical(name): tensor for name, tensor in tensors.items()}
    stem, last = found.get(names.stem), found.get(names.classifier[0]) if names.classifier else None
    return Task(
        here.in_channels if stem is None or stem.ndim < 2 else stem.shape[1],
        here.num_classes if last is None or not last.ndim else len(last),
    )


def _check_fits(whose: object, task: Task, parts: DataParts, classes: Sequence[str] = ()) -> None:
    """A teacher reads images of the run's channels, and answers for its classes in their order.

    Args:
        whose: For messages: where the teacher is from.
        task: What it was made for.
        parts: The run's data.
        classes: Their names, where they are known.

    Raises:
        WeightsError: It does not.
    """
    here = parts.task
    for what, found, allowed in (
        ("channels", task.in_channels, here.in_channels),
        ("classes", task.num_classes, here.num_classes),
    ):
        if found != allowed:
            raise WeightsError(f"{whose}: is for {found} {what}; allowed: the {allowed} of this run's images")
    for its, ours in zip(classes, parts.train.classes, strict=False):
        if its != ours:
            raise WeightsError(
                f"{whose}: is for the class '{its}' where this run's images have '{ours}'; allowed: the same "
                "classes in the same order"
            )


def _normal_of(parts: DataParts) -> Normal:
    return Normal(parts.mean, parts.std)
