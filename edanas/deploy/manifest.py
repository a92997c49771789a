"""Files that appear as wholes, and descriptions that know the files that they belong to."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edanas.core.errors import ExportError, RunError
from edanas.core.runfolder import replace_file


def check_folder(stem: Path) -> None:
    """Refuse before anything is computed.

    Raises:
        RunError: The folder that `stem` is in is not there, or not writable.
    """
    if not stem.parent.is_dir():
        raise RunError(f"{stem.parent}: no such folder")
    if not os.access(stem.parent, os.W_OK | os.X_OK):
        raise RunError(f"{stem.parent}: not writable")


def write_described(
    path: Path,
    description: Mapping[str, Any],
    files: Mapping[str, bytes],
    free: Mapping[str, bytes] | None = None,
) -> list[Path]:
    """Write files, then a JSON manifest that holds the SHA-256 and size of each.

    The manifest is written last: where it and the files agree, they belong together,
    whatever was interrupted.

    Args:
        path: The manifest.
        description: What it says besides.
        files: Content by name, beside the manifest.
        free: Files that the manifest does not hold, since users may change them.

    Returns:
        All paths, the manifest's first.
    """
    listed = {name: {"sha256": _digest(content), "bytes": len(content)} for name, content in files.items()}
    text = json.dumps({**description, "files": listed}, indent=2, ensure_ascii=False, allow_nan=False)
    everything = {**files, **(free or {})}
    for name, content in everything.items():
        replace_file(path.with_name(name), content)
    replace_file(path, f"{text}\n".encode())
    return [path, *(path.with_name(name) for name in everything)]


def read_described(path: Path, form: str, version: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest and the content of its files, all of them as they were written.

    Args:
        path: The manifest.
        form: What its `format` must be.
        version: What its `format_version` must be.

    Raises:
        ExportError: A file is missing or damaged, or the manifest is another one than expected.
    """
    try:
        found = json.loads(path.read_bytes())
        what, number, listed = found["format"], found["format_version"], dict(found["files"])
        digests = {str(name): str(entry["sha256"]) for name, entry in listed.items()}
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ExportError(f"{path}: is not the manifest of an exported network") from error
    if (what, number) != (form, version):
        raise ExportError(
            f"{path}: format {what!r}, version {number!r}; allowed here: '{form}', version {version}"
        )
    return found, {name: _verified(path, name, digest) for name, digest in digests.items()}


def _verified(manifest: Path, name: str, digest: str) -> bytes:
    if not name.isprintable() or Path(name).name != (name or None):
        raise ExportError(f"{manifest}: files: found {name!r}; allowed: names of files beside it")
    path = manifest.with_name(name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from error
    if _digest(content) != digest:
        raise ExportError(f"{path}: damaged, or not what {manifest.name} was written with")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
