"""Choice of a data set by its name or by the path of a folder or file."""

from itertools import islice
from pathlib import Path

from edanas.core.errors import ConfigError, near_miss
from edanas.core.machine import user_path
from edanas.core.settings import Component
from edanas.plugins.registry import Registry

FOLDER = "folder"
"""Name of the data set that reads a folder of images."""


TABLE, NPZ, PARQUET = "csv", "npz", "parquet"
"""Names of the data sets that read a table of paths, a file of NumPy, and parquet files."""

SOUND = "sound"
"""Name of the data set that reads a folder of sound files."""

_SOUND_SUFFIXES = {".wav", ".flac", ".ogg"}

_INSPECTED = 200
"""Number of entries of a folder that are inspected for sound."""

_HEAD = 2**16
"""Number of bytes of a table that are inspected for sound."""

_BY_SUFFIX = {".npz": NPZ, ".csv": TABLE, ".tsv": TABLE, ".parquet": PARQUET}


def kind_of(path: Path) -> str:
    """Return the name of the data set that reads a path: by the suffix of a file, or the files in a folder.

    Example:
        >>> kind_of(Path("digits.npz")), kind_of(Path("photos"))
        ('npz', 'folder')
    """
    if path.is_dir() and (any(path.glob("*.parquet")) or any(path.glob("data/*.parquet"))):
        return PARQUET
    if path.is_dir() and any(_holds_sound(path, depth) for depth in ("*/*", "*/*/*")):
        return SOUND
    if path.suffix.lower() in (".csv", ".tsv") and path.is_file() and _names_sound(path):
        return SOUND
    return FOLDER if path.is_dir() else _BY_SUFFIX.get(path.suffix.lower(), FOLDER)


def _holds_sound(path: Path, pattern: str) -> bool:
    return any(each.suffix.lower() in _SOUND_SUFFIXES for each in islice(path.glob(pattern), _INSPECTED))


def _names_sound(path: Path) -> bool:
    """Return True if one of the first lines of a table names a sound file."""
    with path.open("rb") as file:
        text = file.read(_HEAD).decode(errors="replace").lower()
    return any(f"{suffix}{end}" in text for suffix in _SOUND_SUFFIXES for end in ',;\t"\r\n')


def data_component(registry: Registry, data: Component) -> Component:
    """Return the component of a registered data set; a path becomes the option `path` of `kind_of(path)`.

    Raises:
        ConfigError: The name of `data` has one part, and is neither a registered name nor an existing path.
    """
    if data.name in registry.names("data set"):
        return data
    path = user_path(data.name)
    if path.exists() or len(path.parts) > 1:
        return Component(kind_of(path), {"path": str(path), **data.options})
    hint = near_miss(data.name, registry.names("data set"))
    raise ConfigError(f"data: '{data.name}' is neither a data set nor a folder or file that exists.{hint}")
