"""The history of a search, and random genomes that the history does not hold.

Symbols of shapes: n evaluations, m evaluations of candidates that did not fail, D genes, J objectives, M
measured constraints.
"""

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
"""Number of rounds of sampling after which the space is enumerated, since few new candidates are left."""

POOL = 1024
"""Number of new candidates that the enumeration collects, and among which the draw is random."""


class SearchHistory:
    """All evaluations of a search so far, in the order of the archive.

    Args:
        space: The search space of the genomes.
        objectives: J, the number of objectives.
        limits: M, the number of measured constraints; each has an excess. Default 0.

    Example:
        >>> from edanas.core.space import SearchSpace
        >>> from edanas.core.types import Variable
        >>> space = SearchSpace((Variable("width", (1, 2), None, frozenset()),), (None, 0.5), 1)
        >>> history = SearchHistory(space, objectives=1)
        >>> history.add([[0, 1], [1, 0]], [[0.3], [0.1]])
        >>> history.front()[1]
        array([[0.1]])
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
        """Append evaluations.

        Args:
            genomes: Genomes of the candidates, in rows of D genes.
            values: Objective values, in rows of J numbers; NaN or infinite for a failed candidate.
            profiles: Exit profile of each candidate; `None` = unknown. The default has no profiles.
            excesses: Excesses of the measured constraints, in rows of M numbers; `None` if M is 0.

        Raises:
            ValueError: The numbers of rows are unequal, or a row does not have J values or M excesses.
        """
        rows = self._space.canonical(np.asarray(genomes, dtype=np.int64).reshape(-1, self._space.dimensions))
        numbers = np.asarray(values, dtype=np.float64)
        if numbers.shape != (len(rows), self.values.shape[1]):
            raise ValueError(
                f"tell: found {len(rows)} genomes with values of shape {numbers.shape}; "
                f"expected {(len(rows), self.values.shape[1])}"
            )
        beyond = np.zeros((len(rows), 0)) if excesses is None else np.asarray(excesses, dtype=np.float64)
        if beyond.shape != (len(rows), self.excesses.shape[1]):
            raise ValueError(
                f"tell: found {len(rows)} genomes with excesses of shape {beyond.shape}; "
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
        """The sum of the positive excesses of each evaluation, (n,); NaN for a failed candidate."""
        return np.asarray(np.maximum(self.excesses, 0.0).sum(axis=1))

    @property
    def ranked(self) -> Values:
        """Objective values, (n, J), changed so that feasible candidates dominate infeasible candidates.

        `edanas.core.feasible.feasible_first` defines the change.
        """
        return feasible_first(self.values, self.violations)

    def succeeded(self) -> tuple[Genomes, Values]:
        """Return the candidates that did not fail: genomes, (m, D), and values as in `ranked`, (m, J)."""
        finite = np.isfinite(self.values).all(axis=1)
        return self.genomes[finite], self.ranked[finite]

    def measured(self) -> tuple[Genomes, Values]:
        """Return the candidates that did not fail: genomes, (m, D), and measurements, (m, J + M).

        The measurements of a candidate are its objective values and its excesses.
        """
        finite = np.isfinite(self.values).all(axis=1)
        return self.genomes[finite], np.hstack([self.values, self.excesses])[finite]

    def front(self) -> tuple[Genomes, Values]:
        """Return genomes and values of the non-dominated candidates; the values are those of `ranked`."""
        ranked = self.ranked
        best = non_dominated(ranked)
        return self.genomes[best], ranked[best]


def unseen(genomes: Genomes, held: Container[bytes]) -> npt.NDArray[np.int64]:
    """Return the positions of the genomes that are not in `held`; of equal genomes, the first position.

    Args:
        genomes: Canonical genomes, (n, D).
        held: The excluded genomes, as bytes.
    """
    first: dict[bytes, int] = {}
    for position, row in enumerate(genomes):
        first.setdefault(row.tobytes(), position)
    return np.array([position for key, position in first.items() if key not in held], dtype=np.int64)


def draw(space: SearchSpace, rng: np.random.Generator, count: int, held: set[bytes]) -> Genomes:
    """Return `count` distinct random genomes that are not in `held`; if fewer remain, return all of them.

    Each expressed gene is uniform over its choices. If sampling yields too few genomes, the space is
    enumerated in order. The last candidates of a space are therefore found, and a large space is never
    listed.

    Args:
        space: The search space of the genomes.
        rng: The only source of randomness.
        count: Number of genomes.
        held: The excluded genomes, as bytes.
    """
    excluded = set(held)
    drawn = np.zeros((0, space.dimensions), dtype=np.int64)
    for _ in range(ROUNDS):
        if len(drawn) >= count:
            return drawn[:count]
        rows = space.sample(rng, max(2 * count, 32))
        rows = rows[unseen(rows, excluded)]
        excluded.update(row.tobytes() for row in rows)
        drawn = np.concatenate([drawn, rows])
    missing = count - len(drawn)
    if missing > 0:
        left = (row for row in space.genomes() if row.tobytes() not in excluded)
        pool = list(islice(left, max(missing, POOL)))
        chosen = rng.permutation(len(pool))[:missing]
        drawn = np.concatenate([drawn, *(pool[i][None] for i in chosen)])
    return drawn[:count]
