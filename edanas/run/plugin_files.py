"""The files of evaluations and loggers in a run folder, whose patterns the archive of the run stores."""

from collections.abc import Iterable

from edanas.core.archive import Archive
from edanas.core.contracts import Evaluator, Logger
from edanas.core.runfolder import left_files

_KEY = "files"
"""The key in the archive for the patterns."""

_BEFORE_NOTES = {
    "evaluation": ["supernet.pt", "supernet.partial", "supernet.pt.partial"],
    "loggers": ["tensorboard/events.out.tfevents.*", "mlflow.json"],
}
"""The patterns for an archive of an old version of edanas, which stored no patterns."""


def note_plugin_files(archive: Archive, evaluator: Evaluator, loggers: Iterable[Logger]) -> None:
    """Store the glob patterns of the files that the evaluation and the loggers write.

    With the stored patterns, the files can be deleted when the plugins are not installed any more.

    Raises:
        PluginError: A pattern leads out of the run folder.
    """
    patterns = {
        "evaluation": left_files(evaluator),
        "loggers": [pattern for logger in loggers for pattern in left_files(logger)],
    }
    stored = archive.meta().get(_KEY) or (_BEFORE_NOTES if archive.count() else dict.fromkeys(patterns, ()))
    archive.set_meta(_KEY, {owner: sorted({*stored[owner], *patterns[owner]}) for owner in patterns})


def plugin_files(archive: Archive | None) -> dict[str, list[str]]:
    """Return the stored glob patterns by owner, `evaluation` or `loggers`.

    Args:
        archive: The archive of a run; `None` if it is damaged, for the patterns of old versions.
    """
    return _BEFORE_NOTES if archive is None else archive.meta().get(_KEY, _BEFORE_NOTES)
