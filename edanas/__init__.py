"""AutoML for early-exit neural networks, extensible by plugins."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edanas.core import moved_modules
from edanas.core.version import VERSION

if TYPE_CHECKING:
    from edanas.api import load, search
    from edanas.benchmark.bench import bench
    from edanas.core.markers import hookimpl
    from edanas.estimator import EarlyExitClassifier
    from edanas.model.exporting import export
    from edanas.model.prediction import stream
    from edanas.model.retuning import retune
    from edanas.model.tuning import tune
    from edanas.report.comparison import compare
    from edanas.report.result import Result

__all__ = [
    "search",
    "load",
    "stream",
    "tune",
    "retune",
    "export",
    "bench",
    "compare",
    "Result",
    "EarlyExitClassifier",
    "hookimpl",
]
__version__ = VERSION

moved_modules.install()


_HOMES = {
    "search": "edanas.api",
    "load": "edanas.api",
    "stream": "edanas.model.prediction",
    "tune": "edanas.model.tuning",
    "retune": "edanas.model.retuning",
    "export": "edanas.model.exporting",
    "bench": "edanas.benchmark.bench",
    "compare": "edanas.report.comparison",
    "Result": "edanas.report.result",
    "EarlyExitClassifier": "edanas.estimator",
    "hookimpl": "edanas.core.markers",
}
"""The module that defines each public name.

A module is imported when its name is first used, so that `import edanas` is quick.
"""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'edanas' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
