"""Settings of the run to which a network's file belongs."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.config import read_toml, resolve
from edanas.core.errors import ConfigError, EdanasError
from edanas.core.records import parse
from edanas.core.runfolder import CONFIG, ENVIRONMENT, MODELS, PLACE
from edanas.core.settings import Component, Settings
from edanas.core.types import ImageSet
from edanas.data.splits import digest_of

TRAIN = "train"
"""The key in the archive for the digest of the train part's images and labels."""


def has_other_images(model: Path, train: ImageSet) -> bool:
    """Return whether the images of a run's train part differ from those of the run, e.g. after an addition.

    The parts of the data are then drawn otherwise. The result is false if the run has recorded no digest.

    Args:
        model: The network's file in the folder of the run.
        train: The train part, drawn anew from the data of the run.
    """
    try:
        with Archive(model.absolute().parent.parent, read_only=True) as archive:
            recorded = archive.meta().get(TRAIN)
    except EdanasError:
        return False  # the archive was left behind, or is damaged
    return recorded not in (None, digest_of(train))


def run_settings(model: Path | None) -> Settings | None:
    """Return the settings of the run whose folder `models` has the network's file.

    If the folder of the run was moved together with the data, the settings have the present path of the data.

    Returns:
        The settings, or `None` if the file is not in a run folder.

    Raises:
        ConfigError: The settings cannot be read.

    Example:
        >>> run_settings(Path("network.json")) is None
        True
    """
    if model is None or model.absolute().parent.name != MODELS:
        return None
    run = model.absolute().parent.parent
    config = run / CONFIG
    # A file of this name alone may belong to another program.
    if not config.is_file() or not any((run / name).is_file() for name in (ARCHIVE, ENVIRONMENT)):
        return None
    try:
        return _with_moved_data(run, resolve([(str(config), read_toml(config))]))
    except ConfigError:
        raise
    except EdanasError as error:
        raise ConfigError(f"{config}: cannot be read: {error}") from error


def _with_moved_data(run: Path, settings: Settings) -> Settings:
    """Return the settings of a run with the present path of its data, if run and data were moved together."""
    try:
        first_place = parse((run / ENVIRONMENT).read_bytes())[PLACE]
    except (OSError, ValueError, LookupError, TypeError):
        return settings  # the run is of an older version

    def present(text: Any) -> Any:
        if not isinstance(text, str) or not Path(text).is_absolute() or Path(text).exists():
            return text
        moved = Path(os.path.normpath(run / os.path.relpath(text, first_place)))
        return str(moved) if moved.exists() else text

    data = settings.data
    options = {name: present(value) for name, value in data.options.items()}
    return replace(settings, data=Component(present(data.name), options))
