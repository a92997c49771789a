"""Old import paths: they work as before, with a warning that gives the new path."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from edanas.core.deprecation import Deprecation

SINCE, REMOVED_IN = "0.1", "0.3"
"""The version that deprecates the old paths, and the first version without them."""

MOVED_MODULES = {
    "edanas.benching.bench": "edanas.benchmark.bench",
    "edanas.benching.results": "edanas.benchmark.results",
    "edanas.core.pareto": "edanas.numerics.pareto",
    "edanas.data.suiting": "edanas.data.auto_preset",
    "edanas.deploy.checking": "edanas.deploy.export_check",
    "edanas.deploy.measuring": "edanas.deploy.timing",
    "edanas.exits.eenn": "edanas.model.eenn",
    "edanas.exits.expectations": "edanas.thresholds.optimism",
    "edanas.exits.holding": "edanas.thresholds.stream_budget",
    "edanas.exporting": "edanas.model.exporting",
    "edanas.prediction": "edanas.model.prediction",
    "edanas.retuning": "edanas.model.retuning",
    "edanas.testing.toynets": "edanas.testing.toy_networks",
    "edanas.tuning": "edanas.model.tuning",
}
"""New paths of modules by old path: the old paths that the documentation and the examples once named."""

MOVED_NAMES = {
    "edanas.benching.results": {"Benched": "edanas.benchmark.results.NetworkBench"},
    "edanas.core.costs": {
        "count_macs": "edanas.core.tracing.count_macs",
        "measure": "edanas.core.tracing.measure",
        "trace": "edanas.core.tracing.trace",
        "exit_points": "edanas.core.tracing.exit_points",
    },
    "edanas.core.pareto": {"minimised": "edanas.core.objective_values.minimised"},
    "edanas.data.suiting": {
        "shares": "edanas.data.auto_preset.split_shares",
        "suited": "edanas.data.auto_preset.auto_settings",
    },
}
"""New paths of names that left their module or are called otherwise, by old module and old name."""


class MovedModules(MetaPathFinder, Loader):
    """Finds the modules of `MOVED_MODULES` by their old paths, after all other finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load a moved module, or a package that only moved modules were in; else `None`."""
        is_package = any(old.startswith(f"{fullname}.") for old in MOVED_MODULES)
        if is_package or fullname in MOVED_MODULES:
            return ModuleSpec(fullname, self, is_package=is_package)
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module with the objects at the new path, and warn; an old package stays empty."""
        if new := MOVED_MODULES.get(module.__name__):
            renamed = MOVED_NAMES.get(module.__name__, {})
            Deprecation(SINCE, REMOVED_IN, " and ".join([new, *renamed.values()])).warn(module.__name__)
            objects = vars(import_module(new))
            vars(module).update({name: objects[name] for name in objects if not name.startswith("__")})
            vars(module).update({name: _object_at(path) for name, path in renamed.items()})


def install() -> None:
    """Make the old paths importable in this process."""
    sys.meta_path.append(MovedModules())


def moved_name(module: str, name: str) -> Any:
    """Return the object that left a module, with a warning; a module's `__getattr__` calls it.

    Raises:
        AttributeError: The name is not in `MOVED_NAMES`.
    """
    new = MOVED_NAMES[module].get(name)
    if new is None:
        raise AttributeError(f"module '{module}' has no attribute '{name}'")
    Deprecation(SINCE, REMOVED_IN, new).warn(f"{module}.{name}", stacklevel=4)
    return _object_at(new)


def _object_at(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)
