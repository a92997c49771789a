"""The part that the suites of evaluations and loggers share: their files in a run's folder."""

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
"""Files of the run itself, and one of the user."""


def check_run_files(plugin: Evaluator | Logger, folder: Path) -> None:
    """Check that `files` matches all files that the plugin left in `folder`, and no others.

    Args:
        plugin: An evaluation or a logger that has worked.
        folder: The run's folder.

    Raises:
        ConformanceError: A file of the plugin is not matched, or a file of another is.
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
        f"`files` matches {', '.join(foreign)}, which are not its own",
    )
