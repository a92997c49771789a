"""Exit profiles in a compressed form, in which workers send them and the archive stores them."""

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from edanas.core.types import ExitProfile


@dataclass(frozen=True, eq=False)
class PackedProfile:
    """An exit profile as bytes. Packing takes ten times as long as opening, so that workers do it.

    Args:
        points: See `ExitProfile`.
        samples: Number of samples S.
        confidence: The confidences (S, E) as little-endian float32, compressed.
        correct: The correctness (S, E), one bit each, compressed.
        levels: See `ExitProfile`; the archive does not store them.

    Example:
        >>> confidence = np.array([[0.9, 0.8], [0.2, 0.7]], dtype=np.float32)
        >>> profile = ExitProfile((0,), confidence, np.array([[True, True], [False, True]]))
        >>> PackedProfile.of(profile).opened.correct.tolist()
        [[True, True], [False, True]]
    """

    points: tuple[int, ...]
    samples: int
    confidence: bytes
    correct: bytes
    levels: tuple[float, ...] = ()

    @classmethod
    def of(cls, profile: ExitProfile) -> Self:
        """Pack an exit profile."""
        return cls(
            profile.points,
            len(profile),
            zlib.compress(profile.confidence.astype("<f4").tobytes()),
            zlib.compress(np.packbits(profile.correct).tobytes()),
            profile.levels,
        )

    @cached_property
    def opened(self) -> ExitProfile:
        """The exit profile.

        Raises:
            ValueError: The bytes do not fit the numbers of samples and exits.
            zlib.error: The bytes are not compressed data.
        """
        shape = (self.samples, len(self.points) + 1)
        confidence = np.frombuffer(zlib.decompress(self.confidence), dtype="<f4").astype(np.float32)
        bits = np.frombuffer(zlib.decompress(self.correct), dtype=np.uint8)
        correct = np.unpackbits(bits, count=shape[0] * shape[1]).astype(np.bool_)
        return ExitProfile(self.points, confidence.reshape(shape), correct.reshape(shape), self.levels)
