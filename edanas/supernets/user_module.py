"""Supernet provider `module`: a network that a function of the user builds."""

import functools
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from edanas.core.contracts import StagedBackbone, SupernetProvider
from edanas.core.errors import ConfigError, EdanasError, near_miss, type_of
from edanas.core.hookspecs import hookimpl
from edanas.core.machine import user_path
from edanas.core.trust import require_trust
from edanas.core.types import Task
from edanas.supernets.fixed_network import FixedProvider, Parts

_ARGUMENTS = "in_channels=..., num_classes=..."


class ModuleProvider(FixedProvider):
    """A network that a function of the user builds, with exit points between its stages.

    Exits, thresholds and the resolution are searched. The function is called as
    `make(in_channels=..., num_classes=...)`. It returns a `StagedBackbone`, a pair `(stages, head)`, or a
    sequence of modules: the stages, then the last exit. Stages return features (B, C, H, W), and the last
    exit returns logits (B, num_classes). The user's code runs in this process, and in every process that
    loads a network of this provider.

    Args:
        source: The function, as `path/to/file.py:function` or `package.module:function`.
        resolutions: Choices of the side of the input images in pixels, or of the length of series; 32 by
            default.
        series: True if the modules classify series: they then get and return features (B, C, L).

    Raises:
        ConfigError: An option is out of range, the function does not exist or fails, or its result is not a
            network in stages.
    """

    def __init__(self, source: str, *, resolutions: tuple[int, ...] = (32,), series: bool = False) -> None:
        super().__init__(resolutions, series=series)
        self.source = source
        task = Task(in_channels=3, num_classes=2)
        stages, head = self.skeleton(task)
        self.exit_points = len(stages) - 1
        for side in self.resolutions:
            self._run_once(StagedBackbone(stages, head, side, series=series).eval(), task)

    def parts(self, task: Task) -> Parts:
        """Call the user's function; see `FixedProvider.parts`.

        Raises:
            ConfigError: The function fails, or its result is not a network of two or more stages.
        """
        try:
            result = _function(self.source)(in_channels=task.in_channels, num_classes=task.num_classes)
        except EdanasError:
            raise
        except Exception as error:
            raise self._error(
                f"the function, called with {_ARGUMENTS}, raised {type(error).__name__}: {error}"
            ) from error
        stages, head = self._stages_and_head(result)
        if len(stages) < 2:
            raise self._error(
                f"the function returned {len(stages)} stage; expected two or more stages, and the last exit"
            )
        return ([Along(stage) for stage in stages], Along(head)) if self.series else (stages, head)

    def skeleton(self, task: Task) -> Parts:
        """Build stages and last exit with weights, since the user's code may read the weights."""
        with torch.random.fork_rng(devices=[]):
            return self.parts(task)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A process must import the user's classes before it unpickles networks that contain them.
        self.__dict__.update(state)
        _function(self.source)

    def _stages_and_head(self, result: Any) -> tuple[list[nn.Module], nn.Module]:
        if isinstance(result, StagedBackbone):
            return list(result.stages), result.head
        if isinstance(result, nn.Sequential | nn.ModuleList | Sequence) and len(result) > 1:
            *first, head = result
            only = first[0] if len(first) == 1 else None
            stages = list(only) if isinstance(only, nn.ModuleList | list | tuple) else first
            others = [item for item in (*stages, head) if not isinstance(item, nn.Module)]
            if not others:
                return stages, head
            result = others[0]
        raise self._error(
            f"the function returned {type_of(result)}; expected a StagedBackbone, (stages, head), "
            "or a sequence of modules"
        )

    @torch.no_grad()
    def _run_once(self, network: StagedBackbone, task: Task) -> None:
        """Run every stage and the last exit once, and check the outputs.

        Raises:
            ConfigError: A stage or the last exit does not run, or its output is not features or logits.
        """
        features = torch.zeros(2, task.in_channels, *network.input_size)
        names = [*(f"stage {number}" for number in range(1, len(network.stages) + 1)), "the last exit"]
        for name, part in zip(names, (*network.stages, network.head), strict=True):
            before = tuple(features.shape)
            try:
                features = part(features)
            except Exception as error:
                raise self._error(f"{name} does not run on an input of shape {before}: {error}") from error
            is_tensor = isinstance(features, torch.Tensor)
            output = tuple(features.shape) if is_tensor else type(features).__name__
            if part is network.head:
                if output != (2, task.num_classes):
                    raise self._error(f"{name} returns {output}; expected logits {(2, task.num_classes)}")
            elif not is_tensor or (part is not network.stages[-1] and features.ndim != 4):
                shape = "(B, C, L)" if self.series else "(B, C, H, W)"
                raise self._error(f"{name} returns {output}; expected features {shape}")

    def _error(self, text: str) -> ConfigError:
        return ConfigError(f"supernet.source: '{self.source}': {text}")


class Along(nn.Module):
    """Runs a module for features (B, C, L) on features (B, C, 1, L); other outputs of the module stay.

    Args:
        module: The module.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the module's output, (B, D, 1, L') if it has features (B, D, L')."""
        out: torch.Tensor = self.module(features.squeeze(2) if features.ndim == 4 else features)
        return out.unsqueeze(2) if out.ndim == 3 else out


def _function(source: str) -> Callable[..., Any]:
    """Import the function that `source` names.

    Raises:
        ConfigError: `source` has no function name, or the file, module or function does not exist.
    """
    location, colon, name = source.rpartition(":")
    if not colon or not location or not name:
        raise ConfigError(
            f"supernet.source: found '{source}'; expected FILE.py:FUNCTION or MODULE:FUNCTION, "
            "e.g. nets.py:make"
        )
    require_trust(source)
    module = _import_file(user_path(location)) if location.endswith(".py") else _import_module(location)
    function = getattr(module, name, None)
    if not callable(function):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ConfigError(f"supernet.source: {location} has no function '{name}'.{near_miss(name, names)}")
    make: Callable[..., Any] = function
    return make


@functools.cache
def _import_file(path: Path) -> ModuleType:
    """Import a Python file as a module whose name is derived from the path of the file."""
    if not path.is_file():
        place = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise ConfigError(f"supernet.source: {path}: no such file{place}")
    absolute = str(path.resolve())
    name = f"edanas_user_{path.stem}_{hashlib.sha256(absolute.encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, absolute)
    if spec is None or spec.loader is None:
        raise ConfigError(f"supernet.source: {path}: the file is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"supernet.source: {path} raised {type(error).__name__}: {error}") from error
    return module


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ConfigError(
            f"supernet.source: module '{name}' cannot be imported: {type(error).__name__}: {error}"
        ) from error


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """Register the provider `module`."""
    return {"module": ModuleProvider}
