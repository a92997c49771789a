"""Packages that only some installations have."""

import importlib
from typing import Any

from edanas.core.errors import ConfigError


def needed(logger: str, module: str) -> Any:
    """The module that a logger writes with.

    Raises:
        ConfigError: It is not installed, or does not load.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"loggers: '{logger}' needs a package that cannot be imported ({error}); install it with "
            f"`pip install 'edanas[{logger}]'`, or leave the logger out"
        ) from error
