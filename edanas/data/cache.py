"""Decoded images kept under `EDANAS_HOME`: a folder of image files is decoded once, until a file changes."""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from edanas.core.errors import DataError, RunError
from edanas.core.machine import home
from edanas.core.runfolder import replacing
from edanas.data.decoding import decode

_CHUNK = 4096
"""Files that are asked for at once: each waits as an object of its own."""

_RULE = "1"
"""Changed where `decode` begins to give other pixels of the same files."""


def decode_once(files: Sequence[Path], size: int, channels: str) -> tuple[torch.Tensor, tuple[str, ...]]:
    """What `edanas.data.decoding.decode` gives, from the cache where the same was decoded before.

    The cache file's name is a digest of the files' contents in their order, of the arguments, and of what
    decodes, so that it never answers for anything else. A cache that cannot be written, or that is damaged,
    is done without.

    Args:
        files: One or more files.
        size: See `decode`.
        channels: See `decode`.

    Returns:
        As `decode`.

    Raises:
        DataError: As `decode`.
    """
    path = home() / "decoded" / f"{_key(files, size, channels)}.safetensors"
    found = _read(path)
    if found is None:
        found = decode(files, size, channels)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                save_file({"images": found[0]}, partial, {"remarks": json.dumps(found[1])})
        except (OSError, RunError, SafetensorError):
            return found
    return found


def _key(files: Sequence[Path], size: int, channels: str) -> str:
    digest = hashlib.blake2b(f"{_RULE} {version('pillow')} {size} {channels}".encode(), digest_size=16)
    with ThreadPoolExecutor(4 + (os.cpu_count() or 1)) as pool:
        for start in range(0, len(files), _CHUNK):
            for content in pool.map(_digest, files[start : start + _CHUNK]):
                digest.update(content)
    return digest.hexdigest()


def _digest(path: Path) -> bytes:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except PermissionError as error:
        raise DataError(f"{path}: no permission to read this image") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read as an image ({error.strerror or error})") from error


def _read(path: Path) -> tuple[torch.Tensor, tuple[str, ...]] | None:
    """What the cache holds; `None` where it is not there or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            images: torch.Tensor = file.get_tensor("images")
            return images, tuple(json.loads((file.metadata() or {})["remarks"]))
    except (SafetensorError, OSError, LookupError, ValueError):
        return None
