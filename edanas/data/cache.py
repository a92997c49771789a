"""A cache of decoded images under `EDANAS_HOME`.

If one file or an option of the decoding changes, all files are decoded again.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from edanas.core.errors import RunError
from edanas.core.machine import home
from edanas.core.mapped import pieces, released
from edanas.core.records import parse, sealed, unsealed
from edanas.core.runfolder import replacing
from edanas.data.decoding import Decoded, Fit, decode

_IMAGES, _RECORD = "images", "record"
"""Name of the tensor in a cache file, and key of the metadata with remarks and the checksum of the pixels."""

_LENGTH = 8
"""Number of bytes that state the length of the header of a file of safetensors."""

_CHUNK = 4096
"""Number of files whose digests are computed together, which bounds the memory of pending results."""

_RULE = "3"
"""Version of the decoding. It must change whenever `decode` returns other pixels for the same files."""


def decode_once(files: Sequence[Path], fit: Fit, channels: str, *, skip_unreadable: bool = False) -> Decoded:
    """Return the result of `edanas.data.decoding.decode`, from the cache if possible.

    The name of a cache file is a digest of the files' contents in order, `fit`, `channels`, and the versions
    of Pillow and of the decoding. If the cache file is damaged or cannot be written, the files are decoded.

    Args:
        files: Paths of one or more image files.
        fit: Size of the images; see `decode`.
        channels: `auto`, `grey` or `rgb`; see `decode`.
        skip_unreadable: See `decode`. If a file is unreadable, nothing is written to the cache.

    Raises:
        DataError: A file cannot be read as an image.
    """
    path = home() / "decoded" / f"{_key(files, fit, channels)}.safetensors"
    stored = _read(path)
    if stored is not None:
        return Decoded(*stored, range(len(files)))
    decoded = decode(files, fit, channels, skip_unreadable=skip_unreadable)
    if len(decoded.read) == len(files):
        with contextlib.suppress(OSError, RunError, SafetensorError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                _write(decoded, partial)
    return decoded


def _key(files: Sequence[Path], fit: Fit, channels: str) -> str:
    digest = hashlib.blake2b(f"{_RULE} {version('pillow')} {fit} {channels}".encode(), digest_size=16)
    with ThreadPoolExecutor(4 + (os.cpu_count() or 1)) as pool:
        for start in range(0, len(files), _CHUNK):
            for content in pool.map(_digest, files[start : start + _CHUNK]):
                digest.update(content)
    return digest.hexdigest()


def _digest(path: Path) -> bytes:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError:
        return b"unreadable"  # the decoding names the file


def _content(images: torch.Tensor) -> str:
    """Return the checksum of the pixels of images: 16 hexadecimal digits of BLAKE2b."""
    digest = hashlib.blake2b(digest_size=8)
    for piece in pieces(images):
        digest.update(piece.contiguous().numpy().data)
    return digest.hexdigest()


def _write(decoded: Decoded, path: Path) -> None:
    """Write images as a file of safetensors, piece by piece; `save_file` copies all of them first."""
    images = decoded.images
    record = {"remarks": list(decoded.remarks), _IMAGES: _content(images)}
    entry = {"dtype": "U8", "shape": list(images.shape), "data_offsets": [0, images.numel()]}
    header = json.dumps({"__metadata__": {_RECORD: json.dumps(sealed(record))}, _IMAGES: entry}).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(_LENGTH, "little") + header)
        for piece in pieces(images):
            file.write(piece.contiguous().numpy().data)


def _read(path: Path) -> tuple[torch.Tensor, tuple[str, ...]] | None:
    """Return the images and remarks in a cache file; `None` if the file is absent or damaged.

    The images are mapped from the file and must not be changed: above `edanas.core.mapped.LARGEST` bytes,
    changes are lost when `release` drops the pages.
    """
    try:
        with safe_open(path, framework="pt") as file:
            shape = tuple(file.get_slice(_IMAGES).get_shape())
            record = unsealed(parse((file.metadata() or {})[_RECORD]))
        with path.open("rb") as raw:
            begin = _LENGTH + int.from_bytes(raw.read(_LENGTH), "little")
        pixels = released(np.memmap(path, np.uint8, "c", begin, shape))
    except (SafetensorError, OSError, LookupError, ValueError):
        return None
    images = torch.from_numpy(pixels)
    return (images, tuple(record["remarks"])) if record.get(_IMAGES) == _content(images) else None
