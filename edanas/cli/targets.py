"""Checks of output files, which run before a command computes anything."""

from pathlib import Path

from edanas.core.errors import ConfigError, RunError
from edanas.report.plots import ENDINGS


def check_plot(path: Path | None) -> None:
    """Check that the plot file of `--plot` can be written.

    Args:
        path: The plot file; `None` if no plot is to be written.

    Raises:
        ConfigError: `path` does not end in .svg, .png or .pdf.
        RunError: `path` is a folder, or its folder does not exist.
    """
    if path is not None and path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--plot: '{path.name}' ends in '{path.suffix}'; allowed: {', '.join(ENDINGS)}")
    check_file("--plot", path)


def check_file(flag: str, path: Path | None) -> None:
    """Check that an output file can be written.

    Args:
        flag: The flag of the command line that sets `path`, for the error message.
        path: The output file; `None` if no file is to be written.

    Raises:
        RunError: `path` is a folder, or its folder does not exist.
    """
    if path is None:
        return
    if path.is_dir():
        raise RunError(f"{flag}: {path} is a folder; expected the name of a file to write")
    if not path.absolute().parent.is_dir():
        raise RunError(f"{flag}: {path.absolute().parent}: no such folder")
