"""Functions `executed` and `ada` of `search.py`: candidates on the backbones of a table.

A candidate is a backbone with a threshold of `GRID` or none at each exit. A nested strategy chooses backbones
alone, each with its whole front over continuous thresholds. Values are those of the searched part. Fronts of
all candidates and of all backbones are computed once and cached in a file.

In a table that is not exhaustive, other backbones are estimated (`edanas.tables.Neighbours`). Estimates have
no exit profiles, so there are no nested strategies, and the true front is that of the table's own backbones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from search_functions import Function, Genomes, Values

from edanas.core.costs import ada_macs, executed_macs
from edanas.core.progress import Silent
from edanas.core.types import CONTINUOUS, Candidate, ExitProfile, Metrics, Outcome, SelectionScheme
from edanas.numerics.pareto import non_dominated
from edanas.tables import Neighbours, Table
from edanas.tables.digits import digits_table
from edanas.tables.evaluation import TableEvaluation
from edanas.thresholds.schemes import exit_costs

Measure = Literal["executed", "ada"]

COUNTED = {"executed": executed_macs, "ada": ada_macs}
GRID = (0.3, 0.6, 0.8, 0.95, None)


def opened(path: Path | None, digits: Path) -> Table:
    """Open the table at `path`, or the digits table at `digits`, which is built if it is missing.

    Raises:
        EdanasError: The table cannot be read or built.
    """
    return Table.open(path) if path else digits_table(digits, Silent())


@dataclass(frozen=True)
class Fronts:
    """True fronts of a table's candidates.

    Args:
        grid: (k, 2) the front over all backbones and all thresholds of `GRID`.
        starts: (n + 1,) where the rows of each backbone begin in the arrays that follow.
        searched: (m, 2) values of every backbone's front over continuous thresholds.
        held_out: (m, 2) values of the same schemes on the held-out part.
    """

    grid: Values
    starts: Genomes
    searched: Values
    held_out: Values

    @classmethod
    def of(cls, table: Table, measure: Measure) -> "Fronts":
        """Compute the fronts, in about two minutes."""
        from edanas.thresholds.fronts import threshold_front

        searched: list[tuple[float, float]] = []
        held_out: list[tuple[float, float]] = []
        starts = [0]
        for row, backbone in enumerate(table.backbones):
            costs, profile = table.anatomy(backbone).costs, table.profile(backbone)
            front = threshold_front(profile, costs, table.description.exit_points, measure=measure)
            searched += zip(1 - front.accuracy, front.cost, strict=True)
            for scheme in front.schemes:
                other = table.outcome(row, scheme, table.parts[1])
                counted = COUNTED[measure](costs, scheme, other.utilization)
                held_out.append((1 - other.accuracy, counted))
            starts.append(len(searched))
        grid = _grid_front(table, measure)
        return cls(grid, np.array(starts), np.array(searched), np.array(held_out))

    @classmethod
    def cached(cls, table: Table, measure: Measure, folder: Path) -> "Fronts":
        """Read the fronts from their file in `folder`; compute and write it if it is missing."""
        path = folder / f"fronts-{measure}-{table.digest[:12]}.npz"
        if not path.exists():
            np.savez_compressed(path, **vars(cls.of(table, measure)))
        with np.load(path) as arrays:
            return cls(**arrays)

    def of_backbones(self, rows: Sequence[int]) -> tuple[Values, Values]:
        """Return the values (k, 2) of these backbones' schemes on the searched and the held-out part."""
        at = np.concatenate([np.arange(self.starts[row], self.starts[row + 1]) for row in rows])
        return self.searched[at], self.held_out[at]


