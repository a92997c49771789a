"""Reading a table: any candidate on a backbone in it is answered exactly, and no network runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from edanas.core.errors import CandidateError, EdanasError, TableError, unknown
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
"""Bits of 1.0 in float16. Bits of floats that are not negative are in the order of the floats."""

UNKNOWN_SHAPE = (0, 0, 0)


class Table:
    """Exit profiles of many backbones of one supernet: a search on it trains and runs nothing.

    `Table.open` reads one from a file, which stays mapped. Picklable by its path.

    Args:
        path: Where it was read from.
        description: What it says of itself.
        arrays: Its tensors, as `edanas.tables.file_format` has them.
        digest: Names its content.
    """

    def __init__(self, path: Path, description: Description, arrays: Arrays, digest: str) -> None:
        self.path, self.description, self.digest = path, description, digest
        self._space = description.backbone_space()
        self._genomes = np.asarray(arrays["genomes"], dtype=np.int64)
        self._costs = {name: arrays[name] for name in SEGMENT_COSTS}
        self._codes = {p: arrays[f"{p}.confidence"].view("<u2") for p in description.parts}
        self._correct = {p: arrays[f"{p}.correct"] for p in description.parts}
        self._everybody = {p: _bits(np.ones(size, dtype=np.bool_)) for p, size in description.parts.items()}
        self._row_of = {genome.tobytes(): row for row, genome in enumerate(self._genomes)}
        self._known: dict[Backbone, int] = {}
        self._bills: dict[int, BackboneCosts] = {}

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = True) -> Self:
        """Read a table.

        Args:
            path: The file.
            verify: Whether to read all of it once and check every byte; without, only what a query touches
                is read, and damage shows late or never.

        Raises:
            TableError: There is no such file; it is no table; it is of another version; it is damaged.
        """
        description, arrays, digest = read(Path(path), verify=verify)
        _check(Path(path), description, arrays, verify=verify)
        return cls(Path(path), description, arrays, digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (type(self), self.path)

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
        """The part that a search judges on, and the held-out one."""
        searched, held_out = self.description.parts
        return searched, held_out

    @property
    def genomes(self) -> npt.NDArray[np.int64]:
        """(n, D) canonical genomes of the backbones, without thresholds."""
        return self._genomes.copy()

    @property
    def backbones(self) -> Iterator[Backbone]:
        """All backbones, by row."""
        return map(self._space.backbone, self._genomes)

    def space(self, thresholds: Thresholds | None = None) -> SearchSpace:
        """The search space, with the table's thresholds or any others."""
        return self.description.space(thresholds)

    def row(self, backbone: Backbone) -> int:
        """Where `backbone` stands in the table.

        Raises:
            CandidateError: It is of another space, or of this one and not in the table.
        """
        row = self._known.get(backbone)
        if row is None:
            genome = self.genome(backbone)
            row = self._row_of.get(genome.tobytes())
            if row is None:
                raise CandidateError(
                    f"backbone {backbone.id} is not in the table, which holds {len(self):,} of "
                    f"{self.description.space_size:,}; `edanas.tables.Neighbours` estimates it"
                )
            self._known[backbone] = row
        return row

    def genome(self, backbone: Backbone) -> npt.NDArray[np.int64]:
        """The canonical genome (D,) of a backbone of the table's space, in the table or not.

        Raises:
            CandidateError: It is of another space; the text names the first variable that differs.
        """
        return self._space.encode(Candidate(backbone, SelectionScheme(())))

    def profile(self, backbone: Backbone, part: str = SEARCHED) -> ExitProfile:
        """The exit profile of a backbone: confidences as the table rounds them, in float32.

        Raises:
            CandidateError: The backbone is not in the table.
            TableError: The table has no such part.
        """
        row, exits = self.row(backbone), self.description.exit_points + 1
        codes = self._part(part, self._codes)[row]
        correct = np.unpackbits(self._correct[part][row], axis=1, count=codes.shape[1])
        confidence = np.ascontiguousarray(codes.view("<f2").T, dtype=np.float32)
        return ExitProfile(
            tuple(range(exits - 1)), confidence, np.ascontiguousarray(correct.T.astype(np.bool_))
        )

    def anatomy(self, backbone: Backbone) -> Anatomy:
        """What the segments of a backbone cost; a table does not keep the shapes of their outputs.

        Raises:
            CandidateError: The backbone is not in the table.
        """
        row = self.row(backbone)
        macs, params, activations = (self._costs[name][row].tolist() for name in SEGMENT_COSTS)
        segments = [SegmentCost(*each, UNKNOWN_SHAPE) for each in zip(macs, params, activations, strict=True)]
        stages = self.description.exit_points + 1
        return Anatomy(tuple(segments[:stages]), dict(enumerate(segments[stages:-1])), segments[-1])

    def metrics(self, candidate: Candidate, part: str = SEARCHED) -> Metrics:
        """What `edanas.evaluation.scoring.score` says of the candidate's exit profile, number for number.

        Raises:
            CandidateError: The candidate is of another space, or its backbone is not in the table.
            TableError: The table has no such part.
        """
        row = self.row(candidate.backbone)
        bill = self._bills.get(row)
        if bill is None:
            bill = self._bills[row] = BackboneCosts.of(self.anatomy(candidate.backbone))
        return bill.metrics(self.outcome(row, candidate.scheme, part), candidate.scheme)

    def outcome(self, row: int, scheme: SelectionScheme, part: str = SEARCHED) -> Outcome:
        """Who leaves where and is right, for the backbone in that row: `edanas.thresholds.profiles.outcome`.

        Samples are the bits of whole numbers here: hundreds of them are compared and counted at once.

        Raises:
            CandidateError: The scheme has another number of exit points.
            TableError: The table has no such part.
        """
        points = self.description.exit_points
        self._fits(scheme)
        staying, total = self._part(part, self._everybody), self.description.parts[part]
        codes, correct = self._codes[part][row], self._correct[part][row]
        leaving, right = [0] * (points + 1), [0] * (points + 1)
        for point in scheme.placed:
            going = staying & _bits(codes[point] >= _code(scheme.thresholds[point]))
            staying ^= going
            leaving[point] = going.bit_count()
            right[point] = (going & int.from_bytes(correct[point].tobytes())).bit_count()
        last = int.from_bytes(correct[points].tobytes())
        leaving[points], right[points] = staying.bit_count(), (staying & last).bit_count()
        return Outcome(
            accuracy=sum(right) / total,
            utilization=tuple(count / total for count in leaving),
            exit_accuracy=tuple(
                r / count if count else None for r, count in zip(right, leaving, strict=True)
            ),
            backbone_accuracy=last.bit_count() / total,
        )

    def sweep(
        self, scheme: SelectionScheme, part: str = SEARCHED, rows: npt.NDArray[np.int64] | None = None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """One scheme on many backbones at once: how many samples leave at each exit, and how many are right.

        Args:
            scheme: With N exit points.
            part: The samples.
            rows: (n,) of the table; all if left out.

        Returns:
            Two arrays (n, N + 1), the last exit last.

        Raises:
            CandidateError: The scheme has another number of exit points.
            TableError: The table has no such part.
        """
        self._fits(scheme)
        at = slice(None) if rows is None else rows
        codes, correct = self._part(part, self._codes), self._correct[part]
        size, samples = len(codes[at]), self.description.parts[part]
        staying = np.packbits(np.ones((size, samples), dtype=np.bool_), axis=1)
        leaving, right = np.zeros((2, size, len(scheme.thresholds) + 1), dtype=np.int64)
        for point in (*scheme.placed, len(scheme.thresholds)):
            going = staying
            if point < len(scheme.thresholds):
                going = going & np.packbits(codes[at, point] >= _code(scheme.thresholds[point]), axis=1)
            staying = staying ^ going
            leaving[:, point], right[:, point] = _count(going), _count(going & correct[at, point])
        return leaving, right

    def segments(self, kind: str) -> npt.NDArray[np.int64]:
        """Costs of all backbones, (n, 2N + 2): of the stages, the heads, the last exit.

        Args:
            kind: `macs`, `params` or `activations`.
        """
        found: npt.NDArray[np.int64] = self._costs[kind]
        return found

    def _fits(self, scheme: SelectionScheme) -> None:
        found, points = len(scheme.thresholds), self.description.exit_points
        if found != points:
            raise CandidateError(
                f"exit{min(found, points) + 1}.threshold: found {found} exit points; this space has {points}"
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
    """Bits of the smallest float16 that is no less than the threshold in float32, where networks compare."""
    exact = np.float32(threshold)
    near = np.float16(exact)
    if near < exact:
        near = np.nextafter(near, np.float16(2))
    return abs(near).view(np.uint16)


def _check(path: Path, description: Description, arrays: Arrays, *, verify: bool) -> None:
    """What the tensors hold is what their names promise.

    Raises:
        TableError: It is not.
    """
    genomes = np.asarray(arrays["genomes"], dtype=np.int64)
    try:
        canonical = description.backbone_space().canonical(genomes)
    except EdanasError as error:
        raise TableError(f"{path}: the table is damaged: {error}; copy or download it again") from error
    wrong = ""
    if (canonical != genomes).any() or len(np.unique(genomes, axis=0)) < len(genomes):
        wrong = "a backbone stands in it twice"
    elif any((arrays[name] < 0).any() for name in SEGMENT_COSTS):
        wrong = "a cost is negative"
    elif verify and any((arrays[f"{p}.confidence"].view("<u2") > _ONE).any() for p in description.parts):
        wrong = "a confidence is outside 0 to 1"
    if wrong:
        raise TableError(f"{path}: the table is damaged: {wrong}; copy or download it again")


def _reopened(kind: type[Table], path: Path) -> Table:
    return kind.open(path, verify=False)
