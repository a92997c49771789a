"""edanas: plugin-based AutoML for early-exit neural networks."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from edanas.core.hookspecs import hookimpl
from edanas.core.version import VERSION

if TYPE_CHECKING:
    from edanas.api import load, search
    from edanas.report.result import Result

__all__ = ["search", "load", "Result", "hookimpl"]
__version__ = VERSION


def __getattr__(name: str) -> Any:
    # Plugins import `hookimpl` from here; what needs everything else is loaded when it is asked for.
    if name == "load":
        from edanas.api import load

        return load
    if name == "Result":
        from edanas.report.result import Result

        return Result
    raise AttributeError(f"module 'edanas' has no attribute '{name}'")


class _Package(ModuleType):
    """Importing the subpackage `search` binds it to the function's name here; the function keeps the name."""

    @property
    def search(self) -> Any:
        from edanas.api import search

        return search

    @search.setter
    def search(self, package: ModuleType) -> None:
        pass


sys.modules[__name__].__class__ = _Package
