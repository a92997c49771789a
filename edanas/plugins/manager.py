"""Discovery and loading of plugins.

A plugin that cannot be loaded is recorded with the cause, and all other plugins work. Built-in plugins are
the modules in `BUILT_IN`. Plugins of other packages are entry points in the group `edanas`; the environment
variable `EDANAS_PLUGINS` restricts these entry points to a list of names, separated by commas.
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
from edanas.core.errors import PluginError, near_miss, type_of
from edanas.core.hookspecs import GROUP, SPEC_VERSION
from edanas.core.version import VERSION
from edanas.core.visible import visible

RESTRICTION = "EDANAS_PLUGINS"
"""Name of the environment variable that restricts the plugins of other packages."""

BUILT_IN = (
    "edanas.supernets.ofa_mbv3",
    "edanas.supernets.ofa_proxyless",
    "edanas.supernets.ofa_resnet50",
    "edanas.supernets.elastic_1d",
    "edanas.supernets.elastic_resnet",
    "edanas.supernets.baselines",
    "edanas.supernets.shallow_deep",
    "edanas.supernets.plain",
    "edanas.supernets.whitened_cnn",
    "edanas.supernets.cascade",
    "edanas.supernets.timm_models",
    "edanas.supernets.user_module",
    "edanas.exits.classifiers",
    "edanas.exits.searched",
    "edanas.exits.mixed_pooling",
    "edanas.exits.criteria",
    "edanas.exits.gates",
    "edanas.exits.correctness",
    "edanas.exits.eenet",
    "edanas.exits.inference",
    "edanas.exits.earlier_exits",
    "edanas.thresholds.setters",
    "edanas.thresholds.risk_setter",
    "edanas.thresholds.reject_options",
    "edanas.thresholds.exit_shares",
    "edanas.thresholds.big_little",
    "edanas.thresholds.nachos",
    "edanas.thresholds.failure_prediction",
    "edanas.surrogates.builtin",
    "edanas.goals.objectives",
    "edanas.goals.combined_objectives",
    "edanas.goals.latency_table",
    "edanas.goals.energy_table",
    "edanas.goals.device_memory",
    "edanas.goals.device_time",
    "edanas.evaluation.latency",
    "edanas.goals.constraints",
    "edanas.strategies.surrogate_nsga2",
    "edanas.strategies.nsga2_joint",
    "edanas.strategies.random_search",
    "edanas.strategies.evolution",
    "edanas.strategies.local_search",
    "edanas.strategies.nested",
    "edanas.strategies.two_level",
    "edanas.strategies.bayesian",
    "edanas.training.schemes",
    "edanas.training.sample_weights",
    "edanas.training.exit_and_inference",
    "edanas.training.shallow_deep",
    "edanas.training.idk",
    "edanas.training.nachos",
    "edanas.data.arrays",
    "edanas.data.digits",
    "edanas.data.folder",
    "edanas.data.image_table",
    "edanas.data.sound",
    "edanas.data.torchvision_sets",
    "edanas.evaluation.shared",
    "edanas.evaluation.finetune",
    "edanas.executors.serial",
    "edanas.executors.process",
    "edanas.executors.spare_cores",
    "edanas.executors.ray_cluster",
    "edanas.executors.slurm",
    "edanas.deploy.safetensors_export",
    "edanas.deploy.onnx_export",
    "edanas.deploy.onnx_if_export",
    "edanas.deploy.onnx_int8_export",
    "edanas.deploy.pt2_export",
    "edanas.deploy.executorch_export",
    "edanas.deploy.litert_export",
    "edanas.deploy.c_header",
    "edanas.deploy.c_export",
    "edanas.loggers.tensorboard",
    "edanas.loggers.mlflow",
    "edanas.plugins.mbv3_sm",
    "edanas.plugins.resnet_sm",
    "edanas.plugins.signal_sm",
    "edanas.plugins.sound_sm",
    "edanas.plugins.baselines",
    "edanas.plugins.published_systems",
    "edanas.plugins.nachos",
)
"""Modules of the built-in plugins, in the order of loading."""


@dataclass(frozen=True)
class Plugin:
    """The identity of a plugin.

    Args:
        name: Name of the module for a built-in plugin, and of the entry point for any other plugin.
        owner: Name of the distribution that contains the plugin.
        version: Version of the distribution.
        built_in: True if the plugin is part of edanas; default False.
    """

    name: str
    owner: str
    version: str
    built_in: bool = False

    def __str__(self) -> str:
        return self.name if self.built_in else f"{self.owner} {self.version} (entry point '{self.name}')"


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that is left out.

    Args:
        plugin: The plugin, or an unknown name in `EDANAS_PLUGINS`.
        cause: The reason, as a text for the user.
    """

    plugin: Plugin
    cause: str


