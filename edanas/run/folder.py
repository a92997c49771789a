"""The run folder: the names of its files, and the opening and the discarding of a run."""

import contextlib
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any

from edanas.core.archive import FILE as ARCHIVE
from edanas.core.archive import Archive
from edanas.core.config import resolve, to_toml
from edanas.core.contracts import Evaluator
from edanas.core.errors import EdanasError, RunError
from edanas.core.records import checksum, parse, sealed_text, unsealed
from edanas.core.runfolder import (
    CONFIG,
    ENVIRONMENT,
    MODELS,
    PLACE,
    left_files,
    matching_files,
    partial_files,
    replace_file,
)
from edanas.core.settings import Settings
from edanas.evaluation.examples import EARLY, EXAMPLES, LATE, WRONG
from edanas.evaluation.measured_times import FILE as TIMES
from edanas.report.history import LOG
from edanas.report.result import FILE as RESULT
from edanas.report.result import Result
from edanas.report.writing import FURTHER
from edanas.run.binding import bind_settings, check_settings
from edanas.run.paths import relocated
from edanas.run.plugin_files import plugin_files
from edanas.run.provenance import environment
from edanas.run.time_plan import FILE as PLAN

DEFAULT_PLACE = Path("edanas-runs")
"""The folder in which run folders are made by default."""

SECONDS = "seconds.json"
"""The name of the file with the duration of a run, over all calls."""

_FILES = (
    TIMES,
    PLAN,
    RESULT,
    LOG,
    CONFIG,
    ENVIRONMENT,
    SECONDS,
    "pareto.csv",
    "pareto.svg",
    "pareto.png",
    *FURTHER.values(),
    "report.html",
)
"""The names of the files of a run, besides the archive."""
_PATTERNS = (
    f"{TIMES}.lock",
    *(f"{name}.partial" for name in _FILES),
    f"{MODELS}/eenn-*",
    f"{MODELS}/*.row.json",
    f"{MODELS}/plain-*",
    f"{MODELS}/*.partial",
    f"{MODELS}/.*.partial",
    *(f"{EXAMPLES}/*-{kind}.*" for kind in (EARLY, LATE, WRONG)),
)
"""Glob patterns of the other files of a run; files of the user in the same folders do not match them."""


def new_folder(settings: Settings) -> Path:
    """Return the path of a new folder in `edanas-runs/`, named after the bundle, the seed and the time."""
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    stem = f"{settings.plugin}-seed{settings.seed}-{stamp}"
    return next(
        path
        for number in range(1, 1000)
        if not (path := DEFAULT_PLACE / (stem if number == 1 else f"{stem}-{number}")).exists()
    )


