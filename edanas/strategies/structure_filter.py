"""Candidates whose structure keeps the constraints: telling them apart, and finding some."""

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import SearchProblem
from edanas.strategies.genetic import cross, dress, mutate
from edanas.strategies.search_history import Genomes, Values, draw, unseen

POOL = 64
"""Genomes in each generation of the search for candidates that are allowed."""

GENERATIONS = 40
"""So many at most; half of them without any that is new end it, too."""


class StructureFilter:
    """What `SearchProblem.structure` allows; remembers what it was asked.

    Where the structure decides nothing, all is allowed.

    Args:
        problem: The search.
    """

    def __init__(self, problem: SearchProblem) -> None:
        self._space, self._structure = problem.space, problem.structure
        self._known: dict[bytes, float] = {}

    def __call__(self, genomes: Genomes) -> Genomes:
        """The rows of (n, D) canonical genomes that are allowed."""
        return genomes[self.violations(genomes) == 0] if self._structure else genomes

    def violations(self, genomes: Genomes) -> Values:
        """(n,) by how much each structure breaks the constraints."""
        if self._structure is None:
            return np.zeros(len(genomes))
        for row in genomes:
            if row.tobytes() not in self._known:
                self._known[row.tobytes()] = self._structure(self._space.decode(row))
        return np.array([self._known[row.tobytes()] for row in genomes], dtype=np.float64)

    def draw(self, rng: np.random.Generator, count: int, held: set[bytes]) -> Genomes:
        """`count` distinct random genomes that are allowed and not `held`, or as many as are found.

        First by chance alone, as `draw` does it. Where chance finds too few, evolution goes on from those
        that break the constraints least, so that a narrow region is found as well. If nothing at all is
        allowed, the nearest that was found comes back: whoever evaluates can then say how far off it is.
        """
        if self._structure is None:
            return draw(self._space, rng, count, held)
        drawn = draw(self._space, rng, max(4 * count, POOL), held)
        found = self(drawn)[:count]
        if len(found) >= count or not len(drawn):
            return found
        found = np.concatenate([found, self._evolve(rng, drawn, count - len(found), held, found)])
        return found if len(found) or held else self._nearest()

    def _nearest(self) -> Genomes:
        nearest = min(self._known, key=lambda key: self._known[key])
        return np.frombuffer(nearest, dtype=np.int64)[None].copy()

    def _evolve(
        self, rng: np.random.Generator, pool: Genomes, count: int, held: set[bytes], had: Genomes
    ) -> Genomes:
        """At most `count` further ones, by a (mu + lambda) search for the least violation."""
        taken = held | {row.tobytes() for row in had}
        found: list[npt.NDArray[np.int64]] = []
        idle = 0
        for _ in range(GENERATIONS):
            if len(found) >= count or idle > GENERATIONS // 2:
                break
            pool = pool[np.argsort(self.violations(pool), kind="stable")[:POOL]]
            parents = dress(self._space, rng, pool[rng.integers(0, len(pool), size=POOL)])
            children = self._space.canonical(cross(rng, parents[::2], parents[1::2], 0.5))
            children = mutate(self._space, rng, children, 1.0)
            new = self(children[unseen(children, taken)])[: count - len(found)]
            taken.update(row.tobytes() for row in new)
            found += list(new)
            idle = 0 if len(new) else idle + 1
            pool = np.concatenate([pool, children])
            pool = pool[unseen(pool, set())]
        return np.array(found, dtype=np.int64).reshape(-1, self._space.dimensions)
