"""The files that evaluations and loggers leave in a run folder, as the archive of the run notes them."""

from collections.abc import Iterable

from edanas.core.archive import Archive
from edanas.core.contracts import Evaluator, Logger
from edanas.core.runfolder import left_files

_KEY = "files"
"""The archive's key for the patterns."""

_BEFORE_NOTES = {
    "evaluation": ["supernet.pt", "supernet.partial", "supernet.pt.partial"],
    "loggers": ["tensorboard/events.out.tfevents.*", "mlflow.json"],
}
"""The patterns for an archive of a version that noted none."""


def note_plugin_files(archive: Archive, evaluator: Evaluator, loggers: Iterable[Logger]) -> None:
    """Note the patterns of the files of evaluation and loggers, so that they are known without the plugins.

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
    """Return the patterns of the files of `evaluation` and `loggers`; pass `None` for a damaged archive."""
    return _BEFORE_NOTES if archive is None else archive.meta().get(_KEY, _BEFORE_NOTES)
