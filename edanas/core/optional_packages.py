"""Import of packages that only some installations have."""

import importlib
from typing import Any

from edanas.core.errors import ConfigError


class MissingExtraError(ConfigError):
    """A component needs a package that is not installed."""


def import_optional(setting: str, name: str, extra: str, *modules: str) -> Any:
    """Import the modules that a component needs, and return the last module.

    Args:
        setting: The setting that names the component, `exports` or `loggers`, for messages.
        name: The component's registered name.
        extra: Name of the optional dependencies of edanas that include the packages, e.g. `onnx`.
        modules: Dotted names of the modules, one or more.

    Raises:
        MissingExtraError: A module is not installed, or its import fails.

    Example:
        >>> import_optional("exports", "onnx", "onnx", "json").dumps([1])
        '[1]'
    """
    try:
        return [importlib.import_module(module) for module in modules][-1]
    except ImportError as error:
        raise MissingExtraError(
            f"{setting}: '{name}' needs a package that cannot be imported ({error}); install it with "
            f"`pip install 'edanas[{extra}]'`, or leave it out"
        ) from error
