"""edanas: plugin-based AutoML for early-exit neural networks."""

from typing import TYPE_CHECKING, Any

from edanas.core.hookspecs import hookimpl
from edanas.core.version import VERSION

if TYPE_CHECKING:
    from edanas.api import load, search
    from edanas.benching.bench import bench
    from edanas.exporting import export
    from edanas.prediction import stream
    from edanas.report.comparison import compare
    from edanas.report.result import Result
    from edanas.retuning import retune
    from edanas.tuning import tune

__all__ = ["search", "load", "stream", "tune", "retune", "export", "bench", "compare", "Result", "hookimpl"]
__version__ = VERSION


def __getattr__(name: str) -> Any:
    # Plugins import `hookimpl` from here; what needs everything else is loaded when it is asked for.
    if name in ("load", "search"):
        from edanas import api

        return getattr(api, name)
    if name == "stream":
        from edanas.prediction import stream

        return stream
    if name == "tune":
        from edanas.tuning import tune

        return tune
    if name == "retune":
        from edanas.retuning import retune

        return retune
    if name == "export":
        from edanas.exporting import export

        return export
    if name == "compare":
        from edanas.report.comparison import compare

        return compare
    if name == "bench":
        from edanas.benching.bench import bench

        return bench
    if name == "Result":
        from edanas.report.result import Result

        return Result
    raise AttributeError(f"module 'edanas' has no attribute '{name}'")
