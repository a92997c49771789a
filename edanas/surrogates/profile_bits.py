"""Utilization and errors of any selection scheme on all archived exit profiles, by bit operations."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.core.types import ExitProfile, SelectionScheme
from edanas.surrogates.arrays import Array

_WORD = 64


class Shares(NamedTuple):
    """Fractions of all samples, each (n, N + 1).

    Args:
        exiting: Samples that exit at each exit: the utilization.
        wrong: Samples that exit there with a wrong prediction.
    """

    exiting: Array
    wrong: Array


class ProfileBits:
    """Exit profiles as bits: one for each sample, exit and threshold, 64 to a word.

    A scheme then takes a few logical operations and counts on small arrays, for all backbones together.
    Results are cached.

    Args:
        profiles: n profiles; their columns and numbers of samples may differ.
        exit_points: N.
    """

    def __init__(self, profiles: Sequence[ExitProfile], exit_points: int) -> None:
        self.profiles = tuple(profiles)
        self.exit_points = exit_points
        self.samples = np.array([len(profile) for profile in profiles])
        columns = [[point in profile.points for point in range(exit_points)] for profile in profiles]
        self.has: npt.NDArray[np.bool_] = np.array(columns, dtype=np.bool_)
        """Exit points that have a column in each profile, (n, N) booleans."""
        words = -(-int(self.samples.max()) // _WORD)
        self._bytes = words * _WORD // 8
        self._all_samples = self._packed([np.ones(len(profile), dtype=np.bool_) for profile in profiles])
        self._wrong = {
            point: self._packed([~self._column(p.correct, p, point) for p in profiles])
            for point in range(exit_points + 1)
        }
        self._firing: dict[tuple[int, float], npt.NDArray[np.uint64]] = {}
        self._shares: dict[SelectionScheme, Shares] = {}
        self._single: dict[tuple[int, float], tuple[Array, Array]] = {}

    def covers(self, placed: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Return the profiles that have a column for each of these exit points, (n,) booleans."""
        return np.asarray(self.has[:, list(placed)].all(axis=1))

    def shares(self, scheme: SelectionScheme) -> Shares:
        """Return the scheme's shares on each profile; undefined for profiles that lack one of its exits."""
        if scheme not in self._shares:
            exiting, wrong = np.zeros((2, len(self.profiles), self.exit_points + 1))
            remaining = self._all_samples
            for point in scheme.placed:
                firing = remaining & self._fires(point, scheme.thresholds[point] or 0.0)
                remaining = remaining ^ firing
                exiting[:, point], wrong[:, point] = (
                    self._share(firing),
                    self._share(firing & self._wrong[point]),
                )
            last = self.exit_points
            exiting[:, last] = self._share(remaining)
            wrong[:, last] = self._share(remaining & self._wrong[last])
            self._shares[scheme] = Shares(exiting, wrong)
        return self._shares[scheme]

    def single_exit(self, point: int, threshold: float) -> tuple[Array, Array]:
        """Return the shares of samples that one exit alone would accept, and of wrong predictions among them.

        Both are (n,), one number for each profile.

        Args:
            point: The exit point; N is the last exit, which accepts every sample.
            threshold: In [0, 1].
        """
        key = point, threshold
        if key not in self._single:
            accepted = self._all_samples if point == self.exit_points else self._fires(point, threshold)
            self._single[key] = self._share(accepted), self._share(accepted & self._wrong[point])
        return self._single[key]

    def _fires(self, point: int, threshold: float) -> npt.NDArray[np.uint64]:
        """Return bits (words, n): confidence at the exit point is at least the threshold, as float32."""
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
