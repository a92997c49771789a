"""The strategy `surrogate-nsga2`: NSGA-II on surrogates (Section IV of the paper, after MSuNAS and CNAS).

In each iteration one surrogate for each objective is fitted on the archive, NSGA-II searches on their
predictions, and of the last population those candidates are evaluated that are new, that no other is
predicted to dominate, and that fill the gaps along the archive's front.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import ExitInsight, SearchProblem, SearchStrategy, SurrogateModel
from edanas.core.errors import ConfigError, PluginError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Candidate, ExitProfile, Outcome
from edanas.strategies.genetic import Genomes, Nsga2, Values
from edanas.strategies.history import History, draw, unseen
from edanas.strategies.subset import choose


class SurrogateNsga2(SearchStrategy):
    """NSGA-II on surrogates of the objectives, seeded with the archive's front.

    Args:
        population: Candidates that survive each generation.
        generations: Generations in each iteration.
        crossover: Probability that two parents exchange a stretch of genes.
        mutation: How many genes mutate in a child, on average.
        extremes: Whether the initial archive holds the candidates of all first and of all last choices.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(
        self,
        population: int = 40,
        generations: int = 20,
        crossover: float = 0.9,
        mutation: float = 1.0,
        extremes: bool = True,  # noqa: FBT001, FBT002 - options are given by name, from settings
    ) -> None:
        _check("population", population, population >= 2, "2 or more")
        _check("generations", generations, generations >= 1, "1 or more")
        _check("crossover", crossover, 0 <= crossover <= 1, "0 to 1")
        _check("mutation", mutation, mutation > 0, "more than 0")
        self._search = Nsga2(population, generations, crossover, mutation)
        self._extremes = extremes
        self._notes: dict[str, str] = {}

    def start(self, problem: SearchProblem) -> None:
        """See `SearchStrategy.start`."""
        self._problem = problem
        self._space = problem.space
        self._history = History(problem.space, problem.objectives)

    def initial(self) -> list[Candidate]:
        """Random candidates, after the two extremes where these are wanted."""
        first = np.zeros((0, self._space.dimensions), dtype=np.int64)
        if self._extremes:
            ends = np.stack([np.zeros_like(self._space.counts), self._space.counts - 1])
            first = self._space.canonical(ends)
            first = first[unseen(first, set())][: self._problem.initial]
        held = {row.tobytes() for row in first}
        rng = np.random.default_rng([self._problem.seed, 0])
        rest = draw(self._space, rng, self._problem.initial - len(first), held)
        return [self._space.decode(genome) for genome in (*first, *rest)]

    def tell(
        self,
        genomes: Genomes,
        objectives: npt.NDArray[np.float64],
        profiles: Sequence[ExitProfile | None] = (),
    ) -> None:
        """See `SearchStrategy.tell`."""
        self._history.add(genomes, objectives, profiles)

    def ask(self, count: int) -> list[Candidate]:
        """New candidates: of NSGA-II, then neighbours of the archive's front, then random ones."""
        rng = np.random.default_rng([self._problem.seed, len(self._history)])
        self._notes = {}
        chosen = np.zeros((0, self._space.dimensions), dtype=np.int64)
        # One candidate more than the fewest a surrogate must accept leaves it something to tell apart.
        if len(self._history.succeeded()[0]) > 2:
            chosen = self._propose(rng, count)
        held = self._history.held | {row.tobytes() for row in chosen}
        chosen = np.concatenate([chosen, draw(self._space, rng, count - len(chosen), held)])
        return [self._space.decode(genome) for genome in chosen]

    def notes(self) -> dict[str, str]:
        """For each objective, the surrogate that adaptive switching chose and its Kendall's tau."""
        return dict(self._notes)

    def _propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """At most `count` new genomes that the surrogates speak for."""
        front, values = self._history.front()
        objectives, generations = self._problem.objectives, self._search.generations
        with self._problem.progress.task("Proposing candidates", objectives + generations) as bar:
            models = []
            for objective in range(objectives):
                models.append(self._fit(objective, int(rng.integers(2**31))))
                bar.advance(note=self._notes.get(f"objective {objective + 1}", ""))

            def predict(genomes: Genomes) -> Values:
                return np.stack([_prediction(model, genomes) for model in models], axis=1)

            pool, predictions = self._search.run(
                self._space, predict, self._start(rng, front), int(rng.integers(2**31)), bar.advance
            )
        new = unseen(pool, self._history.held)
        chosen = pool[new[choose(values, predictions[new], count)]]
        if len(chosen) < count:
            near = np.concatenate([self._space.neighbours(genome) for genome in front])
            near = near[unseen(near, self._history.held | {row.tobytes() for row in chosen})]
            if len(near):
                more = choose(values, predict(near), count - len(chosen))
                chosen = np.concatenate([chosen, near[more]])
        return chosen

    def _start(self, rng: np.random.Generator, front: Genomes) -> Genomes:
        """The first population: the front, thinned at random where it is too long, and random candidates."""
        size = self._search.population
        front = front[unseen(front, set())]
        kept = front[rng.permutation(len(front))[:size]]
        return np.concatenate([kept, draw(self._space, rng, size - len(kept), {g.tobytes() for g in kept})])

    def _fit(self, objective: int, seed: int) -> SurrogateModel:
        genomes, values = self._history.succeeded()
        model = self._problem.surrogate(seed)
        judge = self._problem.judge
        if judge is not None and self._history.profiles:

            def value(candidate: Candidate, outcome: Outcome) -> float:
                return judge(candidate, outcome)[objective]

            model.inform(ExitInsight(self._space, self._history.profiles, value))
        model.fit(genomes.astype(np.float64), values[:, objective])
        chosen, tau = getattr(model, "chosen", None), getattr(model, "tau", None)
        if chosen is not None and tau is not None:
            self._notes[f"objective {objective + 1}"] = f"{chosen} tau {tau:.2f}"
        return model


def _prediction(model: SurrogateModel, genomes: Genomes) -> Values:
    values = np.asarray(model.predict(genomes.astype(np.float64)), dtype=np.float64)
    if values.shape != (len(genomes),) or not np.isfinite(values).all():
        found = f"{values.size - np.isfinite(values).sum()} not finite"
        raise PluginError(
            f"surrogate model {type(model).__name__}: predicted values of shape {values.shape}, {found}; "
            f"allowed: {len(genomes)} finite numbers"
        )
    return values


def _check(option: str, found: float, good: bool, allowed: str) -> None:  # noqa: FBT001 - a private helper
    if not good:
        raise ConfigError(f"strategy.{option}: found {found}; allowed: {allowed}")


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """The paper's strategy."""
    return {"surrogate-nsga2": SurrogateNsga2}
