"""Manifests of exported networks: JSON files with the names, sizes and SHA-256 of the other files."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import DataError, ExportError, RunError
from edanas.core.records import MISMATCH, parse, sealed, unsealed
from edanas.core.runfolder import replace_file
from edanas.deploy.run_onnx import check_size


def check_folder(stem: Path) -> None:
    """Check that the folder of `stem` exists and is writable, before an export computes anything.

    Raises:
        RunError: The folder is missing, or not writable.
    """
    if not stem.parent.is_dir():
        raise RunError(f"{stem.parent}: no such folder")
    if not os.access(stem.parent, os.W_OK | os.X_OK):
        raise RunError(f"{stem.parent}: is not writable; choose another folder")


def write_described(
    path: Path,
    description: Mapping[str, Any],
    files: Mapping[str, bytes],
    free: Mapping[str, bytes] | None = None,
) -> list[Path]:
    """Write files, then a JSON manifest that holds the size and the SHA-256 of each file.

    The manifest is written last. So an interrupted export leaves no manifest that matches incomplete files.

    Args:
        path: The path of the manifest; all files go into its folder, or into a folder beside it.
        description: The fields of the manifest other than `files`.
        files: Content of the files by name; `folder/name` for a file in a folder beside the manifest.
        free: Content of further files by name, which the manifest does not list, since users may change them.

    Returns:
        The paths of all files; the first is the manifest's.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "net.json"
        ...     _ = write_described(path, {"format": "text", "format_version": 1}, {"net.txt": b"weights"})
        ...     read_described(path, "text", 1)[1]
        {'net.txt': b'weights'}
    """
    listed = {name: {"sha256": _digest(content), "bytes": len(content)} for name, content in files.items()}
    manifest = sealed({**description, "files": listed})
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
    contents = {**files, **(free or {})}
    for name, content in contents.items():
        target = path.parent / name
        target.parent.mkdir(exist_ok=True)
        replace_file(target, content)
    replace_file(path, f"{text}\n".encode())
    return [path, *(path.parent / name for name in contents)]


def read_described(path: Path, form: str, version: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read a manifest and the files that it lists, and verify the files by their SHA-256.

    Args:
        path: The path of the manifest.
        form: The expected value of the field `format`.
        version: The expected value of the field `format_version`.

    Returns:
        The content of the manifest, and the content of the files by name.

    Raises:
        ExportError: A file is missing or damaged, or the manifest has another format or version.
    """
    try:
        manifest = unsealed(parse(path.read_bytes()))
        name, number, listed = manifest["format"], manifest["format_version"], dict(manifest["files"])
        digests = {str(file): str(entry["sha256"]) for file, entry in listed.items()}
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, LookupError, TypeError) as error:
        damage = f" ({error})" if MISMATCH in str(error) else ""
        raise ExportError(f"{path}: is not the manifest of an exported network{damage}") from error
    if (name, number) != (form, version):
        raise ExportError(
            f"{path}: format {name!r}, version {number!r}; expected format '{form}', version {version}"
        )
    return manifest, {file: _verified(path, file, digest) for file, digest in digests.items()}


def check_images(path: Path, manifest: Mapping[str, Any], images: npt.NDArray[np.uint8]) -> None:
    """Check that images (B, C, H, W) have the size that a manifest states; older manifests state none.

    Args:
        path: The path of the manifest, for the message.
        manifest: The content of the manifest.
        images: The images.

    Raises:
        DataError: The images have another size.
    """
    try:
        check_size(manifest, images)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def _is_name(part: str) -> bool:
    """Return True if a part of a path names a file or folder, not a parent, a root or nothing."""
    return part not in ("", ".", "..") and Path(part).name == part


def _verified(manifest: Path, name: str, digest: str) -> bytes:
    parts = name.split("/")
    if not name.isprintable() or len(parts) > 2 or any(not _is_name(part) for part in parts):
        raise ExportError(
            f"{manifest}: files: found {name!r}; allowed: names of files in the same folder, or in a folder "
            "beside the manifest"
        )
    path = manifest.parent / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror or error}") from error
    if _digest(content) != digest:
        raise ExportError(f"{path}: damaged, or not what {manifest.name} was written with")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
