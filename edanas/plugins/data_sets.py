"""Data sets by name or path."""

from pathlib import Path

from edanas.core.errors import ConfigError, near_miss
from edanas.core.settings import Component
from edanas.plugins.registry import Registry

FOLDER = "folder"
"""The data set for paths."""


def data_component(registry: Registry, data: Component) -> Component:
    """Return `data` as a registered data set; a path becomes the set `folder`.

    Raises:
        ConfigError: It is neither a registered name nor an existing path.
    """
    if data.name in registry.names("data set"):
        return data
    path = Path(data.name).expanduser()
    if path.exists() or len(path.parts) > 1:
        return Component(FOLDER, {"path": str(path), **data.options})
    hint = near_miss(data.name, registry.names("data set"))
    raise ConfigError(f"data: '{data.name}' is neither a data set nor a folder that exists.{hint}")