@dataclass
class PluginHost:
    """The loaded plugins and the broken plugins of this process.

    Args:
        report: Called with one line for the user when a plugin fails in a lifecycle event; by default, the
            line is a warning of the logger `edanas`.
        broken: The plugins that are left out.
    """

    report: Callable[[str], None] = logging.getLogger("edanas").warning
    broken: list[BrokenPlugin] = field(default_factory=list)
    _manager: pluggy.PluginManager = field(default_factory=lambda: _manager(), repr=False)
    _alone: pluggy.PluginManager = field(default_factory=lambda: _manager(), repr=False)
    _loaded: dict[Plugin, object] = field(default_factory=dict, repr=False)
    _reported: set[tuple[Plugin, str]] = field(default_factory=set, repr=False)

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """The loaded plugins; built-in plugins precede installed plugins."""
        return tuple(self._loaded)

    def load(self, plugin: Plugin, find: Callable[[], object]) -> None:
        """Load a plugin, or record why it is broken.

        Args:
            plugin: The identity of the plugin.
            find: Imports and returns the plugin's module, or another object with hooks.
        """
        try:
            module = find()
            cause = _fault(module, self._alone)
            if not cause:
                self._manager.register(module, name=str(plugin))
        except (Exception, SystemExit) as error:
            cause = explain(error)
        if cause:
            self.broken.append(BrokenPlugin(plugin, cause))
        else:
            self._loaded[plugin] = module

    def reject(self, plugin: Plugin, cause: str) -> None:
        """Unload a plugin and record it as broken; its hooks are not called any more."""
        self._manager.unregister(self._loaded.pop(plugin))
        self.broken.append(BrokenPlugin(plugin, cause))

    @contextmanager
    def joined(self, members: Mapping[Plugin, object]) -> Iterator[None]:
        """Pass lifecycle events to `members`, e.g. loggers, inside the context.

        Args:
            members: Objects with methods for lifecycle events, by the identity that messages show.

        Raises:
            PluginError: A member has no method for a lifecycle event, or the name of a method is misspelled.
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
        """Return the results of `hook` in one plugin; empty if the plugin does not implement the hook."""
        own = self._loaded.get(plugin)
        if not any(each.plugin is own for each in getattr(self._manager.hook, hook).get_hookimpls()):
            return []
        others = [module for module in self._loaded.values() if module is not own]
        results: list[Any] = self._manager.subset_hook_caller(hook, others)(**arguments)
        return results

    def culprit(self, error: BaseException) -> Plugin | None:
        """Return the plugin in whose package `error` was raised or passed through; `None` if there is none.

        Built-in plugins do not count. If several packages are on the stack, the innermost package decides.
        """
        packages = {
            _package(module): plugin for plugin, module in self._loaded.items() if not plugin.built_in
        }
        frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
        owners = [packages.get(name.partition(".")[0]) for name in reversed(frames)]
        return next((owner for owner in owners if owner), None)

    def notify(self, event: str, /, **arguments: Any) -> None:
        """Call a lifecycle event of every plugin; an exception is reported once for each plugin and event.

        Args:
            event: Name of the event's hook, e.g. `edanas_run_started`.
            arguments: All arguments of the hook's specification.

        Raises:
            TypeError: `event` is unknown, or `arguments` differ from the specification.
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
    """Load the built-in plugins, then the installed plugins that `EDANAS_PLUGINS` admits.

    Args:
        report: Called with one line for the user when a plugin fails in a lifecycle event; `None`, the
            default, means a warning of the logger `edanas`.

    Example:
        >>> "edanas.exits.criteria" in [plugin.name for plugin in load_plugins().plugins]
        True
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
    """Return an exception as `TypeName: message` on one line."""
    text = visible(" ".join(str(error).split()))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _package(plugin: object) -> str:
    """Return the top-level package of a plugin: of the module itself, or of the object's module."""
    name = plugin.__name__ if inspect.ismodule(plugin) else getattr(plugin, "__module__", "")
    return str(name).partition(".")[0]


