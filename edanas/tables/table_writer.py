"""Writing of a table: all rows are computed and kept in a journal, then the table's file is written."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Executor
from edanas.core.errors import CandidateError, TableError
from edanas.core.progress import Progress
from edanas.core.space import SearchSpace
from edanas.tables.file_format import Description, creating
from edanas.tables.journal import Journal
from edanas.tables.row_profiler import Row, RowProfiler


@dataclass(frozen=True)
class TableWriter:
    """The writer of one table.

    Args:
        description: The table's description. Its number of backbones, failed backbones and `exhaustive` are
            set when all rows are computed.
        genomes: Genomes of the backbones to profile, (n, D).
        journal: Keeps the rows until all rows are computed.
        profiler: Computes the row of a backbone.
        executor: Runs the profiler; `run` closes the executor.
        progress: Displays a progress bar.
    """

    description: Description
    genomes: npt.NDArray[np.int64]
    journal: Journal
    profiler: RowProfiler
    executor: Executor
    progress: Progress

    def run(self, path: Path) -> None:
        """Compute the rows that the journal lacks, and write the table.

        Args:
            path: Path of the table's file.

        Raises:
            TableError: No backbone could be profiled.
            RunError: A file cannot be written.
        """
        space = self.description.backbone_space()
        with closing(self.executor), self.progress.task("Profiling backbones", len(self.genomes)) as bar:
            missing = [genome for genome in self.genomes if _key(genome) not in self.journal]
            bar.advance(len(self.genomes) - len(missing))
            backbones = (space.backbone(genome) for genome in missing)
            for genome, result in zip(missing, self.executor.run(self.profiler, backbones), strict=True):
                row = str(result) if isinstance(result, CandidateError | str) else self._packed(result)
                self.journal.put(_key(genome), row)
                bar.advance(1, f"failed: {row}" if isinstance(row, str) else "")
        self._write(space, path)

    def _packed(self, row: Row) -> bytes:
        """Return the bytes of a row's tensors, in the order of the description.

        Raises:
            ValueError: The names or shapes of the tensors differ from the description.
        """
        expected = {name: shape for name, (_, shape) in self.description.row().items() if name != "genomes"}
        if {name: array.shape for name, array in row.items()} != expected:
            shapes = {name: array.shape for name, array in row.items()}
            raise ValueError(f"found a row with tensors of shapes {shapes}; expected {expected}")
        return b"".join(row[name].tobytes() for name in expected)

    def _write(self, space: SearchSpace, path: Path) -> None:
        failed = self.journal.failed
        profiled = [genome for genome in self.genomes if _key(genome) not in failed]
        if not profiled:
            cause = next(iter(failed.values()))
            raise TableError(
                f"none of the {len(self.genomes)} backbones could be profiled; the first error: {cause}"
            )
        left_out = tuple(
            {"backbone": dict(space.backbone(genome).choices), "error": failed[_key(genome)]}
            for genome in self.genomes
            if _key(genome) in failed
        )
        description = replace(
            self.description,
            backbones=len(profiled),
            exhaustive=len(profiled) == self.description.space_size,
            failed=left_out,
        )
        with creating(path, description) as arrays:
            for at, genome in enumerate(profiled):
                arrays["genomes"][at] = genome
                for name, piece in self._unpacked(self.journal.get(_key(genome))):
                    arrays[name][at] = piece.reshape(arrays[name].shape[1:])

    def _unpacked(self, row: bytes) -> Iterator[tuple[str, npt.NDArray[np.generic]]]:
        start = 0
        for name, (dtype, count) in self.description.elements().items():
            yield name, np.frombuffer(row, dtype, count, start)
            start += dtype.itemsize * count


def _key(genome: npt.NDArray[np.int64]) -> str:
    return " ".join(map(str, genome.tolist()))
