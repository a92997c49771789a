"""Supernet provider `module`: a network of the user's own, from a function in a file or a package."""

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
from edanas.core.errors import ConfigError, EdanasError, near_miss
from edanas.core.hookspecs import hookimpl
from edanas.core.trust import require_trust
from edanas.core.types import Task
from edanas.supernets.fixed_network import FixedProvider, Parts

_CALLED = "in_channels=..., num_classes=..."


class ModuleProvider(FixedProvider):
    """A network of your own, in stages: exits, thresholds and the resolution are searched.

    The function is called as `make(in_channels=..., num_classes=...)` and returns a `StagedBackbone`, or the
    stages and the last exit: `(stages, head)`, or all modules in one sequence with the last exit at its end.
    Stages put out features (B, C, H, W), the last exit logits (B, num_classes). Its code is run, here and
    wherever a network that came out of it is loaded again.

    Args:
        source: `path/to/file.py:function` or `package.module:function`.
        resolutions: Sides of the input images in pixels.

    Raises:
        ConfigError: An option is out of range, there is no such function, or what it makes does not fit.
    """

    def __init__(self, source: str, *, resolutions: tuple[int, ...] = (32,)) -> None:
        super().__init__(resolutions)
        self.source = source
        task = Task(in_channels=3, num_classes=2)
        stages, head = self.skeleton(task)
        self.exit_points = len(stages) - 1
        for side in self.resolutions:
            self._try(StagedBackbone(stages, head, side).eval(), task)

    def parts(self, task: Task) -> Parts:
        """See `FixedProvider.parts`."""
        try:
            made = _function(self.source)(in_channels=task.in_channels, num_classes=task.num_classes)
        except EdanasError:
            raise
        except Exception as error:
            raise self._wrong(f"called with {_CALLED} it raised {type(error).__name__}: {error}") from error
        stages, head = self._split(made)
        if len(stages) < 2:
            raise self._wrong(f"it made {len(stages)} stage; expected two or more, and the last exit")
        return stages, head

    def skeleton(self, task: Task) -> Parts:
        """See `FixedProvider.skeleton`: with weights, since foreign code may need to see some."""
        with torch.random.fork_rng(devices=[]):
            return self.parts(task)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Another process must know the classes before it is given networks.
        self.__dict__.update(state)
        _function(self.source)

    def _split(self, made: Any) -> tuple[list[nn.Module], nn.Module]:
        if isinstance(made, StagedBackbone):
            return list(made.stages), made.head
        if isinstance(made, nn.Sequential | nn.ModuleList | Sequence) and len(made) > 1:
            *first, head = made
            several = first[0] if len(first) == 1 else None
            stages = list(several) if isinstance(several, nn.ModuleList | list | tuple) else first
            wrong = [each for each in (*stages, head) if not isinstance(each, nn.Module)]
            if not wrong:
                return stages, head
            made = wrong[0]
        raise self._wrong(
            f"it made a {type(made).__name__}; expected a StagedBackbone, (stages, head), or a "
            "sequence of modules"
        )

    @torch.no_grad()
    def _try(self, network: StagedBackbone, task: Task) -> None:
        """Run every stage once.

        Raises:
            ConfigError: One does not run, or puts out something else than it should.
        """
        features = torch.zeros(2, task.in_channels, network.resolution, network.resolution)
        names = [*(f"stage {number}" for number in range(1, len(network.stages) + 1)), "the last exit"]
        for name, part in zip(names, (*network.stages, network.head), strict=True):
            before = tuple(features.shape)
            try:
                features = part(features)
            except Exception as error:
                raise self._wrong(f"{name} does not run on {before}: {error}") from error
            is_tensor = isinstance(features, torch.Tensor)
            found = tuple(features.shape) if is_tensor else type(features).__name__
            if part is network.head:
                if found != (2, task.num_classes):
                    raise self._wrong(f"{name} puts out {found}; expected {(2, task.num_classes)}")
            elif not is_tensor or (part is not network.stages[-1] and features.ndim != 4):
                raise self._wrong(f"{name} puts out {found}; expected features (B, C, H, W)")

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"supernet.source: '{self.source}': {what}")


def _function(source: str) -> Callable[..., Any]:
    """The function that `source` names.

    Raises:
        ConfigError: There is none.
    """
    place, colon, name = source.rpartition(":")
    if not colon or not place or not name:
        raise ConfigError(
            f"supernet.source: found '{source}'; expected FILE.py:FUNCTION or MODULE:FUNCTION, "
            "e.g. nets.py:make"
        )
    require_trust(source)
    module = _file(Path(place).expanduser()) if place.endswith(".py") else _importable(place)
    found = getattr(module, name, None)
    if not callable(found):
        own = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ConfigError(f"supernet.source: {place} has no function '{name}'.{near_miss(name, own)}")
    made: Callable[..., Any] = found
    return made


@functools.cache
def _file(path: Path) -> ModuleType:
    """The module in a file, under a name that follows from the file's place."""
    if not path.is_file():
        raise ConfigError(f"supernet.source: {path}: no such file")
    where = str(path.resolve())
    name = f"edanas_user_{path.stem}_{hashlib.sha256(where.encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, where)
    if spec is None or spec.loader is None:
        raise ConfigError(f"supernet.source: {path}: is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"supernet.source: {path} raised {type(error).__name__}: {error}") from error
    return module


def _importable(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ConfigError(
            f"supernet.source: module '{name}' cannot be imported: {type(error).__name__}: {error}"
        ) from error


@hookimpl
def edanas_supernet_providers() -> Mapping[str, Callable[..., SupernetProvider]]:
    """A network of the user's own."""
    return {"module": ModuleProvider}
