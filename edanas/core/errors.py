"""Errors that a user can cause and correct, and the near-miss helper.

Each of them is an `EdanasError`: the command line prints its message, without a traceback, and exits with its
`exit_code`.
"""

import errno
from collections.abc import Iterable
from difflib import get_close_matches

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Codes of the operating system for a full disk, a full quota, and a limit on the size of a file."""


class EdanasError(Exception):
    """An error that a user can correct; its text names the place, the value there and the allowed ones."""

    exit_code = 2


class ConfigError(EdanasError):
    """A setting is unknown, of the wrong type, or out of range; the text starts with the setting's path."""


class PluginError(EdanasError):
    """A plugin is broken, claims a name of another one, or is requested and does not exist."""


class DataError(EdanasError):
    """Images are unreadable, too few, or of too few classes."""


class AbsentDataError(DataError):
    """A known data set that can be downloaded is missing or incomplete.

    Args:
        text: The missing part, and the way to get it.
        channels: Channels of its images, 1 or 3.
        classes: Number of its classes.
    """

    def __init__(self, text: str, channels: int, classes: int) -> None:
        super().__init__(text)
        self.channels, self.classes = channels, classes


class WeightsError(EdanasError):
    """A weights file is unavailable, damaged, or of another network."""


class RunError(EdanasError):
    """A run's folder is unusable: locked by another process, of other settings, or not writable."""


class ExportError(EdanasError):
    """A network cannot be exported, or the exported files are damaged or give other predictions."""


class TableError(EdanasError):
    """A table of exit profiles is damaged, of another version or no table, or it cannot be built."""


class CostError(EdanasError):
    """The cost of a network cannot be counted."""


class CandidateError(EdanasError):
    """A candidate cannot be built or evaluated; the engine records it and goes on."""


class InfeasibleError(EdanasError):
    """No candidate keeps the constraints; the text names the nearest one."""


class Interrupted(EdanasError):  # noqa: N818 - not an error of anyone
    """The user stopped a run; its evaluations are kept, and the text says how to resume it."""

    exit_code = 130


def near_miss(name: str, allowed: Iterable[str]) -> str:
    """Return the end of an error message: the nearest allowed name, and all allowed names.

    Example:
        >>> near_miss("acuracy", ["accuracy", "params"])
        " Did you mean 'accuracy'? Allowed: accuracy, params."
    """
    names = sorted(allowed)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{hint} Allowed: {', '.join(names) or 'nothing'}."


def unknown(what: str, name: str, allowed: Iterable[str]) -> str:
    """Return a message for an unknown name.

    Example:
        >>> unknown("bundle", "x", ["mbv3-sm"])
        "Unknown bundle 'x'. Allowed: mbv3-sm."
    """
    return f"Unknown {what} '{name}'.{near_miss(name, allowed)}"
