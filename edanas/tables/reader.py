"""Reading of a table, which gives exact metrics of candidates without running a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edanas.core.errors import CandidateError, EdanasError, TableError, unknown
from edanas.core.idle_stages import idle_stages
from edanas.core.space import SearchSpace
from edanas.core.types import (
    Backbone,
    Candidate,
    ExitProfile,
    Metrics,
    Outcome,
    SegmentCost,
    SelectionScheme,
    Thresholds,
)
from edanas.model.anatomy import Anatomy
from edanas.tables.backbone_costs import BackboneCosts
from edanas.tables.file_format import SEARCHED, SEGMENT_COSTS, Arrays, Description, read

_ONE = 0x3C00
"""The bits of 1.0 in float16. As integers, the bits of non-negative floats have the order of the floats."""

UNKNOWN_SHAPE = (0, 0, 0)
"""Placeholder for the output shape of a segment, which a table does not store."""


class Table:
    """Exit profiles of many backbones of one supernet, for searches without training or inference.

    `Table.open` reads a table from a file, which stays memory-mapped. A pickled table holds only the path and
    reads the file again.

    Args:
        path: Path of the table's file.
        description: The table's description.
        arrays: The table's tensors by name; see `edanas.tables.file_format`.
        digest: SHA-256 of the table's content.

    Example:
        >>> from edanas.tables.example_table import example_table
        >>> table = example_table()
        >>> len(table), table.parts
        (6, ('validation', 'test'))
        >>> candidate = table.space().decode(table.genomes[0].tolist() + [1, 0])
        >>> table.metrics(candidate).accuracy
        0.8
    """

    def __init__(self, path: Path, description: Description, arrays: Arrays, digest: str) -> None:
        self.path, self.description, self.digest = path, description, digest
        self._space = description.backbone_space()
        self._genomes = np.asarray(arrays["genomes"], dtype=np.int64)
        self._costs = {name: arrays[name] for name in SEGMENT_COSTS}
        self._codes = {p: arrays[f"{p}.confidence"].view("<u2") for p in description.parts}
        self._correct = {p: arrays[f"{p}.correct"] for p in description.parts}
        self._all_samples = {p: _bits(np.ones(size, dtype=np.bool_)) for p, size in description.parts.items()}
        self._row_of = {genome.tobytes(): row for row, genome in enumerate(self._genomes)}
        self._row_of_backbone: dict[Backbone, int] = {}
        self._backbone_costs: dict[tuple[int, frozenset[int]], BackboneCosts] = {}

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = True) -> Self:
        """Return the table in a file.

        Args:
            path: Path of the table's file.
            verify: True, the default, reads the whole file and checks its SHA-256. With false, only the data
                that a query needs are read, and damage may stay unnoticed.

        Raises:
            TableError: The file cannot be read, is not a table, has another format version, or is damaged.
        """
        description, arrays, digest = read(Path(path), verify=verify)
        _check(Path(path), description, arrays, verify=verify)
        return cls(Path(path), description, arrays, digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self.path)

    def __len__(self) -> int:
        return len(self._genomes)

    def __contains__(self, item: Candidate | Backbone) -> bool:
        try:
            self.row(item.backbone if isinstance(item, Candidate) else item)
        except CandidateError:
            return False
        return not isinstance(item, Candidate) or len(item.scheme.thresholds) == self.description.exit_points

    @property
    def parts(self) -> tuple[str, str]:
        """Names of the two parts of the data: the part that a search judges on, and the held-out part."""
        searched, held_out = self.description.parts
        return searched, held_out

    @property
    def genomes(self) -> npt.NDArray[np.int64]:
        """Canonical genomes of the n backbones, (n, D), without genes of thresholds."""
        return self._genomes.copy()

    @property
    def backbones(self) -> Iterator[Backbone]:
        """All backbones of the table, in the order of its rows."""
        return map(self._space.backbone, self._genomes)

    def space(self, thresholds: Thresholds | None = None) -> SearchSpace:
        """Return the space for a search on the table.

        Args:
            thresholds: Choices for the threshold at an exit point; `None`, the default, takes the table's
                choices.
        """
        return self.description.space(thresholds)

    def row(self, backbone: Backbone) -> int:
        """Return the position of a backbone's row in the table.

        Raises:
            CandidateError: The backbone does not belong to the table's space, or is not in the table.
        """
        row = self._row_of_backbone.get(backbone)
        if row is None:
            genome = self.genome(backbone)
            row = self._row_of.get(genome.tobytes())
            if row is None:
                raise CandidateError(
                    f"backbone {backbone.id} is not in the table, which holds {len(self):,} of "
                    f"{self.description.space_size:,} backbones of the space; `edanas.tables.Neighbours` "
                    "estimates the metrics of other backbones"
                )
            self._row_of_backbone[backbone] = row
        return row

    def genome(self, backbone: Backbone) -> npt.NDArray[np.int64]:
        """Return the canonical genome of a backbone, (D,); the backbone need not be in the table.

        Raises:
            CandidateError: The backbone does not belong to the table's space; the message names the first
                variable that differs.
        """
        return self._space.encode(Candidate(backbone, SelectionScheme(())))

    def profile(self, backbone: Backbone, part: str = SEARCHED) -> ExitProfile:
        """Return the exit profile of a backbone.

        The confidences are float32 numbers, but rounded to float16 in the file.

        Args:
            backbone: A backbone of the table.
            part: Name of the part of the data; default: the validation part.

        Raises:
            CandidateError: The backbone is not in the table.
            TableError: The table holds no profiles on `part`.
        """
        row, exits = self.row(backbone), self.description.exit_points + 1
        codes = self._part(part, self._codes)[row]
        correct = np.unpackbits(self._correct[part][row], axis=1, count=codes.shape[1])
        confidence = np.ascontiguousarray(codes.view("<f2").T, dtype=np.float32)
        return ExitProfile(
            tuple(range(exits - 1)), confidence, np.ascontiguousarray(correct.T.astype(np.bool_))
        )

    def anatomy(self, backbone: Backbone) -> Anatomy:
        """Return the costs of a backbone's segments; the output shape of every segment is `UNKNOWN_SHAPE`.

        Raises:
            CandidateError: The backbone is not in the table.
        """
        row = self.row(backbone)
        macs, params, activations = (self._costs[name][row].tolist() for name in SEGMENT_COSTS)
        image_stages = self.description.image_stages
        segments = [
            SegmentCost(*each, UNKNOWN_SHAPE, reads_image=at in image_stages)
            for at, each in enumerate(zip(macs, params, activations, strict=True))
        ]
        stages = self.description.exit_points + 1
        return Anatomy(tuple(segments[:stages]), dict(enumerate(segments[stages:-1])), segments[-1])

    def metrics(self, candidate: Candidate, part: str = SEARCHED) -> Metrics:
        """Return the candidate's metrics.

        They are equal to the result of `edanas.evaluation.scoring.score` on the candidate's exit profile.

        Args:
            candidate: A candidate whose backbone is in the table.
            part: Name of the part of the data; default: the validation part.

        Raises:
            CandidateError: The candidate does not belong to the table's space, or its backbone is not in the
                table.
            TableError: The table holds no profiles on `part`.
        """
        row = self.row(candidate.backbone)
        placed = candidate.scheme.placed
        key = row, idle_stages(self.description.image_stages, placed)
        costs = self._backbone_costs.get(key)
        if costs is None:
            running = self.anatomy(candidate.backbone).running(placed)
            costs = self._backbone_costs[key] = BackboneCosts.of(running)
        return costs.metrics(self.outcome(row, candidate.scheme, part), candidate.scheme)

    def outcome(self, row: int, scheme: SelectionScheme, part: str = SEARCHED) -> Outcome:
        """Return accuracy and utilization of a backbone under a selection scheme.

        The result is equal to that of `edanas.thresholds.profiles.outcome`. Samples are represented by the
        bits of large integers, so that a few operations process hundreds of samples.

        Args:
            row: Position of the backbone's row in the table.
            scheme: The selection scheme.
            part: Name of the part of the data; default: the validation part.

        Raises:
            CandidateError: The number of exit points in `scheme` differs from the table's.
            TableError: The table holds no profiles on `part`.
        """
        points = self.description.exit_points
        self._check_scheme(scheme)
        remaining, total = self._part(part, self._all_samples), self.description.parts[part]
        codes, correct = self._codes[part][row], self._correct[part][row]
        exiting, right = [0] * (points + 1), [0] * (points + 1)
        for point in scheme.placed:
            firing = remaining & _bits(codes[point] >= _code(scheme.thresholds[point]))
            remaining ^= firing
            exiting[point] = firing.bit_count()
            right[point] = (firing & int.from_bytes(correct[point].tobytes())).bit_count()
        last = int.from_bytes(correct[points].tobytes())
        exiting[points], right[points] = remaining.bit_count(), (remaining & last).bit_count()
        return Outcome(
            accuracy=sum(right) / total,
            utilization=tuple(count / total for count in exiting),
            exit_accuracy=tuple(
                r / count if count else None for r, count in zip(right, exiting, strict=True)
            ),
            backbone_accuracy=last.bit_count() / total,
        )

    def sweep(
        self, scheme: SelectionScheme, part: str = SEARCHED, rows: npt.NDArray[np.int64] | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Count the samples that exit at each exit, and the correct predictions there, for many backbones.

        Args:
            scheme: The selection scheme, with a threshold or `None` for each of N exit points.
            part: Name of the part of the data; default: the validation part.
            rows: Positions of n rows of the table, (n,); `None`, the default, takes all rows.

        Returns:
            Two arrays (n, N + 1): the numbers of samples that exit, and the numbers of correct predictions.
            The last column belongs to the last exit.

        Raises:
            CandidateError: The number of exit points in `scheme` differs from the table's.
            TableError: The table holds no profiles on `part`.
        """
        self._check_scheme(scheme)
        at = slice(None) if rows is None else rows
        codes, correct = self._part(part, self._codes), self._correct[part]
        size, samples = len(codes[at]), self.description.parts[part]
        remaining = np.packbits(np.ones((size, samples), dtype=np.bool_), axis=1)
        exiting, right = np.zeros((2, size, len(scheme.thresholds) + 1), dtype=np.int64)
        for point in (*scheme.placed, len(scheme.thresholds)):
            firing = remaining
            if point < len(scheme.thresholds):
                firing = firing & np.packbits(codes[at, point] >= _code(scheme.thresholds[point]), axis=1)
            remaining = remaining ^ firing
            exiting[:, point], right[:, point] = _count(firing), _count(firing & correct[at, point])
        return exiting, right

    def segments(self, kind: str) -> npt.NDArray[np.int64]:
        """Return the costs of all segments of the n backbones, (n, 2N + 2) for N exit points.

        The columns belong to the N + 1 stages, then the N heads, then the last exit.

        Args:
            kind: Kind of cost: `macs`, `params` or `activations`.
        """
        costs: npt.NDArray[np.int64] = self._costs[kind]
        return costs

    def _check_scheme(self, scheme: SelectionScheme) -> None:
        count, points = len(scheme.thresholds), self.description.exit_points
        if count != points:
            raise CandidateError(
                f"exit{min(count, points) + 1}.threshold: found a scheme with {count} exit points; the space "
                f"of the table has {points}"
            )

    def _part(self, part: str, of: dict[str, Any]) -> Any:
        try:
            return of[part]
        except KeyError:
            raise TableError(f"{self.path}: {unknown('part', part, self.description.parts)}") from None


