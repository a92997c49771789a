"""A check of files in the run folder, for the suites of evaluations and loggers."""

import tempfile
from pathlib import Path

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.contracts import Evaluator, Logger
from edanas.core.runfolder import CONFIG, ENVIRONMENT, MODELS, left_files, matching_files
from edanas.evaluation.measured_times import FILE as TIMES
from edanas.testing.conformance import reported_call, require

_OTHERS = (
    ARCHIVE,
    TIMES,
    CONFIG,
    ENVIRONMENT,
    "result.json",
    "log.jsonl",
    f"{MODELS}/eenn-1.json",
    "own.txt",
)
"""Names of files in a run folder that belong to the run or to the user, not to a plugin."""


def check_run_files(plugin: Evaluator | Logger, folder: Path) -> None:
    """Check that `files` of a plugin matches all files that the plugin left, and no other file.

    Args:
        plugin: An evaluation or a logger that has run in the folder.
        folder: The run folder.

    Raises:
        ConformanceError: `files` does not match a file of the plugin, or matches a file of the run or the
            user.
    """
    with reported_call(plugin, "files"):
        patterns = left_files(plugin)
    listed = matching_files(folder, patterns)
    left = [path for path in folder.rglob("*") if path.is_file() and path.name not in _OTHERS]
    unlisted = sorted(str(path.relative_to(folder)) for path in left if path not in listed)
    require(
        plugin,
        not unlisted,
        f"leaves {', '.join(unlisted)}, which `files` does not match",
    )
    with tempfile.TemporaryDirectory() as name:
        run = Path(name)
        for other in _OTHERS:
            (run / other).parent.mkdir(exist_ok=True)
            (run / other).touch()
        foreign = sorted(str(path.relative_to(run)) for path in matching_files(run, patterns))
    require(
        plugin,
        not foreign,
        f"`files` matches {', '.join(foreign)}; allowed: files that the plugin itself writes",
    )