class TableFunction(Function):
    """Error against executed MACs or ADA_MACS. Picklable by the table's path."""

    def __init__(self, table: Table, measure: Measure, fronts: Fronts, thresholds: Any = GRID) -> None:
        self.table, self.measure, self.fronts = table, measure, fronts
        self.digest, self.has_thresholds = table.digest, table.description.exhaustive
        self._evaluation = TableEvaluation(table, outside=None if self.has_thresholds else Neighbours(table))
        self._rows: dict[bytes, int] = {}
        super().__init__(measure, table.space(thresholds), fronts.grid)

    def evaluate(self, genomes: Genomes) -> Values:
        """See `Function.evaluate`."""
        return np.array(
            [_values(self._evaluation.evaluate(c), self.measure) for c in self._candidates(genomes)]
        )

    def estimated(self, genomes: Genomes) -> int:
        """See `Function.estimated`."""
        genes = len(self.table.description.variables)  # genomes of nested strategies have no others
        space = self.space if genomes.shape[1] > genes else self.table.space(CONTINUOUS)
        return sum(space.backbone(genome) not in self.table for genome in genomes)

    def nested(self) -> "TableFunction | None":
        """See `Function.nested`; `None` if some backbones have no exit profile."""
        if not self.has_thresholds:
            return None
        return TableFunction(self.table, self.measure, self.fronts, CONTINUOUS)

    def insight(self) -> tuple[Any, Any, Callable[[Genomes], Sequence[Any]]]:
        """See `Function.insight`."""

        def judge(candidate: Candidate, outcome: Outcome) -> list[float]:
            return list(_values(self._evaluation.judge(candidate, outcome), self.measure))

        def front(candidate: Candidate, _profile: ExitProfile) -> Values:
            return self.fronts.of_backbones([self.table.row(candidate.backbone)])[0]

        def profiles(genomes: Genomes) -> list[ExitProfile | None]:
            return [self._evaluation.profile(c) for c in self._candidates(genomes)]

        return judge, front, profiles

    def held_out(self, genomes: Genomes) -> Values:
        """Return the values (n, 2) of (n, D) genomes on the held-out part."""
        part = self.table.parts[1]
        return np.array(
            [_values(self.table.metrics(c, part), self.measure) for c in self._candidates(genomes)]
        )

    def with_thresholds(self, genomes: Genomes) -> tuple[Values, Values]:
        """Return the threshold fronts of the genomes' backbones, on the searched and the held-out part."""
        return self.fronts.of_backbones(sorted({self._row(genome) for genome in genomes}))

    def share_with_thresholds(self, values: Values) -> float:
        """Return the hypervolume as a share of that of the front over all backbones and thresholds."""
        return self.volume(values) / self._best_with_thresholds

    @cached_property
    def _best_with_thresholds(self) -> float:
        return self.volume(self.fronts.searched)

    @cached_property
    def best_held_out(self) -> float:
        """Hypervolume on the held-out part of the front over all backbones on the searched part."""
        return self.volume(self.fronts.held_out[non_dominated(self.fronts.searched)])

    def _row(self, genome: Genomes) -> int:
        key = genome.tobytes()
        if key not in self._rows:
            self._rows[key] = self.table.row(self.space.backbone(genome))
        return self._rows[key]

    def _candidates(self, genomes: Genomes) -> list[Candidate]:
        return [self.space.decode(genome) for genome in genomes]


def _grid_front(table: Table, measure: Measure) -> Values:
    """Return the front (k, 2) over all backbones with all thresholds of `GRID`."""
    points = table.description.exit_points
    every = [table.anatomy(backbone).costs for backbone in table.backbones]

    @cache
    def leaving(placed: tuple[int, ...]) -> Values:
        costs = np.zeros((len(every), points + 1))
        for row, each in enumerate(every):
            costs[row, [*placed, points]] = exit_costs(each, placed, measure)
        return costs

    front = np.zeros((0, 2))
    for thresholds in product(GRID, repeat=points):
        scheme = SelectionScheme(thresholds)
        samples, right = table.sweep(scheme)
        total = samples.sum(axis=1)
        errors = 1 - right.sum(axis=1) / total
        values = np.stack([errors, (samples * leaving(scheme.placed)).sum(axis=1) / total], axis=1)
        values = np.concatenate([front, values])
        front = values[non_dominated(values)]
    return np.unique(front, axis=0)


def _values(metrics: Metrics, measure: Measure) -> tuple[float, float]:
    return 1 - metrics.accuracy, metrics.executed_macs if measure == "executed" else metrics.ada_macs
