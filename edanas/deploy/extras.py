"""Packages that only some installations have."""

import importlib

from edanas.core.errors import ConfigError


class MissingExtraError(ConfigError):
    """A form needs a package that is not installed."""


def needed(exporter: str, extra: str, *modules: str) -> None:
    """See that the modules that an exporter writes or runs with can be imported.

    Raises:
        MissingExtraError: One is not installed, or does not load.
    """
    try:
        for module in modules:
            importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"exports: '{exporter}' needs a package that cannot be imported ({error}); install it with "
            f"`pip install 'edanas[{extra}]'`, or leave the exporter out"
        ) from error
