"""Choice of a data set by its name or by the path of a folder."""

from pathlib import Path

from edanas.core.errors import ConfigError, near_miss
from edanas.core.settings import Component
from edanas.plugins.registry import Registry

FOLDER = "folder"
"""Name of the data set that reads a folder of images."""


def data_component(registry: Registry, data: Component) -> Component:
    """Return the component of a registered data set; for a path, it is `folder` with the option `path`.

    Raises:
        ConfigError: The name of `data` has one part, and is neither a registered name nor an existing path.
    """
    if data.name in registry.names("data set"):
        return data
    path = Path(data.name).expanduser()
    if path.exists() or len(path.parts) > 1:
        return Component(FOLDER, {"path": str(path), **data.options})
    hint = near_miss(data.name, registry.names("data set"))
    raise ConfigError(f"data: '{data.name}' is neither a data set nor a folder that exists.{hint}")