def _plugin(point: importlib.metadata.EntryPoint) -> Plugin:
    if point.dist is None:
        return Plugin(point.name, point.name, "")
    return Plugin(point.name, point.dist.name, point.dist.version)


def _admitted(
    points: Sequence[importlib.metadata.EntryPoint], host: PluginHost
) -> list[importlib.metadata.EntryPoint]:
    """Return the entry points that `EDANAS_PLUGINS` admits, by their name or distribution.

    Without the variable, all entry points are admitted. Unknown names are recorded as broken plugins.
    """
    restriction = os.environ.get(RESTRICTION)
    if restriction is None:
        return list(points)
    admitted = [name.strip() for name in restriction.split(",") if name.strip()]
    known = {_normal(name) for point in points for name in (point.name, _plugin(point).owner)}
    for name in admitted:
        if _normal(name) not in known:
            cause = (
                f"{RESTRICTION} names this plugin, but it is not installed."
                f"{near_miss(name, (p.name for p in points))}"
            )
            host.broken.append(BrokenPlugin(Plugin(name, "", ""), cause))
    chosen = {_normal(name) for name in admitted}
    return [point for point in points if chosen & {_normal(point.name), _normal(_plugin(point).owner)}]


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


class _Manager(pluggy.PluginManager):
    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        """Return the options of a hook; other names of a module are not left to the slow search of pluggy."""
        value = vars(plugin).get(name) if inspect.ismodule(plugin) else None
        is_other = value is not None and not (inspect.isroutine(value) and hasattr(value, f"{GROUP}_impl"))
        return None if is_other else super().parse_hookimpl_opts(plugin, name)


def _manager() -> pluggy.PluginManager:
    manager = _Manager(GROUP)
    manager.add_hookspecs(hookspecs)
    return manager


def _fault(module: object, alone: pluggy.PluginManager) -> str:
    """Return the first fault of a plugin's hooks; empty if there is none.

    Pluggy itself accepts a misspelled hook. The manager `alone` has no plugins before and after the check.
    """
    version = getattr(module, "EDANAS_SPEC_VERSION", SPEC_VERSION)
    if version != SPEC_VERSION:
        return f"made for hook specification {version}; this edanas has {SPEC_VERSION}"
    if type(module).__hash__ is None:
        return f"{type_of(module)} cannot be a plugin, since it has no hash; use a module"
    specified = {name for name in vars(hookspecs) if name.startswith(f"{GROUP}_")}
    try:
        alone.register(module)
        marked = {caller.name for caller in alone.get_hookcallers(module) or []}
    finally:
        if alone.is_registered(module):
            alone.unregister(module)
    misspelled = [name for name in sorted(marked) if name not in specified]
    if misspelled:
        return f"unknown hook '{misspelled[0]}'.{near_miss(misspelled[0], specified)}"
    unmarked = sorted(name for name in specified - marked if callable(getattr(module, name, None)))
    if unmarked:
        return f"'{unmarked[0]}' is not marked with @edanas.hookimpl"
    return "" if marked else "no function is marked with @edanas.hookimpl"
