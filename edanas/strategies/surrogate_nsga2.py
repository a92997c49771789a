"""The strategy `surrogate-nsga2`: NSGA-II on surrogates (Section IV of the paper, after MSuNAS and CNAS).

In each iteration, one surrogate for each objective is fitted on the archive, and NSGA-II searches on the
predictions. Two defaults differ from the paper. A batch consists of the candidates that are predicted to add
most hypervolume together, out of all candidates that NSGA-II visited. A share of each batch is chosen without
surrogates: these candidates are children of the archive, and their evaluation corrects wrong surrogates.
"""

from collections.abc import Callable, Mapping

import numpy as np

from edanas.core.contracts import SearchStrategy
from edanas.core.errors import ConfigError, unknown
from edanas.core.hookspecs import hookimpl
from edanas.numerics.pareto import non_dominated, reference_point
from edanas.strategies.base import Remembering, check
from edanas.strategies.evolution import offspring
from edanas.strategies.genetic import Genomes, Mating, Nsga2, Values
from edanas.strategies.hypervolume_gain import choose_gains
from edanas.strategies.predictions import ObjectivePredictions
from edanas.strategies.search_history import unseen
from edanas.strategies.spread_subset import choose_spread

CHOICES = ("hypervolume", "spread")
"""Rules for the choice of a batch; see `SurrogateNsga2`."""

UNGUIDED = 0.125
"""Default of `unguided` if surrogates learn from genes and values alone, without exit profiles."""

CLIMBERS = 40
"""Largest number of candidates whose neighbours are predicted in one round of refinement."""

_NEIGHBOURS = 8000
"""Largest number of neighbours of the front that are predicted, to fill a batch that is larger than NSGA-II's
population. Fronts of thousands of candidates have hundreds of thousands of neighbours."""


