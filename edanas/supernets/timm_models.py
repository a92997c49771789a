"""Supernet provider `timm`: models of the package timm, cut into stages."""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from edanas.core.contracts import Supernet, SupernetProvider
from edanas.core.errors import ConfigError, WeightsError
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import user_path
from edanas.core.types import Task
from edanas.supernets.download import require_download
from edanas.supernets.fixed_network import FixedProvider, Parts
from edanas.supernets.model_cutting import Cut, CutError, cut_model
from edanas.supernets.option_checks import checked_number, is_whole
from edanas.supernets.weights import TensorNames, read_tensors

PRETRAINED = "pretrained"
"""Value of the setting `weights` that loads the weights that timm publishes for the model."""


class TimmProvider(FixedProvider):
    """A model of the package timm, with exit points between its stages.

    Exits, thresholds and the resolution are searched. Each stage ends at a module that is listed in the
    model's attribute `feature_info`. If later stages need more outputs than the output of this module, as in
    HRNet with its parallel branches, no exit point follows the module. Tokens of transformers become features
    of width 1. Wightman, PyTorch Image Models (timm), 2019.

    Args:
        model: Name of the model in timm, e.g. `resnet18` (default) or `mobilenetv3_small_100`.
        resolutions: Choices of the side of the input images, in pixels; 224 by default. Models with a fixed
            input size allow a single choice.
        exits: Largest number of exit points. If the model has more exit points, evenly spaced exit points are
            used. 0, the default, sets no limit.

    Raises:
        ConfigError: An option is out of range, timm has no model of this name, or the model cannot be cut.
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
            raise ConfigError(
                f"supernet.model: '{model}' has a single stage and so no exit "
                "point; choose a model with two or more stages"
            )

    def parts(self, task: Task) -> Parts:
        """Build the model and cut it into stages; see `FixedProvider.parts`."""
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
        """Build the model with fresh weights, without cutting it.

        Args:
            task: Number of channels of the images, and number of classes.
            more: Further arguments of `timm.create_model`.

        Raises:
            ConfigError: Several resolutions are set for a model with a fixed input size.
        """
        if len(self.resolutions) > 1 and _fixed_size(self.model):
            raise ConfigError(
                f"supernet.resolutions: found {self.resolutions}; allowed: one side, since the input "
                f"size of '{self.model}' is fixed"
            )
        model = create_timm_model(self.model, task, self.resolutions[0], **more)
        for module in model.modules():
            # A module that works in place would overwrite features that the exit before it reads.
            if getattr(module, "inplace", False) is True:
                module.inplace = False  # type: ignore[assignment]
        return model

    def load_weights(self, supernet: Supernet, weights: str) -> str:
        """Load weights from a file, or the weights that timm publishes for the model.

        Args:
            supernet: The supernet that gets the weights.
            weights: `pretrained` for the published weights, or the path of a file. The file has the tensors
                of timm's model or of this provider's supernet.

        Returns:
            A sentence that reports the number of copied tensors.

        Raises:
            WeightsError: The file does not exist or belongs to another network, or timm cannot load the
                published weights.
        """
        path = user_path(weights)
        if weights == PRETRAINED and not path.exists():
            try:
                published = pretrained_timm_model(self.model, self.resolutions[0])
            except WeightsError as error:
                raise type(error)(f"weights '{PRETRAINED}': {error}") from error
            return self.fill(
                supernet, published.state_dict(), f"timm's '{self.model}'", timm_names(self.model)
            )
        return self.fill(supernet, read_tensors(path), str(path), timm_names(self.model))


def create_timm_model(model: str, task: Task, side: int | None = None, **more: Any) -> nn.Module:
    """Build a model of timm with fresh weights.

    Args:
        model: Name of the model in timm.
        task: Number of channels of the images, and number of classes.
        side: Side of the images in pixels, for models with a fixed input size. `None`, the default, means the
            side that timm has for the model.
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
    """Build a model with the weights, the channels and the classes that timm publishes.

    Args:
        model: Name of the model in timm.
        side: Side of the images in pixels, for models with a fixed input size. `None`, the default, means the
            side that timm has for the model.

    Raises:
        WeightsError: timm publishes no weights for the model, or cannot download the weights.
    """
    import timm

    require_download(model)
    published: Any = timm.get_pretrained_cfg(model)
    try:
        task = Task(published.input_size[0], published.num_classes)
        return create_timm_model(model, task, side, pretrained=True)
    except Exception as error:
        raise WeightsError(
            f"timm cannot load the published weights of '{model}': {type(error).__name__}: {error}. "
            "Set the path of a weights file instead"
        ) from error


def timm_names(model: str) -> TensorNames:
    """Return the names of a model's tensors in timm; `model` is the name of the model."""
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
    """Return the name of a model after a check that timm has the model.

    Args:
        model: Name of the model.
        setting: Name of the setting that holds the name, for the message; `supernet.model` by default.

    Raises:
        ConfigError: timm has no model of this name.
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
    """Return the cuts after the modules that are listed in the model's `feature_info`."""
    info = getattr(model, "feature_info", None)
    if not info:
        raise CutError("the model has no attribute `feature_info`")
    return [Cut(str(entry["module"]), int(entry["num_chs"])) for entry in getattr(info, "info", info)]


def _evenly_spaced(cuts: Sequence[Cut], exits: int) -> list[Cut]:
    """Return `exits` evenly spaced cuts, then the last cut, which ends the last stage."""
    steps = len(cuts) - 1
    return [*(cuts[(2 * n + 1) * steps // (2 * exits)] for n in range(exits)), cuts[-1]]


def _as_tuple(names: Any) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register the provider `timm`."""
    return {"timm": TimmProvider}
