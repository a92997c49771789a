"""Sound files as arrays of floats: WAV, FLAC and OGG, read by the package `soundfile`."""

import struct
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.errors import DataError
from edanas.core.optional_packages import import_optional

SUFFIXES = frozenset({".wav", ".flac", ".ogg"})
"""Endings of the files that are read as sound."""

_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
"""Sizes in a WAV file of a program that did not know the length when it began to write."""

Sound = npt.NDArray[np.float32]
"""One recording (n,) of one channel, in [-1, 1]."""


def read_sound(path: Path) -> tuple[Sound, int]:
    """Return a recording as the mean of its channels, and its sampling rate in hertz.

    Raises:
        DataError: The file cannot be read, is cut, is empty, or holds a value that is not finite.
        ConfigError: The package `soundfile` is not installed (`edanas[sound]`).
    """
    soundfile: Any = import_optional("data", "sound", "sound", "soundfile")
    _check_whole(path)
    try:
        values, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, RuntimeError) as error:
        reason = str(error).removeprefix(f"Error opening {str(path)!r}: ")
        raise DataError(f"{path}: cannot be read as sound: {reason}") from error
    if not len(values):
        raise DataError(f"{path}: holds no sound; allowed: one value or more")
    mono: Sound = values.mean(axis=1)
    if not np.isfinite(mono).all():
        position = int(np.flatnonzero(~np.isfinite(mono))[0])
        raise DataError(f"{path}: found a value that is not finite at position {position}")
    return mono, int(rate)


def resample(sound: Sound, rate: int, target: int) -> Sound:
    """Return a recording at another sampling rate, by SciPy's polyphase filter against aliasing.

    Example:
        >>> resample(np.ones(800, dtype=np.float32), 8000, 16_000).shape
        (1600,)
    """
    if rate == target:
        return sound
    from scipy.signal import resample_poly

    common = gcd(rate, target)
    resampled: Sound = resample_poly(sound, target // common, rate // common).astype(np.float32)
    return resampled


def _check_whole(path: Path) -> None:
    """Check that a WAV file is as long as its header states, since libsndfile reads a cut file silently.

    Raises:
        DataError: The file is cut, or cannot be read.
    """
    if path.suffix.lower() != ".wav":
        return
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            form, wide = file.read(4), 0
            if form not in (b"RIFF", b"RF64"):
                return
            file.seek(12)
            while len(header := file.read(8)) == 8:
                name, length = struct.unpack("<4sI", header)
                if name == b"ds64" and form == b"RF64":  # sizes of 64 bits: of the file, then of the sound
                    sizes = file.read(16)
                    wide = int.from_bytes(sizes[8:], "little")
                    length -= len(sizes)
                if name == b"data":
                    length = wide or length
                    left = size - file.tell()
                    if length not in _UNKNOWN_SIZES and left < length:
                        stated = f"its header states {length:,} bytes of sound, and {left:,} follow"
                        raise DataError(f"{path}: is cut: {stated}")
                    return
                file.seek(length + length % 2, 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    raise DataError(f"{path}: is cut: it has no sound after its header")
