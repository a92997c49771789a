"""Files in a run's folder: the lock, files that are written in one step, and the files of plugins."""

import contextlib
import glob
import json
import os
import secrets
import socket
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from edanas.core.errors import PluginError, RunError

if TYPE_CHECKING:
    from edanas.core.contracts import Evaluator, Logger

LOCK = "run.lock"
"""Name of the locked file in a run's folder; `run.lock.json` names the process that holds it."""

CONFIG, ENVIRONMENT, MODELS = "config.toml", "env.json", "models"
"""Names in a run's folder: the settings file, the environment file, and the folder of networks."""

PLACE = "folder"
"""The key in the environment file for the path of the run's folder, to recognise a moved folder."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Add the file's name to errors inside the context; Python's error for a full disk does not name it.

    Raises:
        RunError: The context raised an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error


def replace_file(path: Path, content: bytes | memoryview) -> None:
    """Write a file in one step: a reader sees the old content or the new content, never a part.

    Raises:
        RunError: The folder is missing or not writable, or no space is left.
    """
    with replacing(path) as partial:
        partial.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a new, empty file in the same folder, and rename the file to `path` at the end.

    The file has a random name, and no other file or link of that name exists before. If the context raises an
    error, the file is deleted and `path` stays as it is. At the end, file and folder are synchronised.

    Raises:
        RunError: The folder is missing or not writable, or no space is left.
    """
    partial = path.with_name(f".{_stem(path)}.{secrets.token_hex(8)}.partial")
    with writing(path):
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0), 0o666))
        try:
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.replace(path)
            synchronise(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def partial_files(folder: Path, name: str | None = None) -> list[Path]:
    """Return the temporary files of `replacing` in a folder, which only killed processes leave.

    Args:
        folder: The folder; it may be missing.
        name: Name of the file that was written; `None`, the default, = any file.
    """
    stem = "*" if name is None else glob.escape(_stem(Path(name)))
    return sorted(folder.glob(f".{stem}.{'[0-9a-f]' * 16}.partial"))


def synchronise(folder: Path) -> None:
    """Write the entries of a folder to the disk, so that a rename in the folder outlives a power failure.

    Systems that cannot synchronise a folder, e.g. Windows, are left out.
    """
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _stem(path: Path) -> str:
    """Return the name of a file, or a short replacement if a longer name would be too long."""
    return path.name if len(os.fsencode(path.name)) <= 200 else "long-name"


def holder_runs(folder: Path) -> bool | None:
    """Return whether the process that last locked the folder still runs; the lock does not change.

    `None` means that the state is unknown: no process is recorded, or it ran on another host.
    """
    try:
        holder: dict[str, Any] = json.loads((folder / f"{LOCK}.json").read_text(encoding="utf-8"))
        pid, host = int(holder["pid"]), holder["host"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    # On Windows, signal 0 would end the process.
    if host != socket.gethostname() or os.name != "posix":
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # the process runs, and belongs to another user
    return True


def left_files(plugin: "Evaluator | Logger") -> tuple[str, ...]:
    """Return the glob patterns of the files that a plugin leaves in a run's folder.

    Raises:
        PluginError: A pattern is not relative to the folder, or contains `..`.
    """
    patterns = tuple(map(str, plugin.files()))
    for pattern in patterns:
        path = Path(pattern)
        if not path.parts or path.anchor or ".." in path.parts:
            raise PluginError(
                f"{type(plugin).__name__}: `files` returns '{pattern}'; allowed: patterns relative to the "
                "run's folder, without '..'"
            )
    return patterns


def matching_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files in `folder` that match at least one glob pattern, sorted; folders are left out."""
    paths = {path for pattern in patterns for path in folder.glob(pattern)}
    return sorted(path for path in paths if path.is_symlink() or not path.is_dir())


def refuse_link(path: Path) -> None:
    """Check that the path of a lock is no link: older versions of filelock would empty the linked file.

    Raises:
        RunError: It is a link.
    """
    if path.is_symlink():
        raise RunError(f"{path}: is a link; allowed: a file, or no file. Delete the link")


class RunLock:
    """Exclusive lock on a run's folder, as a context manager; it creates a missing folder.

    The operating system releases the lock when the process ends, in any way. The lock's files remain; their
    presence alone does not lock the folder.

    Args:
        folder: The run's folder.

    Raises:
        RunError: On entering the context, another process holds the lock (the message names the process), or
            the folder is not writable.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     with RunLock(Path(name)):
        ...         holder_runs(Path(name))
        True
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._holder = self.folder / f"{LOCK}.json"
        self._lock = FileLock(self.folder / LOCK)

    def __enter__(self) -> Self:
        refuse_link(self.folder / LOCK)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                f"{self.folder} is used by {self._holder_name()}; wait for it, or choose another folder"
            ) from None
        except OSError as error:
            raise self._unusable(error) from error
        try:
            self._write_holder()
        except BaseException as error:
            self._lock.release()
            if isinstance(error.__cause__, OSError):
                raise self._unusable(error.__cause__) from error
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _write_holder(self) -> None:
        since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        replace_file(self._holder, json.dumps(holder).encode() + b"\n")

    def _holder_name(self) -> str:
        try:
            holder: dict[str, Any] = json.loads(self._holder.read_text(encoding="utf-8"))
            return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, LookupError, TypeError):
            return "another process"

    def _unusable(self, error: OSError) -> RunError:
        text = error.strerror or error
        return RunError(
            f"{self.folder}: {text}; choose a folder that can be written to, on a disk with space left"
        )
