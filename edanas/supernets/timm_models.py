"""Supernet provider `timm`: any model of timm, cut into stages where its feature information says."""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edanas.core.contracts import Supernet, SupernetProvider
from edanas.core.errors import ConfigError, WeightsError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Task
from edanas.supernets.fixed_network import FixedProvider, Parts
from edanas.supernets.model_cutting import Cut, CutError, cut_model
from edanas.supernets.option_checks import checked_number, is_whole
from edanas.supernets.weights import TensorNames, read_tensors

PRETRAINED = "pretrained"
"""The name, as weights, of what timm itself publishes for the model."""


class TimmProvider(FixedProvider):
    """Any model of timm, with exits between its stages: exits, thresholds and the resolution are searched.

    Stages end where the model's feature information (`feature_info`) says that features may be taken. Where
    more than a stage's output is used later, as between the branches of HRNet, no exit can stand.
    Transformers pass tokens on as features of width 1.

    Wightman, PyTorch Image Models (timm), 2019.

    Args:
        model: The model's name in timm, e.g. `resnet18` or `mobilenetv3_small_100`.
        resolutions: Sides of the input images in pixels; one alone for models of a fixed input size.
        exits: How many exit points at most, spread evenly over those that there are; 0 = all.

    Raises:
        ConfigError: An option is out of range, timm has no such model, or it cannot be cut.
    """

    def __init__(
        self, model: str = "resnet18", *, resolutions: tuple[int, ...] = (224,), exits: int = 0
    ) -> None:
        super().__init__(resolutions)
        self.model = check_timm_model(model)
        self.exits = checked_number("exits", exits, "a whole number from 0 to 1000", is_whole(0, 1000))
        stages, _ = self.skeleton(Task(3, 2))
        self.exit_points = len(stages) - 1
        if not self.exit_points:
            raise ConfigError(f"supernet.model: '{model}' has a single stage, so no exit can stand in it")

    def parts(self, task: Task) -> Parts:
        """See `FixedProvider.parts`."""
        made = self.whole(task)
        side, device = self.resolutions[-1], next(made.parameters()).device
        sample = torch.zeros((2, task.in_channels, side, side), device=device)
        try:
            found, possible = cut_model(made, _cuts(made), sample)
            if 0 < self.exits < len(possible) - 1:
                found, _ = cut_model(made, _thinned(possible, self.exits), sample)
        except CutError as error:
            raise ConfigError(f"supernet.model: '{self.model}' cannot be cut into stages: {error}") from error
        return found[:-1], found[-1]

    def whole(self, task: Task, **more: Any) -> nn.Module:
        """The model in one piece, with fresh weights; `more` goes to `timm.create_model`."""
        if len(self.resolutions) > 1 and _fixed_size(self.model):
            raise ConfigError(
                f"supernet.resolutions: found {self.resolutions}; allowed: one alone, since the input "
                f"size of '{self.model}' is fixed"
            )
        made = create_timm_model(self.model, task, self.resolutions[0], **more)
        for module in made.modules():
            # A stage must not write into the features that an exit before it reads.
            if getattr(module, "inplace", False) is True:
                module.inplace = False  # type: ignore[assignment]
        return made

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Fill `supernet` from a file with timm's names or our own; `pretrained` is what timm publishes.

        Raises:
            WeightsError: There is no such file, it has the weights of another network, or timm cannot get
                what it publishes.
        """
        path = Path(weights).expanduser()
        if weights == PRETRAINED and not path.exists():
            try:
                published = pretrained_timm_model(self.model, self.resolutions[0])
            except WeightsError as error:
                raise WeightsError(f"weights '{PRETRAINED}': {error}") from error
            return self.fill(
                supernet, published.state_dict(), f"timm's '{self.model}'", timm_names(self.model)
            )
        return self.fill(supernet, read_tensors(path), str(path), timm_names(self.model))


def create_timm_model(model: str, task: Task, side: int | None = None, **more: Any) -> nn.Module:
    """A model of timm with fresh weights.

    Args:
        model: Its name.
        task: Channels and classes.
        side: Of the images in pixels, for models of a fixed input size; `None` = timm's own.
        more: For `timm.create_model`.
    """
    import timm

    if side is not None and _fixed_size(model):
        more["img_size"] = side
    made: nn.Module = timm.create_model(
        model, num_classes=task.num_classes, in_chans=task.in_channels, **more
    )
    return made


def pretrained_timm_model(model: str, side: int | None = None) -> nn.Module:
    """A model with the weights that timm publishes for it; arguments as for `create_timm_model`.

    Raises:
        WeightsError: timm cannot get them.
    """
    import timm

    published: Any = timm.get_pretrained_cfg(model)
    try:
        task = Task(published.input_size[0], published.num_classes)
        return create_timm_model(model, task, side, pretrained=True)
    except Exception as error:
        raise WeightsError(
            f"timm cannot get what it publishes for '{model}': {type(error).__name__}: {error}. A file's "
            "path is the other way"
        ) from error


def timm_names(model: str) -> TensorNames:
    """What timm calls a model's tensors."""
    import timm

    published = timm.get_pretrained_cfg(model)
    layers = _several(getattr(published, "classifier", None))
    return TensorNames(
        canonical=lambda name: re.sub(r"^(?:stages\.\d+|head)\.traced\.model\.", "", name),
        classifier=tuple(f"{layer}.{field}" for layer in layers for field in ("weight", "bias")),
        stem=next((f"{layer}.weight" for layer in _several(getattr(published, "first_conv", None))), ""),
        misfit=f"The file is not of timm's '{model}'",
    )


def check_timm_model(model: str, setting: str = "supernet.model") -> str:
    """The model's name.

    Args:
        model: As `setting` names it.
        setting: For the message.

    Raises:
        ConfigError: timm has no such model.
    """
    import timm

    if timm.is_model(model):
        return model
    near = get_close_matches(model, timm.list_models(), n=3)
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    raise ConfigError(
        f"{setting}: timm {timm.__version__} has no model '{model}'.{hint} Allowed: the names of "
        "timm.list_models()"
    )


def _fixed_size(model: str) -> bool:
    import timm

    return bool(getattr(timm.get_pretrained_cfg(model), "fixed_input_size", False))


def _cuts(model: nn.Module) -> list[Cut]:
    """Where the model's feature information says that features may be taken."""
    info = getattr(model, "feature_info", None)
    if not info:
        raise CutError("it has no feature information")
    return [Cut(str(each["module"]), int(each["num_chs"])) for each in getattr(info, "info", info)]


def _thinned(cuts: Sequence[Cut], exits: int) -> list[Cut]:
    """So many of the cuts, spread evenly, and the last, which ends the last stage."""
    steps = len(cuts) - 1
    return [*(cuts[(2 * n + 1) * steps // (2 * exits)] for n in range(exits)), cuts[-1]]


def _several(names: Any) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Any model of timm."""
    return {"timm": TimmProvider}
