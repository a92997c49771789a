"""The old import path of `ConsoleProgress`, which is now in `edanas.run.console`."""

from edanas.run.console import ConsoleProgress

__all__ = ["ConsoleProgress"]
