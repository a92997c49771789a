"""What archived exit profiles say of any selection scheme, for all backbones at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.core.types import ExitProfile, SelectionScheme
from edanas.surrogates.arrays import Array

_WORD = 64


class Shares(NamedTuple):
    """Fractions of all samples, each (n, N + 1): who leaves at an exit, and who leaves there wrong."""

    leaving: Array
    wrong: Array


class ProfileBits:
    """Exit profiles as bits: one for each sample, exit and threshold that was asked for, 64 to a word.

    A scheme is then a few logical operations and counts on small arrays, whatever the number of backbones.
    What was asked once is kept.

    Args:
        profiles: n of them; they may have other columns and other numbers of samples.
        exit_points: N.
    """

    def __init__(self, profiles: Sequence[ExitProfile], exit_points: int) -> None:
        self.profiles = tuple(profiles)
        self.exit_points = exit_points
        self.samples = np.array([len(profile) for profile in profiles])
        columns = [[point in profile.points for point in range(exit_points)] for profile in profiles]
        self.has: npt.NDArray[np.bool_] = np.array(columns, dtype=np.bool_)
        """(n, N) bool: which exit points have a column."""
        words = -(-int(self.samples.max()) // _WORD)
        self._bytes = words * _WORD // 8
        self._everybody = self._packed([np.ones(len(profile), dtype=np.bool_) for profile in profiles])
        self._wrong = {
            point: self._packed([~self._column(p.correct, p, point) for p in profiles])
            for point in range(exit_points + 1)
        }
        self._firing: dict[tuple[int, float], npt.NDArray[np.uint64]] = {}
        self._shares: dict[SelectionScheme, Shares] = {}
        self._alone: dict[tuple[int, float], tuple[Array, Array]] = {}

    def covers(self, placed: Sequence[int]) -> npt.NDArray[np.bool_]:
        """(n,) Which profiles have a column for every one of these exit points."""
        return np.asarray(self.has[:, list(placed)].all(axis=1))

    def shares(self, scheme: SelectionScheme) -> Shares:
        """What the scheme does on each profile; a row that does not cover its exits means nothing."""
        if scheme not in self._shares:
            leaving, wrong = np.zeros((2, len(self.profiles), self.exit_points + 1))
            staying = self._everybody
            for point in scheme.placed:
                going = staying & self._fires(point, scheme.thresholds[point] or 0.0)
                staying = staying ^ going
                leaving[:, point], wrong[:, point] = (
                    self._share(going),
                    self._share(going & self._wrong[point]),
                )
            last = self.exit_points
            leaving[:, last], wrong[:, last] = self._share(staying), self._share(staying & self._wrong[last])
            self._shares[scheme] = Shares(leaving, wrong)
        return self._shares[scheme]

    def alone(self, point: int, threshold: float) -> tuple[Array, Array]:
        """(n,) and (n,): who is sure enough at one exit, whatever the others say, and who of them is wrong.

        Args:
            point: The exit point; N is the last exit, at which everybody is sure enough.
            threshold: In [0, 1].
        """
        key = point, threshold
        if key not in self._alone:
            sure = self._everybody if point == self.exit_points else self._fires(point, threshold)
            self._alone[key] = self._share(sure), self._share(sure & self._wrong[point])
        return self._alone[key]

    def _fires(self, point: int, threshold: float) -> npt.NDArray[np.uint64]:
        """(words, n) bits: whose confidence at an exit point is at least the threshold, as float32."""
        key = point, threshold
        if key not in self._firing:
            least = np.float32(threshold)
            self._firing[key] = self._packed(
                [self._column(p.confidence, p, point) >= least for p in self.profiles]
            )
        return self._firing[key]

    def _column(self, of: npt.NDArray[np.generic], profile: ExitProfile, point: int) -> npt.NDArray[Any]:
        if point == self.exit_points:
            return of[:, -1]
        if point not in profile.points:
            return np.zeros(len(profile), dtype=of.dtype)
        return of[:, profile.points.index(point)]

    def _packed(self, flags: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.uint64]:
        rows = np.zeros((len(flags), self._bytes), dtype=np.uint8)
        for row, each in zip(rows, flags, strict=True):
            bits = np.packbits(each)
            row[: len(bits)] = bits
        return np.ascontiguousarray(rows.view(np.uint64).T)

    def _share(self, bits: npt.NDArray[np.uint64]) -> Array:
        counts = np.bitwise_count(bits).sum(axis=0, dtype=np.int64)
        return np.asarray(counts / self.samples)
