"""edanas: plugin-based AutoML for early-exit neural networks."""

from edanas.core.hookspecs import hookimpl

__all__ = ["hookimpl"]
__version__ = "0.1.0"
