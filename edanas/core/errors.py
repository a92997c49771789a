"""Errors that a user can cause and correct, and suggestions of similar names.

Every error class derives from `EdanasError`. The command line prints the message without a traceback, and
exits with the error's `exit_code`.
"""

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of the operating system: full disk, full quota, and file too large."""


class EdanasError(Exception):
    """An error that a user can correct; the message names place, fault and allowed values."""

    exit_code = 2
    """Exit status of the command line."""


class ConfigError(EdanasError):
    """A setting is unknown, of the wrong type, or out of range; the message begins with its path."""


class PluginError(EdanasError):
    """A plugin is broken, claims a name of another plugin, or is requested but missing."""


class DataError(EdanasError):
    """Images are unreadable, or there are too few images or classes."""


class AbsentDataError(DataError):
    """A known data set that can be downloaded is missing or incomplete.

    Args:
        text: The message: the missing part of the data set, and the way to get it.
        channels: Number of channels of the images, 1 or 3.
        classes: Number of classes.
    """

    def __init__(self, text: str, channels: int, classes: int) -> None:
        super().__init__(text)
        self.channels, self.classes = channels, classes


class WeightsError(EdanasError):
    """A weights file is unavailable or damaged, or belongs to another network."""


class TrainingError(EdanasError):
    """A training has diverged: its loss, its gradient or its weights are not finite."""


class AbsentWeightsError(WeightsError):
    """Weights that can be downloaded are missing, and a download is not allowed."""


class RunError(EdanasError):
    """A run's folder is unusable: locked by another process, made with other settings, or not writable."""


class ExportError(EdanasError):
    """A network cannot be exported, or exported files are damaged or predict other classes."""


class TableError(EdanasError):
    """A file is not a valid table of exit profiles of this version, or a table cannot be built."""


class CostError(EdanasError):
    """The cost of a network cannot be counted."""


class CandidateError(EdanasError):
    """A candidate cannot be built or evaluated; the engine archives the failure and continues."""


class InfeasibleError(EdanasError):
    """No candidate keeps the constraints; the message names the candidate with the smallest violation.

    Args:
        message: The message.
        nearest: The candidate with the smallest violation; `None`, the default, if it is unknown.
    """

    def __init__(self, message: str, nearest: Any = None) -> None:
        super().__init__(message)
        self.nearest = nearest


class Interrupted(EdanasError):  # noqa: N818 - a wish of the user, not an error
    """The user stopped a run; its evaluations are kept, and the message describes how to resume the run."""

    exit_code = 130
    """Exit status of the command line: 128 plus the number of the signal SIGINT."""


def type_of(value: object) -> str:
    """Return the name of an object's type with its article, for messages.

    Example:
        >>> type_of(5), type_of([])
        ('an int', 'a list')
    """
    name = type(value).__name__
    return f"{'an' if name.lower().startswith(('a', 'e', 'i', 'o', 'nd')) else 'a'} {name}"


def near_miss(name: str, allowed: Iterable[str]) -> str:
    """Return the end of an error message: the most similar allowed name, if any, and all allowed names.

    Example:
        >>> near_miss("acuracy", ["accuracy", "params"])
        " Did you mean 'accuracy'? Allowed: accuracy, params."
    """
    names = sorted(allowed)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{hint} Allowed: {', '.join(names) or 'nothing'}."


def unknown(kind: str, name: str, allowed: Iterable[str]) -> str:
    """Return the message for an unknown name.

    Args:
        kind: The kind of the named thing, e.g. `bundle`.
        name: The unknown name.
        allowed: All known names.

    Example:
        >>> unknown("bundle", "x", ["mbv3-sm"])
        "Unknown bundle 'x'. Allowed: mbv3-sm."
    """
    return f"Unknown {kind} '{name}'.{near_miss(name, allowed)}"
