"""What a strategy was told, and how to draw what it was not told."""

from collections.abc import Container, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from edanas.core.feasible import feasible_first
from edanas.core.space import SearchSpace
from edanas.core.types import ExitProfile
from edanas.numerics.pareto import non_dominated

Genomes = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

ROUNDS = 8
"""Rounds of sampling before the space is walked: by then few new candidates are left to be found."""

POOL = 1024
"""How many new candidates the walk gathers to draw from."""


class SearchHistory:
    """Everything told so far, in the archive's order, whatever the number of calls it came in.

    Args:
        space: Where the genomes are from.
        objectives: J, the values in a row.
        limits: M, the excesses in a row.
    """

    def __init__(self, space: SearchSpace, objectives: int, limits: int = 0) -> None:
        self.genomes: Genomes = np.zeros((0, space.dimensions), dtype=np.int64)
        self.values: Values = np.zeros((0, objectives))
        self.excesses: Values = np.zeros((0, limits))
        self.held: set[bytes] = set()
        self.profiles: dict[bytes, ExitProfile] = {}
        self._space = space

    def __len__(self) -> int:
        return len(self.genomes)

    def add(
        self,
        genomes: Genomes,
        values: Values,
        profiles: Sequence[ExitProfile | None] = (),
        excesses: Values | None = None,
    ) -> None:
        """Append (n, D) genes, (n, J) values and (n, M) excesses, and keep what exit profiles there are.

        Raises:
            ValueError: There are not as many rows of the one as of the other, or not J or M numbers to a row.
        """
        rows = self._space.canonical(np.asarray(genomes, dtype=np.int64).reshape(-1, self._space.dimensions))
        numbers = np.asarray(values, dtype=np.float64)
        if numbers.shape != (len(rows), self.values.shape[1]):
            raise ValueError(
                f"told {len(rows)} genomes with values of shape {numbers.shape}; "
                f"expected {(len(rows), self.values.shape[1])}"
            )
        beyond = np.zeros((len(rows), 0)) if excesses is None else np.asarray(excesses, dtype=np.float64)
        if beyond.shape != (len(rows), self.excesses.shape[1]):
            raise ValueError(
                f"told {len(rows)} genomes with excesses of shape {beyond.shape}; "
                f"expected {(len(rows), self.excesses.shape[1])}"
            )
        self.genomes = np.concatenate([self.genomes, rows])
        self.excesses = np.concatenate([self.excesses, beyond])
        self.values = np.concatenate([self.values, numbers])
        self.held.update(row.tobytes() for row in rows)
        for row, profile in zip(rows, profiles, strict=False):
            if profile is not None:
                self.profiles[row.tobytes()] = profile

    @property
    def violations(self) -> Values:
        """(n,) the sum of each row's excesses above 0; NaN where it failed."""
        return np.asarray(np.maximum(self.excesses, 0.0).sum(axis=1))

    @property
    def ranked(self) -> Values:
        """(n, J) values in which dominance puts the feasible first; see `feasible_first`."""
        return feasible_first(self.values, self.violations)

    def succeeded(self) -> tuple[Genomes, Values]:
        """The rows whose values are all finite: (m, D) and (m, J) as `ranked`."""
        finite = np.isfinite(self.values).all(axis=1)
        return self.genomes[finite], self.ranked[finite]

    def measured(self) -> tuple[Genomes, Values]:
        """The same rows with what was measured: (m, D), and (m, J + M) values and excesses."""
        finite = np.isfinite(self.values).all(axis=1)
        return self.genomes[finite], np.hstack([self.values, self.excesses])[finite]

    def front(self) -> tuple[Genomes, Values]:
        """The rows that no other row dominates, the feasible first, as `ranked`."""
        ranked = self.ranked
        best = non_dominated(ranked)
        return self.genomes[best], ranked[best]


def unseen(genomes: Genomes, held: Container[bytes]) -> npt.NDArray[np.int64]:
    """Positions of the rows of (n, D) canonical genomes that are not `held`; of equals, the first's."""
    first: dict[bytes, int] = {}
    for position, row in enumerate(genomes):
        first.setdefault(row.tobytes(), position)
    return np.array([position for key, position in first.items() if key not in held], dtype=np.int64)


def draw(space: SearchSpace, rng: np.random.Generator, count: int, held: set[bytes]) -> Genomes:
    """`count` distinct random genomes that are not `held`, or all of them where there are fewer.

    Each expressed gene is uniform over its choices. Where sampling finds too few, the space is walked in
    order: so a space that is almost used up is used up exactly, without ever listing a large one.
    """
    taken = set(held)
    found = np.zeros((0, space.dimensions), dtype=np.int64)
    for _ in range(ROUNDS):
        if len(found) >= count:
            return found[:count]
        rows = space.sample(rng, max(2 * count, 32))
        rows = rows[unseen(rows, taken)]
        taken.update(row.tobytes() for row in rows)
        found = np.concatenate([found, rows])
    missing = count - len(found)
    if missing > 0:
        left = (row for row in space.genomes() if row.tobytes() not in taken)
        pool = list(islice(left, max(missing, POOL)))
        chosen = rng.permutation(len(pool))[:missing]
        found = np.concatenate([found, *(pool[i][None] for i in chosen)])
    return found[:count]
