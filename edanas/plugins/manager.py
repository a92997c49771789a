"""Finds and loads plugins, each on its own: one that is broken is kept with its cause, and the rest works.

The built-in implementations are modules in a list; everybody else's are entry points in the group `edanas`.
The environment variable `EDANAS_PLUGINS` restricts the latter to the names it holds, separated by commas.
"""

import functools
import importlib
import importlib.metadata
import inspect
import logging
import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pluggy

from edanas.core import hookspecs
from edanas.core.errors import PluginError, near_miss
from edanas.core.hookspecs import GROUP, SPEC_VERSION
from edanas.core.version import VERSION

RESTRICTION = "EDANAS_PLUGINS"

BUILT_IN = (
    "edanas.supernets.ofa_mbv3",
    "edanas.supernets.ofa_proxyless",
    "edanas.supernets.ofa_resnet50",
    "edanas.supernets.baselines",
    "edanas.supernets.cascade",
    "edanas.supernets.timm_models",
    "edanas.supernets.user_module",
    "edanas.exits.classifiers",
    "edanas.exits.criteria",
    "edanas.exits.gates",
    "edanas.exits.scheduler",
    "edanas.exits.inference",
    "edanas.thresholds.setters",
    "edanas.surrogates.builtin",
    "edanas.goals.objectives",
    "edanas.goals.combined_objectives",
    "edanas.goals.latency_table",
    "edanas.evaluation.latency",
    "edanas.goals.constraints",
    "edanas.strategies.surrogate_nsga2",
    "edanas.strategies.nsga2_joint",
    "edanas.strategies.random_search",
    "edanas.strategies.evolution",
    "edanas.strategies.local_search",
    "edanas.strategies.nested",
    "edanas.strategies.two_level",
    "edanas.training.schemes",
    "edanas.data.digits",
    "edanas.data.folder",
    "edanas.data.torchvision_sets",
    "edanas.evaluation.shared",
    "edanas.evaluation.finetune",
    "edanas.executors.serial",
    "edanas.executors.process",
    "edanas.deploy.safetensors_export",
    "edanas.deploy.onnx_export",
    "edanas.deploy.onnx_if_export",
    "edanas.deploy.onnx_int8_export",
    "edanas.deploy.pt2_export",
    "edanas.deploy.executorch_export",
    "edanas.deploy.c_header",
    "edanas.loggers.tensorboard",
    "edanas.loggers.mlflow",
    "edanas.plugins.mbv3_sm",
    "edanas.plugins.baselines",
)


@dataclass(frozen=True)
class Plugin:
    """One plugin, before and after loading.

    Args:
        name: The module of a built-in; the entry point's name of any other.
        owner: The distribution it comes with.
        version: That distribution's version.
        built_in: Whether it is part of edanas.
    """

    name: str
    owner: str
    version: str
    built_in: bool = False

    def __str__(self) -> str:
        return self.name if self.built_in else f"{self.owner} {self.version} (entry point '{self.name}')"


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that takes no part, and why; also a name in `EDANAS_PLUGINS` that no package has."""

    plugin: Plugin
    cause: str


@dataclass
class PluginHost:
    """The loaded plugins, and the broken ones.

    Args:
        report: Takes one line for the user when a plugin fails in a lifecycle event.
    """

    report: Callable[[str], None] = logging.getLogger("edanas").warning
    broken: list[BrokenPlugin] = field(default_factory=list)
    _manager: pluggy.PluginManager = field(default_factory=lambda: _manager(), repr=False)
    _loaded: dict[Plugin, object] = field(default_factory=dict, repr=False)
    _reported: set[tuple[Plugin, str]] = field(default_factory=set, repr=False)

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The plugins that work, built-ins first."""
        return tuple(self._loaded)

    def load(self, plugin: Plugin, find: Callable[[], object]) -> None:
        """Take in the module or object that `find` imports, or record why that cannot be done."""
        try:
            module = find()
            cause = _fault(module)
            if not cause:
                self._manager.register(module, name=str(plugin))
        except (Exception, SystemExit) as error:
            cause = explain(error)
        if cause:
            self.broken.append(BrokenPlugin(plugin, cause))
        else:
            self._loaded[plugin] = module

    def reject(self, plugin: Plugin, cause: str) -> None:
        """Take `plugin` out as broken: it is asked for nothing and told nothing any more."""
        self._manager.unregister(self._loaded.pop(plugin))
        self.broken.append(BrokenPlugin(plugin, cause))

    @contextmanager
    def joined(self, members: Mapping[Plugin, object]) -> Iterator[None]:
        """Tell `members`, e.g. loggers, of lifecycle events while the context lasts.

        Raises:
            PluginError: One has no events, or a misspelled one.
        """
        try:
            for plugin, member in members.items():
                self.load(plugin, lambda member=member: member)  # type: ignore[misc]
                if plugin not in self._loaded:
                    raise PluginError(f"{plugin}: {self.broken.pop().cause}")
            yield
        finally:
            for plugin in members:
                if plugin in self._loaded:
                    self._manager.unregister(self._loaded.pop(plugin))

    def call(self, plugin: Plugin, hook: str, /, **arguments: Any) -> list[Any]:
        """What one plugin's implementations of `hook` return; empty if it has none."""
        others = [module for other, module in self._loaded.items() if other != plugin]
        results: list[Any] = self._manager.subset_hook_caller(hook, others)(**arguments)
        return results

    def culprit(self, error: BaseException) -> Plugin | None:
        """The plugin that is no built-in in whose package `error` was raised, or through which it came."""
        packages = {_package(found): plugin for plugin, found in self._loaded.items() if not plugin.built_in}
        frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
        owners = [packages.get(name.partition(".")[0]) for name in reversed(frames)]
        return next((owner for owner in owners if owner), None)

    def notify(self, event: str, /, **arguments: Any) -> None:
        """Tell every plugin of a lifecycle event; one that raises is reported once for that event.

        Args:
            event: A hook's name, e.g. `edanas_run_started`.
            arguments: What the hook's specification lists.

        Raises:
            TypeError: There is no such event, or it has other arguments; the caller's fault, and no plugin's.
        """
        specification = getattr(hookspecs, event, None)
        expected = list(inspect.signature(specification).parameters) if specification else None
        if expected is None or set(expected) != set(arguments):
            raise TypeError(f"event {event} with {sorted(arguments)}; expected {expected or 'another event'}")
        for plugin in self.plugins:
            try:
                self.call(plugin, event, **arguments)
            except Exception as error:
                if (plugin, event) not in self._reported:
                    self._reported.add((plugin, event))
                    self.report(
                        f"plugin {plugin}: {event} raised {explain(error)}; the run goes on without it"
                    )


