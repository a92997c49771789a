"""NSGA-II over integer genomes, with the main loop of pymoo and separate operators for mating.

The mating operators of pymoo work on real numbers and on one individual at a time. The operators here work on
arrays of integer genes. A mutated gene takes each of its other choices with equal probability, and every
child is canonical.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.space import SearchSpace
from edanas.strategies.search_history import unseen

Genomes = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

ATTEMPTS = 10
"""Largest number of rounds of mating for new children; a small space may hold no new children."""


def dress(space: SearchSpace, rng: np.random.Generator, genomes: Genomes) -> Genomes:
    """Return the genomes (n, D) with a random choice in every unexpressed gene.

    A later mutation or crossover can make an unexpressed gene expressed. The gene then holds a random choice
    instead of its first choice.
    """
    random = rng.integers(0, space.counts, size=genomes.shape, dtype=np.int64)
    return np.where(space.expressed(genomes), genomes, random)


def mutate(space: SearchSpace, rng: np.random.Generator, genomes: Genomes, mean: float) -> Genomes:
    """Return canonical mutants of the genomes (n, D), in which some expressed genes have another choice.

    Args:
        space: The search space of the genomes.
        rng: The only source of randomness.
        genomes: Canonical genomes, (n, D).
        mean: Mean number of genes that mutate in a genome.
    """
    able = space.expressed(genomes) & (space.counts > 1)
    chance = mean / np.maximum(able.sum(axis=-1, keepdims=True), 1)
    hit = able & (rng.random(genomes.shape) < chance)
    shift = rng.integers(1, np.maximum(space.counts, 2), size=genomes.shape, dtype=np.int64)
    dressed = dress(space, rng, genomes)
    return space.canonical(np.where(hit, (dressed + shift) % space.counts, dressed))


def cross(rng: np.random.Generator, one: Genomes, other: Genomes, probability: float) -> Genomes:
    """Return the children (2n, D) of n pairs of parents, by two-point crossover.

    Args:
        rng: The only source of randomness.
        one: Genomes of the first parents, (n, D).
        other: Genomes of the second parents, (n, D).
        probability: Probability of the crossover; without it, the children of a pair equal the parents.
    """
    count, dimensions = one.shape
    cuts = np.sort(rng.integers(0, dimensions + 1, size=(count, 2)), axis=1)
    at = np.arange(dimensions)
    swap = (at >= cuts[:, :1]) & (at < cuts[:, 1:]) & (rng.random((count, 1)) < probability)
    return np.concatenate([np.where(swap, other, one), np.where(swap, one, other)])


@dataclass
class Mating:
    """Mating in pymoo's main loop: binary tournament, two-point crossover, mutation of integer genes.

    Args:
        space: The search space of the genomes.
        rng: The only source of randomness.
        crossover: Probability that two parents exchange a contiguous part of their genes.
        mutation: Mean number of genes that mutate in a child.
    """

    space: SearchSpace
    rng: np.random.Generator
    crossover: float
    mutation: float

    def do(self, _problem: Any, population: Any, count: int, **_: Any) -> Any:
        """Return at most `count` distinct children that are not in `population`, as a pymoo population."""
        from pymoo.core.population import Population

        genomes = population.get("X").astype(np.int64)
        rank, crowding = population.get("rank"), population.get("crowding")
        held = {row.tobytes() for row in genomes}
        children = np.zeros((0, self.space.dimensions), dtype=np.int64)
        for _attempt in range(ATTEMPTS):
            missing = count - len(children)
            if missing <= 0:
                break
            parents = genomes[self._winners(rank, crowding, missing + missing % 2)]
            parents = dress(self.space, self.rng, parents)
            pairs = cross(self.rng, parents[::2], parents[1::2], self.crossover)
            mutants = mutate(self.space, self.rng, self.space.canonical(pairs), self.mutation)
            mutants = mutants[unseen(mutants, held)][:missing]
            held.update(row.tobytes() for row in mutants)
            children = np.concatenate([children, mutants])
        return Population.new("X", children)

    def _winners(self, rank: npt.NDArray[np.int64], crowding: Values, count: int) -> npt.NDArray[np.int64]:
        """Draw `count` random pairs of individuals, and return the indices of the winners, (count,).

        The winner of a pair has the lower Pareto rank, or at equal rank the larger crowding distance.
        """
        one, other = self.rng.integers(0, len(rank), size=(2, count))
        better = (rank[other] < rank[one]) | ((rank[other] == rank[one]) & (crowding[other] > crowding[one]))
        return np.asarray(np.where(better, other, one))


@dataclass(frozen=True)
class Nsga2:
    """One run of NSGA-II (Deb et al., 2002) with fixed settings.

    Args:
        population: Number of genomes that survive each generation.
        generations: Number of generations; the first population counts as one.
        crossover: Probability that two parents exchange a contiguous part of their genes.
        mutation: Mean number of genes that mutate in a child.
    """

    population: int
    generations: int
    crossover: float
    mutation: float

    def run(
        self,
        space: SearchSpace,
        predict: Callable[[Genomes], Values],
        start: Genomes,
        seed: int,
        each: Callable[[], None],
    ) -> tuple[Genomes, Values]:
        """Return the last population: p genomes (p, D), and their predicted objective values (p, J).

        Args:
            space: The search space of the genomes.
            predict: Function from genomes (n, D) to finite objective values (n, J), which are minimised.
            start: Distinct canonical genomes of the first population, in rows of D genes. Their number may
                differ from `population`.
            seed: Determines all randomness.
            each: Function that is called after each generation.
        """
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.evaluator import Evaluator
        from pymoo.core.problem import Problem
        from pymoo.problems.static import StaticProblem

        mating = Mating(space, np.random.default_rng(seed), self.crossover, self.mutation)
        algorithm = NSGA2(
            pop_size=self.population, sampling=start, mating=mating, eliminate_duplicates=False, output=None
        )
        objectives = predict(start[:1]).shape[1]
        problem = Problem(n_var=space.dimensions, n_obj=objectives, xl=0, xu=space.counts - 1, vtype=int)
        algorithm.setup(problem, termination=("n_gen", self.generations), seed=seed, verbose=False)
        evaluator = Evaluator()
        while algorithm.has_next():
            infills = algorithm.ask()
            if infills is None:
                break
            values = predict(infills.get("X").astype(np.int64))
            evaluator.eval(StaticProblem(problem, F=values), infills)
            algorithm.tell(infills=infills)
            each()
        return algorithm.pop.get("X").astype(np.int64), algorithm.pop.get("F")
