"""Utilization and errors under any selection scheme, computed from all exit profiles by bit operations.

Symbols of shapes: n profiles, N exit points.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.core.types import ExitProfile, SelectionScheme
from edanas.surrogates.arrays import Array

_WORD = 64


class Shares(NamedTuple):
    """Shares of the samples of each profile under a selection scheme.

    Args:
        exiting: Share of the samples that exit at each exit, (n, N + 1): the utilization.
        wrong: Share of the samples that exit at each exit and are misclassified there, (n, N + 1).
    """

    exiting: Array
    wrong: Array


class ProfileBits:
    """Exit profiles as bits, in words of 64 bits.

    A bit says whether a sample is misclassified at an exit, or whether an exit fires at a threshold. The
    shares under a scheme take a few logical operations on small arrays, for all profiles at once. Results are
    cached.

    Args:
        profiles: The n profiles; their exit points and numbers of samples may differ.
        exit_points: N, the number of exit points of the space.
        ends: Exit point at which each network ends, N for a whole network; `None`, the default, means that
            all networks are whole.
    """

    def __init__(
        self, profiles: Sequence[ExitProfile], exit_points: int, ends: Sequence[int] | None = None
    ) -> None:
        self.profiles = tuple(profiles)
        self.exit_points = exit_points
        self.ends = tuple(ends) if ends is not None else (exit_points,) * len(self.profiles)
        self.samples = np.array([len(profile) for profile in profiles])
        columns = [
            [point in (*profile.points, end) for point in range(exit_points + 1)]
            for profile, end in zip(self.profiles, self.ends, strict=True)
        ]
        self.has: npt.NDArray[np.bool_] = np.array(columns, dtype=np.bool_)
        """A boolean for each profile and exit, (n, N + 1): true if the profile contains the exit.

        The column of a cut network's last exit is that of the exit point where the network ends.
        """
        words = -(-int(self.samples.max()) // _WORD)
        self._bytes = words * _WORD // 8
        self._all_samples = self._packed([np.ones(len(profile), dtype=np.bool_) for profile in profiles])
        self._wrong = {
            point: self._packed([~column for column in self._columns("correct", point)])
            for point in range(exit_points + 1)
        }
        self._firing: dict[tuple[int, float], npt.NDArray[np.uint64]] = {}
        self._shares: dict[tuple[SelectionScheme, int], Shares] = {}
        self._single: dict[tuple[int, float], tuple[Array, Array]] = {}

    def covers(self, placed: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Return a boolean for each profile, (n,): true if the profile contains all exits in `placed`."""
        return np.asarray(self.has[:, list(placed)].all(axis=1))

    def shares(self, scheme: SelectionScheme, end: int | None = None) -> Shares:
        """Return the shares under a scheme, for each profile.

        The row of a profile is meaningless if the profile lacks an exit of the scheme; see `covers`.

        Args:
            scheme: The scheme.
            end: Exit point at which the network ends; samples that no placed exit accepts exit there. `None`,
                the default, stands for N, the last exit of a whole network.
        """
        last = self.exit_points if end is None else end
        key = scheme, last
        if key not in self._shares:
            exiting, wrong = np.zeros((2, len(self.profiles), self.exit_points + 1))
            remaining = self._all_samples
            for point in scheme.placed:
                firing = remaining & self._fires(point, scheme.thresholds[point] or 0.0)
                remaining = remaining ^ firing
                exiting[:, point], wrong[:, point] = (
                    self._share(firing),
                    self._share(firing & self._wrong[point]),
                )
            exiting[:, last] = self._share(remaining)
            wrong[:, last] = self._share(remaining & self._wrong[last])
            self._shares[key] = Shares(exiting, wrong)
        return self._shares[key]

    def single_exit(self, point: int, threshold: float) -> tuple[Array, Array]:
        """Return two shares of all samples for each profile, (n,) and (n,), if only one exit is placed.

        The first share is that of the samples that the exit accepts. The second share is that of the samples
        that the exit accepts and misclassifies.

        Args:
            point: The exit point; N stands for the last exit, which accepts every sample.
            threshold: Threshold of the exit, in [0, 1].
        """
        key = point, threshold
        if key not in self._single:
            accepted = self._all_samples if point == self.exit_points else self._fires(point, threshold)
            self._single[key] = self._share(accepted), self._share(accepted & self._wrong[point])
        return self._single[key]

    def _fires(self, point: int, threshold: float) -> npt.NDArray[np.uint64]:
        """Return a bit for each sample, (words, n): 1 if the exit fires.

        An exit fires if the confidence is at least the threshold, rounded to float32.
        """
        key = point, threshold
        if key not in self._firing:
            least = np.float32(threshold)
            self._firing[key] = self._packed(
                [column >= least for column in self._columns("confidence", point)]
            )
        return self._firing[key]

    def _columns(self, name: str, point: int) -> Iterator[npt.NDArray[Any]]:
        """Yield the column of an exit in each profile; zeros where the profile lacks the exit."""
        for profile, end in zip(self.profiles, self.ends, strict=True):
            values: npt.NDArray[Any] = getattr(profile, name)
            if point == end:
                yield values[:, -1]
            elif point in profile.points:
                yield values[:, profile.points.index(point)]
            else:
                yield np.zeros(len(profile), dtype=values.dtype)

    def _packed(self, flags: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.uint64]:
        rows = np.zeros((len(flags), self._bytes), dtype=np.uint8)
        for row, each in zip(rows, flags, strict=True):
            bits = np.packbits(each)
            row[: len(bits)] = bits
        return np.ascontiguousarray(rows.view(np.uint64).T)

    def _share(self, bits: npt.NDArray[np.uint64]) -> Array:
        counts = np.bitwise_count(bits).sum(axis=0, dtype=np.int64)
        return np.asarray(counts / self.samples)