class RunFolder:
    """The folder of one run.

    Args:
        path: The folder. Methods that write need the caller to hold the `RunLock` of the folder.
        settings: The settings of the run that starts or resumes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as path:
        ...     folder = RunFolder(Path(path), Settings())
        ...     folder.has_run(), folder.is_finished()
        (False, False)
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path, self.settings = path, settings

    def has_run(self) -> bool:
        """Return whether the folder holds a run, unfinished or finished."""
        return (self.path / ARCHIVE).exists()

    def is_finished(self, say: Callable[[str], None] = lambda _: None) -> bool:
        """Return whether the folder holds the result of a run with the same settings, budgets included.

        Args:
            say: Called with a sentence if the result is damaged; by default, the sentence is dropped.
        """
        if not (self.path / RESULT).exists():
            return False
        try:
            older = resolve([("", Result.read(self.path).settings)])
        except EdanasError as error:
            say(f"{str(error).partition(';')[0]}; the file is written again from the archive")
            return False
        return relocated(older, self.settings) == self.settings

    def discard(self) -> None:
        """Delete the files of the run and no other files; do nothing if the folder holds no run."""
        if not self.has_run():
            return
        patterns = (*_FILES, *_PATTERNS, *self._plugin_patterns())
        for path in matching_files(self.path, patterns):
            path.unlink(missing_ok=True)
        parents = {parent for pattern in patterns for parent in PurePath(pattern).parents if parent.parts}
        folders = [path for parent in parents for path in self.path.glob(str(parent)) if path.is_dir()]
        for path in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):  # the folder holds files of the user
                path.rmdir()
        # The archive is deleted last, because it shows that the other files belong to a run.
        for name in (f"{ARCHIVE}-wal", f"{ARCHIVE}-shm", ARCHIVE):
            (self.path / name).unlink(missing_ok=True)

    def _plugin_patterns(self) -> list[str]:
        try:
            with Archive(self.path, read_only=True) as archive:
                patterns = plugin_files(archive)
        except EdanasError:
            patterns = plugin_files(None)
        return [*patterns["evaluation"], *patterns["loggers"]]

    def tidy(self) -> None:
        """Delete the temporary files of killed processes."""
        for folder in (self.path, self.path / MODELS, self.path / EXAMPLES):
            for path in partial_files(folder):
                path.unlink(missing_ok=True)

    def open_archive(self, evaluator: Evaluator | None = None) -> Archive:
        """Open or create the archive, and check that it belongs to a run with the same settings.

        Args:
            evaluator: The evaluation of a new run: a folder without a run must not hold files of this
                evaluation. `None` to skip this check.

        Raises:
            RunError: The folder holds a run with other settings, or files that a run would overwrite.
        """
        self._check_foreign_files(evaluator)
        archive = Archive(self.path)
        try:
            bind_settings(self.path, self.settings, archive)
        except BaseException:
            archive.close()
            raise
        return archive

    def read_seconds(self) -> float:
        """Return the duration of the earlier calls of the run in seconds; 0 if none is recorded.

        Raises:
            RunError: The file cannot be read, or is damaged.
        """
        path = self.path / SECONDS
        if not path.exists():
            return 0.0
        try:
            content = parse(path.read_bytes())
            # An older version wrote a number alone.
            seconds = float(unsealed(content)["seconds"] if isinstance(content, dict) else content)
            if not 0 <= seconds < math.inf:
                raise ValueError(f"found {seconds}; allowed: a number of seconds")
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise RunError(f"{path}: is damaged ({error}); delete it to count from 0 seconds") from error
        return seconds

    def write_seconds(self, seconds: float) -> None:
        """Write the duration of the run over all calls, in seconds.

        Raises:
            RunError: The file cannot be written.
        """
        replace_file(self.path / SECONDS, sealed_text({"seconds": round(seconds, 2)}))

    def check(self) -> None:
        """Check, without changing the folder, that a run with these settings can start or resume in it.

        Raises:
            RunError: The path is a file, or the folder holds a run with other settings, or other files.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path}: is a file; expected a folder for the run, existing or new")
        self._check_foreign_files(None)
        if self.has_run():
            with Archive(self.path, read_only=True) as archive:
                check_settings(self.path, self.settings, archive)

    def _check_foreign_files(self, evaluator: Evaluator | None) -> None:
        own = matching_files(self.path, left_files(evaluator)) if evaluator else []
        files = [path.name for path in own if path.suffix != ".partial"]
        files += [name for name in _FILES if (self.path / name).exists()]
        if files and not self.has_run():
            raise RunError(
                f"{self.path} holds {', '.join(files)} but no {ARCHIVE}, so it is not the folder of a run, "
                "and a run would overwrite these files; choose another --out, or move the files away"
            )

    def write_inputs(self, facts: Mapping[str, Any] | None = None) -> None:
        """Write `config.toml`, the settings to repeat the run with, and `env.json`, versions and machine.

        Args:
            facts: Versions and machine; `None`, the default, = those of this process.

        Raises:
            RunError: A file cannot be written.
        """
        config = to_toml(self.settings).encode()
        place = {PLACE: str(self.path.absolute())}
        record = {**(facts or environment(self.settings)), **place, CONFIG: checksum(config)}
        replace_file(self.path / CONFIG, config)
        replace_file(self.path / ENVIRONMENT, sealed_text(record))

    def restore_inputs(self, result: Result, say: Callable[[str], None]) -> None:
        """Write the files of `write_inputs` again from the result of the run if one of them is damaged.

        Args:
            result: The result of the finished run.
            say: Called with a sentence that names the damaged file.
        """
        damaged = self._damaged_input()
        if damaged:
            say(f"{self.path / damaged}: is damaged or missing; the file is written again from the result")
        # The settings differ in the paths of moved files alone.
        if damaged or (self.path / CONFIG).read_text(encoding="utf-8") != to_toml(self.settings):
            self.write_inputs(result.data["environment"])

    def _damaged_input(self) -> str:
        """Return the name of the damaged or missing file of `write_inputs`; empty if there is none."""
        try:
            record = unsealed(parse((self.path / ENVIRONMENT).read_bytes()))
        except (OSError, ValueError):
            return ENVIRONMENT
        try:
            config = (self.path / CONFIG).read_bytes()
        except OSError:
            return CONFIG
        # An older version recorded no checksum of the settings.
        return CONFIG if record.get(CONFIG) not in (None, checksum(config)) else ""
