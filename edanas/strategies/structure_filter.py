"""A filter for candidates whose structure keeps the constraints, and random candidates of that kind."""

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import SearchProblem
from edanas.strategies.genetic import cross, dress, mutate
from edanas.strategies.search_history import Genomes, Values, draw, unseen

POOL = 64
"""Genomes in each generation of the search for feasible candidates."""

GENERATIONS = 40
"""Most generations; the search also ends after half as many generations without a new feasible genome."""


class StructureFilter:
    """A filter by `SearchProblem.structure`, with a cache of the violations.

    If the problem has no structural constraint, every genome passes.
    """

    def __init__(self, problem: SearchProblem) -> None:
        self._space, self._structure = problem.space, problem.structure
        self._known: dict[bytes, float] = {}

    def __call__(self, genomes: Genomes) -> Genomes:
        """Return the rows of (n, D) canonical genomes that keep the structural constraints."""
        return genomes[self.violations(genomes) == 0] if self._structure else genomes

    def violations(self, genomes: Genomes) -> Values:
        """Return the structural violation of each genome, (n,); 0 = feasible."""
        if self._structure is None:
            return np.zeros(len(genomes))
        for row in genomes:
            if row.tobytes() not in self._known:
                self._known[row.tobytes()] = self._structure(self._space.decode(row))
        return np.array([self._known[row.tobytes()] for row in genomes], dtype=np.float64)

    def draw(self, rng: np.random.Generator, count: int, held: set[bytes]) -> Genomes:
        """Return `count` distinct random feasible genomes that are not in `held`, or fewer.

        Random sampling comes first, see `draw`. Where it yields too few, evolution continues from the genomes
        with the least violation, so that a narrow feasible region is reached. If no feasible genome exists at
        all, the genome with the least violation is returned: its evaluation then reports the excess.
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
        """Return at most `count` feasible genomes, by a (mu + lambda) search for the least violation."""
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