def load_plugins(report: Callable[[str], None] | None = None) -> PluginHost:
    """All plugins of this installation: the built-ins, then those that `EDANAS_PLUGINS` lets in.

    Args:
        report: See `PluginHost`; the logger `edanas` if it is left out.
    """
    host = PluginHost() if report is None else PluginHost(report)
    for name in BUILT_IN:
        plugin = Plugin(name, "edanas", VERSION, built_in=True)
        host.load(plugin, functools.partial(importlib.import_module, name))
    installed = sorted(importlib.metadata.entry_points(group=GROUP), key=lambda point: point.name)
    for point in _admitted(installed, host):
        host.load(_plugin(point), point.load)
    return host


def explain(error: BaseException) -> str:
    """An exception as `TypeName: text` on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _package(found: object) -> str:
    """The top-level package of a plugin's module, or of the module of another object."""
    name = found.__name__ if inspect.ismodule(found) else getattr(found, "__module__", "")
    return str(name).partition(".")[0]


def _plugin(point: importlib.metadata.EntryPoint) -> Plugin:
    if point.dist is None:
        return Plugin(point.name, point.name, "")
    return Plugin(point.name, point.dist.name, point.dist.version)


def _admitted(
    points: Sequence[importlib.metadata.EntryPoint], host: PluginHost
) -> list[importlib.metadata.EntryPoint]:
    """The entry points that `EDANAS_PLUGINS` names, or their distribution's name; all if it is unset."""
    restriction = os.environ.get(RESTRICTION)
    if restriction is None:
        return list(points)
    wanted = [name.strip() for name in restriction.split(",") if name.strip()]
    known = {_normal(name) for point in points for name in (point.name, _plugin(point).owner)}
    for name in wanted:
        if _normal(name) not in known:
            cause = (
                f"{RESTRICTION} names it, but it is not installed.{near_miss(name, (p.name for p in points))}"
            )
            host.broken.append(BrokenPlugin(Plugin(name, "", ""), cause))
    chosen = {_normal(name) for name in wanted}
    return [point for point in points if chosen & {_normal(point.name), _normal(_plugin(point).owner)}]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _fault(module: object) -> str:
    """What is wrong with a plugin's hooks, or nothing. Pluggy itself says nothing about a misspelled hook."""
    version = getattr(module, "EDANAS_SPEC_VERSION", SPEC_VERSION)
    if version != SPEC_VERSION:
        return f"made for hook specification {version}; this edanas has {SPEC_VERSION}"
    if type(module).__hash__ is None:
        return f"a {type(module).__name__} cannot be a plugin, since it has no hash; use a module"
    alone = _manager()
    specified = {name for name in vars(hookspecs) if name.startswith(f"{GROUP}_")}
    alone.register(module)
    callers = alone.get_hookcallers(module) or []
    marked = {caller.name for caller in callers}
    misspelled = [name for name in sorted(marked) if name not in specified]
    if misspelled:
        return f"unknown hook '{misspelled[0]}'.{near_miss(misspelled[0], specified)}"
    alone.check_pending()
    unmarked = sorted(name for name in specified - marked if callable(getattr(module, name, None)))
    if unmarked:
        return f"'{unmarked[0]}' is not marked with @edanas.hookimpl"
    return "" if marked else "no function is marked with @edanas.hookimpl"