class SurrogateNsga2(Remembering):
    """NSGA-II on surrogates of the objectives; the first population contains the archive's front.

    Args:
        population: Number of candidates that survive each generation of NSGA-II, 2 or more.
        generations: Number of generations of NSGA-II in each iteration of the search.
        crossover: Probability that two parents exchange a contiguous part of their genes, in [0, 1].
        mutation: Mean number of genes that mutate in a child, above 0.
        extremes: True if the initial archive holds two extreme candidates: first choices only, and last
            choices only.
        choice: Rule by which a batch is chosen. `hypervolume`, the default, chooses the candidates that are
            predicted to add most hypervolume together. `spread`, the paper's rule, chooses candidates of the
            last population that fill the gaps along the front.
        refinement: Number of rounds in which the neighbours of the predicted front are predicted, too. It has
            an effect only with `hypervolume`; default 0.
        unguided: Share of each batch that consists of children of the archive, chosen without surrogates. It
            is 0 in the paper. `None`, the default, is 0 if exit profiles are known, since surrogates that
            learn from profiles are seldom wrong. Otherwise `None` is 0.125.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(
        self,
        population: int = 40,
        generations: int = 20,
        crossover: float = 0.9,
        mutation: float = 1.0,
        extremes: bool = True,  # noqa: FBT001, FBT002 - settings pass options by name
        choice: str = "hypervolume",
        refinement: int = 0,
        unguided: float | None = None,
    ) -> None:
        check("population", population, population >= 2, "2 or more")
        check("generations", generations, generations >= 1, "1 or more")
        check("crossover", crossover, 0 <= crossover <= 1, "0 to 1")
        check("mutation", mutation, mutation > 0, "more than 0")
        check("refinement", refinement, refinement >= 0, "0 or more")
        check("unguided", unguided or 0, unguided is None or 0 <= unguided <= 1, "0 to 1")
        if choice not in CHOICES:
            raise ConfigError(f"strategy.choice: {unknown('choice', choice, CHOICES)}")
        self._search = Nsga2(population, generations, crossover, mutation)
        self.extremes = extremes
        self._choice = choice
        self._refinement = refinement
        self._unguided = unguided
        self._notes: dict[str, str] = {}

    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Return the best candidates by the surrogates, and children chosen without surrogates."""
        self._notes = {}
        # Random rounding: otherwise a batch of one candidate would always hold the same number of children.
        children = self._children(rng, int(self._share() * count + rng.random()))
        # A surrogate can be fitted to two candidates, but needs three to rank new candidates.
        if len(self._history.succeeded()[0]) <= 2:
            return children
        guided = self._guided(rng, count)
        guided = guided[unseen(guided, {row.tobytes() for row in children})]
        first = count - len(children)
        return np.concatenate([guided[:first], children, guided[first:]])

    def _share(self) -> float:
        if self._unguided is not None:
            return self._unguided
        return 0.0 if self._problem.judge is not None and self._history.profiles else UNGUIDED

    def _children(self, rng: np.random.Generator, count: int) -> Genomes:
        from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

        search = self._search
        mating = Mating(self._space, rng, search.crossover, search.mutation)
        return offspring(self._history, self._allowed, mating, RankAndCrowding(), search.population, count)

    def _guided(self, rng: np.random.Generator, count: int) -> Genomes:
        """Return at most `count` genomes that the surrogates predict to be best, best first."""
        front, values = self._history.front()
        problem = self._problem
        steps = problem.objectives + problem.limits + self._search.generations
        with problem.progress.task("Proposing candidates", steps) as bar:
            predict = ObjectivePredictions(
                problem, self._history, self._allowed, rng, lambda note: bar.advance(note=note)
            )
            self._notes = predict.notes
            last, _ = self._search.run(
                self._space, predict, self._start(rng, front), int(rng.integers(2**31)), bar.advance
            )
        if predict.feasible():
            self._notes["feasible"] = predict.feasible()
        if len(self._pending):
            # Candidates in work count with their predictions, so that similar ones add little.
            values = np.concatenate([values, predict(self._pending)])
        if self._choice == "spread":
            chosen = self._spread(last, predict, values, count)
        else:
            self._refine(rng, predict)
            chosen = self._most_gain(predict, values, count)
        if len(chosen) < count:
            near = np.concatenate([self._space.neighbours(genome) for genome in front])
            held = self._history.held | {row.tobytes() for row in chosen}
            near = self._allowed(near[unseen(near, held)])
            if len(near) > _NEIGHBOURS:
                near = near[rng.choice(len(near), _NEIGHBOURS, replace=False)]
            chosen = np.concatenate([chosen, self._spread(near, predict, values, count - len(chosen))])
        return chosen

    def notes(self) -> dict[str, str]:
        """Return notes on the surrogates of the latest batch, by objective or measured constraint.

        A note holds the surrogate that adaptive switching chose and its Kendall's tau. With constraints, the
        entry `feasible` holds the share of predicted candidates that are feasible.
        """
        return dict(self._notes)

    def _start(self, rng: np.random.Generator, front: Genomes) -> Genomes:
        """Return the first population of NSGA-II: candidates of the front, then random candidates.

        From a front that is larger than the population, a random subset is taken.
        """
        size = self._search.population
        front = front[unseen(front, set())]
        first = front[rng.permutation(len(front))[:size]]
        more = self._allowed.draw(rng, size - len(first), {g.tobytes() for g in first})
        return np.concatenate([first, more])

    def _refine(self, rng: np.random.Generator, predict: ObjectivePredictions) -> None:
        """Predict the neighbours of the predicted front, as a local search after NSGA-II.

        `predict` keeps the predictions, from which the batch is chosen.
        """
        for _ in range(self._refinement):
            genomes, values = predict.all()
            best = np.flatnonzero(non_dominated(values))
            climbers = genomes[rng.permutation(best)[:CLIMBERS]]
            predict(np.concatenate([self._space.neighbours(genome) for genome in climbers]))

    def _spread(self, pool: Genomes, predict: ObjectivePredictions, front: Values, count: int) -> Genomes:
        """Return at most `count` new genomes of a pool, spread evenly along the front.

        Candidates of a better layer of Pareto dominance come first; see `choose_spread`.
        """
        new = pool[unseen(pool, self._history.held)]
        return new[choose_spread(front, predict(new), count)] if len(new) else new

    def _most_gain(self, predict: ObjectivePredictions, front: Values, count: int) -> Genomes:
        """Return `count` new genomes out of all predicted genomes.

        The genomes that add most hypervolume together come first. If there are fewer than `count`, genomes of
        the best layers of Pareto dominance follow.
        """
        genomes, values = predict.all()
        new = unseen(genomes, self._history.held)
        genomes, values = genomes[new], values[new]
        initial = self._history.values[: self._problem.initial]
        if not np.isfinite(initial).all(axis=1).any():
            initial = self._history.values
        chosen = choose_gains(front, values, reference_point(initial), count)
        rest = np.setdiff1d(np.arange(len(genomes)), chosen)
        more = rest[choose_spread(front, values[rest], count - len(chosen))]
        return np.asarray(genomes[np.concatenate([chosen, more])])


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Register the default strategy, `surrogate-nsga2`."""
    return {"surrogate-nsga2": SurrogateNsga2}
