"""What can go wrong and be put right by the user, and the near-miss helper.

Every error that a user can cause is an `EdanasError`: the command line prints its message, without a
traceback, and leaves with its `exit_code`.
"""

import errno
from collections.abc import Iterable
from difflib import get_close_matches

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where there is no room: on the disk, in a quota, or under a limit on a file's size."""


class EdanasError(Exception):
    """Something a user can put right; its text says what was found, where, and what is allowed."""

    exit_code = 2


class ConfigError(EdanasError):
    """A setting is unknown, of the wrong type, or out of range; the text starts with the setting's path."""


class PluginError(EdanasError):
    """A plugin is broken, claims a name that is taken, or was asked for and does not exist."""


class DataError(EdanasError):
    """Images cannot be read, or are too few, or hold too few classes."""


class AbsentDataError(DataError):
    """A known data set that can be fetched is not there, or not whole.

    Args:
        text: What is missing, and how to get it.
        channels: What the images have, 1 or 3, once they are there.
        classes: How many.
    """

    def __init__(self, text: str, channels: int, classes: int) -> None:
        super().__init__(text)
        self.channels, self.classes = channels, classes


class WeightsError(EdanasError):
    """A weights file cannot be had, is damaged, or belongs to another network."""


class RunError(EdanasError):
    """A run's folder cannot be used: held by another process, made with other settings, or not writable."""


class ExportError(EdanasError):
    """A network cannot be put into a form, what was written is damaged, or it does not do what it should."""


class TableError(EdanasError):
    """A table of exit profiles is none, is damaged or of another version, or cannot be built as asked."""


class CostError(EdanasError):
    """The cost of a network cannot be counted (and is therefore not zero)."""


class CandidateError(EdanasError):
    """A candidate cannot be built or evaluated; the engine records it and goes on."""


class InfeasibleError(EdanasError):
    """No candidate keeps the constraints; the text says what came nearest."""


class Interrupted(EdanasError):  # noqa: N818 - not an error of anyone
    """The user stopped a run; what was evaluated is kept, and the text says how to go on."""

    exit_code = 130


def near_miss(name: str, allowed: Iterable[str]) -> str:
    """The end of an error message: what is near `name`, and all that is allowed."""
    names = sorted(allowed)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"{hint} Allowed: {', '.join(names) or 'nothing'}."


def unknown(what: str, name: str, allowed: Iterable[str]) -> str:
    """One sentence for a name that is not there, e.g. `unknown("bundle", "mbv3", ...)`."""
    return f"Unknown {what} '{name}'.{near_miss(name, allowed)}"
