"""Supernet provider `timm`: any model of timm, cut into stages by its feature information."""

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
"""The value of `weights` that stands for the weights that timm publishes for the model."""


class TimmProvider(FixedProvider):
    """Any model of timm, with exits between its stages: exits, thresholds and the resolution are searched.

    Stages end at the modules in the model's feature information (`feature_info`). There is no exit point
    where later stages use more than one output, as between the branches of HRNet. Tokens of transformers are
    features of width 1.

    Wightman, PyTorch Image Models (timm), 2019.

    Args:
        model: The model's name in timm, e.g. `resnet18` or `mobilenetv3_small_100`.
        resolutions: Sides of the input images in pixels; only one for models with a fixed input size.
        exits: Largest number of exit points, chosen evenly from all; 0 = all.

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
            raise ConfigError(f"supernet.model: '{model}' has a single stage and so no exit point")

    def parts(self, task: Task) -> Parts:
        """Build the model and cut it; see `FixedProvider.parts`."""
        model = self.whole(task)
        side, device = self.resolutions[-1], next(model.parameters()).device
        sample = torch.zeros((2, task.in_channels, side, side), device=device)
        try:
            stages, possible = cut_model(model, _cuts(model), sample)
            if 0 < self.exits < len(possible) - 1:
                stages, _ = cut_model(model, _evenly_spaced(possible, self.exits), sample)
        except CutError as error:
            raise ConfigError(f"supernet.model: '{self.model}' cannot be cut into stages: {error}") from error
        return stages[:-1], stages[-1]

    def whole(self, task: Task, **more: Any) -> nn.Module:
        """Build the model in one piece, with fresh weights; `more` goes to `timm.create_model`."""
        if len(self.resolutions) > 1 and _fixed_size(self.model):
            raise ConfigError(
                f"supernet.resolutions: found {self.resolutions}; allowed: one side, since the input "
                f"size of '{self.model}' is fixed"
            )
        model = create_timm_model(self.model, task, self.resolutions[0], **more)
        for module in model.modules():
            # A stage must not overwrite features that an earlier exit reads.
            if getattr(module, "inplace", False) is True:
                module.inplace = False  # type: ignore[assignment]
        return model

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load weights from a file with timm's names or ours, or for `pretrained` what timm publishes.

        Raises:
            WeightsError: The file does not exist or is of another network, or timm cannot download weights.
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
    """Build a model of timm with fresh weights.

    Args:
        model: The name of the model.
        task: Channels and classes.
        side: Side of the images in pixels, for models with a fixed input size; `None` = timm's default.
        more: Further arguments of `timm.create_model`.
    """
    import timm

    if side is not None and _fixed_size(model):
        more["img_size"] = side
    network: nn.Module = timm.create_model(
        model, num_classes=task.num_classes, in_chans=task.in_channels, **more
    )
    return network


def pretrained_timm_model(model: str, side: int | None = None) -> nn.Module:
    """Build a model with the weights that timm publishes; for arguments see `create_timm_model`.

    Raises:
        WeightsError: timm publishes none, or cannot download them.
    """
    import timm

    published: Any = timm.get_pretrained_cfg(model)
    try:
        task = Task(published.input_size[0], published.num_classes)
        return create_timm_model(model, task, side, pretrained=True)
    except Exception as error:
        raise WeightsError(
            f"timm cannot load the published weights of '{model}': {type(error).__name__}: {error}. "
            "Give the path of a file instead"
        ) from error


def timm_names(model: str) -> TensorNames:
    """Return the names of a model's tensors in timm."""
    import timm

    published = timm.get_pretrained_cfg(model)
    layers = _as_tuple(getattr(published, "classifier", None))
    return TensorNames(
        canonical=lambda name: re.sub(r"^(?:stages\.\d+|head)\.traced\.model\.", "", name),
        classifier=tuple(f"{layer}.{field}" for layer in layers for field in ("weight", "bias")),
        stem=next((f"{layer}.weight" for layer in _as_tuple(getattr(published, "first_conv", None))), ""),
        misfit=f"The file is not of timm's '{model}'",
    )


def check_timm_model(model: str, setting: str = "supernet.model") -> str:
    """Return the name of a model that timm has.

    Args:
        model: The name.
        setting: Where the name comes from, for the message.

    Raises:
        ConfigError: timm has no such model.
    """
    import timm

    if timm.is_model(model):
        return model
    close_names = get_close_matches(model, timm.list_models(), n=3)
    hint = f" Did you mean {' or '.join(repr(name) for name in close_names)}?" if close_names else ""
    raise ConfigError(
        f"{setting}: timm {timm.__version__} has no model '{model}'.{hint} Allowed: the names of "
        "timm.list_models()"
    )


def _fixed_size(model: str) -> bool:
    import timm

    return bool(getattr(timm.get_pretrained_cfg(model), "fixed_input_size", False))


def _cuts(model: nn.Module) -> list[Cut]:
    """Return the places to cut, by the model's feature information."""
    info = getattr(model, "feature_info", None)
    if not info:
        raise CutError("it has no feature information")
    return [Cut(str(entry["module"]), int(entry["num_chs"])) for entry in getattr(info, "info", info)]


def _evenly_spaced(cuts: Sequence[Cut], exits: int) -> list[Cut]:
    """Return `exits` of the cuts, evenly spaced, and the last cut, which ends the last stage."""
    steps = len(cuts) - 1
    return [*(cuts[(2 * n + 1) * steps // (2 * exits)] for n in range(exits)), cuts[-1]]


def _as_tuple(names: Any) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register `timm`."""
    return {"timm": TimmProvider}
