"""Checks of the files that a command is to write, before anything is computed."""

from pathlib import Path

from edanas.core.errors import ConfigError, RunError
from edanas.report.plots import ENDINGS


def check_plot(path: Path | None) -> None:
    """Refuse a `--plot` that cannot be written; `None` is no plot.

    Raises:
        ConfigError: The ending is not that of a plot.
        RunError: `path` is a folder, or its folder does not exist.
    """
    if path is not None and path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--plot: '{path.name}' ends in '{path.suffix}'; allowed: {', '.join(ENDINGS)}")
    check_file("--plot", path)


def check_file(flag: str, path: Path | None) -> None:
    """Refuse a file that cannot be written; `None` is no file.

    Args:
        flag: The flag that names the file, for the message.
        path: The file.

    Raises:
        RunError: `path` is a folder, or its folder does not exist.
    """
    if path is None:
        return
    if path.is_dir():
        raise RunError(f"{flag}: {path} is a folder; expected the name of a file to write")
    if not path.absolute().parent.is_dir():
        raise RunError(f"{flag}: {path.absolute().parent}: no such folder")
