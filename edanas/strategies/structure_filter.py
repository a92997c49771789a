"""A filter for candidates that satisfy the structural constraints, and random feasible candidates.

A structural constraint can be checked without an evaluation, e.g. a maximum of parameters.
"""

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import SearchProblem
from edanas.strategies.genetic import cross, dress, mutate
from edanas.strategies.search_history import Genomes, Values, draw, unseen

POOL = 64
"""Number of genomes in each generation of the search for feasible candidates."""

GENERATIONS = 40
"""Largest number of generations of the search for feasible candidates.

The search ends earlier after half of this number of generations without a new feasible genome.
"""


class StructureFilter:
    """A filter of genomes by `SearchProblem.structure`, which caches the violations.

    If the problem has no structural constraint, every genome passes the filter.

    Args:
        problem: The problem with the search space and the structural constraints.
    """

    def __init__(self, problem: SearchProblem) -> None:
        self._space, self._structure = problem.space, problem.structure
        self._known: dict[bytes, float] = {}

    def __call__(self, genomes: Genomes) -> Genomes:
        """Return the canonical genomes, out of (n, D), that satisfy the structural constraints."""
        return genomes[self.violations(genomes) == 0] if self._structure else genomes

    def violations(self, genomes: Genomes) -> Values:
        """Return the violation of the structural constraints by each genome, (n,); 0 = feasible."""
        if self._structure is None:
            return np.zeros(len(genomes))
        for row in genomes:
            if row.tobytes() not in self._known:
                self._known[row.tobytes()] = self._structure(self._space.decode(row))
        return np.array([self._known[row.tobytes()] for row in genomes], dtype=np.float64)

    def draw(self, rng: np.random.Generator, count: int, held: set[bytes]) -> Genomes:
        """Return at most `count` distinct random feasible genomes that are not in `held`.

        Random sampling comes first; see `edanas.strategies.search_history.draw`. If it yields too few
        genomes, an evolutionary search starts from the genomes with the smallest violation. It reaches a
        feasible region that is too narrow for sampling. If no feasible genome is found and `held` is empty,
        the genome with the smallest violation is returned. Its evaluation then reports the excess.

        Args:
            rng: The only source of randomness.
            count: Number of genomes.
            held: The excluded genomes, as bytes.
        """
        if self._structure is None:
            return draw(self._space, rng, count, held)
        drawn = draw(self._space, rng, max(4 * count, POOL), held)
        feasible = self(drawn)[:count]
        if len(feasible) >= count or not len(drawn):
            return feasible
        more = self._evolve(rng, drawn, count - len(feasible), held, feasible)
        feasible = np.concatenate([feasible, more])
        return feasible if len(feasible) or held else self._nearest()

    def _nearest(self) -> Genomes:
        nearest = min(self._known, key=lambda key: self._known[key])
        return np.frombuffer(nearest, dtype=np.int64)[None].copy()

    def _evolve(
        self, rng: np.random.Generator, pool: Genomes, count: int, held: set[bytes], drawn: Genomes
    ) -> Genomes:
        """Return at most `count` new feasible genomes, by a (mu + lambda) search for the least violation.

        Args:
            rng: The only source of randomness.
            pool: Genomes with which the search starts, (n, D).
            count: Largest number of genomes.
            held: The excluded genomes, as bytes.
            drawn: Feasible genomes that are already drawn and therefore excluded, too, (m, D).
        """
        excluded = held | {row.tobytes() for row in drawn}
        feasible: list[npt.NDArray[np.int64]] = []
        idle = 0
        for _ in range(GENERATIONS):
            if len(feasible) >= count or idle > GENERATIONS // 2:
                break
            pool = pool[np.argsort(self.violations(pool), kind="stable")[:POOL]]
            parents = dress(self._space, rng, pool[rng.integers(0, len(pool), size=POOL)])
            children = self._space.canonical(cross(rng, parents[::2], parents[1::2], 0.5))
            children = mutate(self._space, rng, children, 1.0)
            new = self(children[unseen(children, excluded)])[: count - len(feasible)]
            excluded.update(row.tobytes() for row in new)
            feasible += list(new)
            idle = 0 if len(new) else idle + 1
            pool = np.concatenate([pool, children])
            pool = pool[unseen(pool, set())]
        return np.array(feasible, dtype=np.int64).reshape(-1, self._space.dimensions)