def _bits(flags: npt.NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(flags).tobytes())


def _count(bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    counts: npt.NDArray[np.int64] = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    return counts


def _code(threshold: float | None) -> np.uint16:
    """Return the bits of the smallest float16 number that is at least the threshold, rounded to float32."""
    exact = np.float32(threshold)
    near = np.float16(exact)
    if near < exact:
        near = np.nextafter(near, np.float16(2))
    return abs(near).view(np.uint16)


def _check(path: Path, description: Description, arrays: Arrays, *, verify: bool) -> None:
    """Check the values of the tensors.

    Raises:
        TableError: A genome is invalid or occurs twice, or a cost is negative. If `verify` is true, also: a
            confidence is outside 0 to 1.
    """
    genomes = np.asarray(arrays["genomes"], dtype=np.int64)
    try:
        canonical = description.backbone_space().canonical(genomes)
    except EdanasError as error:
        raise TableError(f"{path}: the table is damaged: {error}; copy or download it again") from error
    wrong = ""
    if (canonical != genomes).any():
        wrong = "a genome is not canonical"
    elif len(np.unique(genomes, axis=0)) < len(genomes):
        wrong = "it holds a backbone twice"
    elif any((arrays[name] < 0).any() for name in SEGMENT_COSTS):
        wrong = "a cost is negative"
    elif verify and any((arrays[f"{p}.confidence"].view("<u2") > _ONE).any() for p in description.parts):
        wrong = "a confidence is outside 0 to 1"
    if wrong:
        raise TableError(f"{path}: the table is damaged: {wrong}; copy or download it again")


def _reopen(kind: type[Table], path: Path) -> Table:
    return kind.open(path, verify=False)
