"""The strategy `nested`: a search of backbones, in which each backbone is judged by its threshold front.

Thresholds are continuous and not part of the genome. The exit profile of an evaluated backbone gives its
trade-offs under all thresholds. For a new backbone, the strategy predicts the whole front.
"""

from collections.abc import Callable, Mapping

import numpy as np

from edanas.core.contracts import SearchStrategy
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Candidate, ExitProfile, Outcome, SelectionScheme
from edanas.numerics.kriging import Kriging
from edanas.strategies.base import Remembering, check
from edanas.strategies.front_models import Curves, FrontModel, Reaches
from edanas.strategies.genetic import cross, dress, mutate
from edanas.strategies.pricing import Judge
from edanas.strategies.ray_hypervolume import Rays
from edanas.strategies.search_history import Genomes, Values, unseen

NEAREST = 8
"""Number of candidates whose neighbours are tried as long as no feasible candidate is known."""


class Nested(Remembering):
    """Nested search: evaluates the backbones whose predicted threshold fronts together add most hypervolume.

    The exit profile of an evaluated backbone gives its accuracy under a few hundred reference utilizations.
    Kriging predicts the same accuracies for a new backbone. The costs of the new backbone are exact
    (`SearchProblem.judge`). Accuracies and costs together give the predicted front. For the choice of
    backbones, the accuracies are raised by `optimism` standard deviations.

    The gain of a front in hypervolume is computed as a mean over rays (Zhang and Golovin, 2020), and a
    genetic search maximises the gain. A batch is chosen greedily: the gain of each backbone is computed
    beyond the expected fronts of the backbones chosen before. Kriging predicts the reaches along the rays
    directly in two cases: without exit profiles, and if the objectives are not weighted sums of accuracy and
    utilization.

    Args:
        population: Number of children in each generation, and number of best backbones that become parents.
        generations: Number of generations in each iteration of the search.
        mutation: Mean number of genes that mutate in a child.
        optimism: Number of standard deviations by which the accuracies of a new backbone are raised.
        unguided: Share of each batch that consists of random neighbours of the backbones on the front, in
            [0, 1].
        extremes: True if the initial archive holds the smallest and the largest backbone: first choices only,
            and last choices only.

    Raises:
        ConfigError: An option is out of range.
    """

    nested = True

    def __init__(
        self,
        population: int = 60,
        generations: int = 5,
        mutation: float = 1.0,
        optimism: float = 0.0,
        unguided: float = 0.125,
        extremes: bool = True,  # noqa: FBT001, FBT002 - settings pass options by name
    ) -> None:
        check("population", population, population >= 2, "2 or more")
        check("generations", generations, generations >= 1, "1 or more")
        check("mutation", mutation, mutation > 0, "more than 0")
        check("optimism", optimism, optimism >= 0, "0 or more")
        check("unguided", unguided, 0 <= unguided <= 1, "0 to 1")
        self._population = population
        self._generations = generations
        self._mutation = mutation
        self._optimism = optimism
        self._unguided = unguided
        self.extremes = extremes
        self._curves: Curves | None = None

    def propose(self, rng: np.random.Generator, count: int) -> Genomes:
        """Return the backbones whose predicted fronts add most hypervolume, then some random neighbours.

        The neighbours are new backbones that differ in one gene from a backbone of the front.
        """
        genomes, values = self._history.succeeded()
        if len(genomes) <= 2:
            return genomes[:0]
        fronts = [self.front_of(genome, row) for genome, row in zip(genomes, values, strict=True)]
        if not any(np.isfinite(front).any() for front in fronts):
            return self._least_violating(rng, genomes)
        rays = self._rays(fronts)
        reaches = np.stack([rays.reach(front) for front in fronts])
        owners = genomes[np.unique(reaches.argmax(axis=0))]
        near = self._neighbours(rng, owners, int(self._unguided * count + rng.random()))
        with self._problem.progress.task("Proposing backbones", 1 + self._generations) as bar:
            model = self._model(genomes, fronts)
            model.fit(genomes, reaches, rays)
            bar.advance()
            pool = _Pool(genomes[:0], model, rays, reaches.max(axis=0), self._optimism)
            self._explore(rng, pool, owners, bar.advance)
        chosen = pool.best(count - len(near))
        chosen = chosen[unseen(chosen, {row.tobytes() for row in near})]
        return np.concatenate([chosen, near])

    def _rays(self, fronts: list[Values]) -> Rays:
        """Return rays in the box in which the run measures hypervolume.

        The reference point of the box follows from the fronts of the initial archive. If none of these fronts
        has a feasible trade-off, it follows from all fronts.

        Args:
            fronts: The threshold front of each evaluated backbone, in the order of evaluation.
        """
        succeeded = np.isfinite(self._history.values[: self._problem.initial]).all(axis=1).sum()
        first, every = np.concatenate(fronts[: max(int(succeeded), 1)]), np.concatenate(fronts)
        return Rays(first if np.isfinite(first).any() else every, every)

    def _model(self, genomes: Genomes, fronts: list[Values]) -> FrontModel:
        """Return a `Curves` model if profiles, judge and objectives allow it, otherwise a `Reaches` model."""
        known = [self._history.profiles.get(genome.tobytes()) for genome in genomes]
        profiles = [profile for profile in known if profile is not None]
        judge, every = self._problem.judge, tuple(range(self._space.exit_points))
        whole = len(profiles) == len(genomes) and all(profile.points == every for profile in profiles)
        if judge is None or self._problem.front is None or not every or not whole:
            return Reaches(self._space)
        if self._curves is None:
            ends = self._space.decode(genomes[0]), profiles[0]
            every_exit = not removable(*ends, judge, fronts[0])
            self._curves = Curves(self._space, judge, self._problem.objectives, every_exit=every_exit)
        if not self._curves.fits(genomes[0]):
            return Reaches(self._space)
        self._curves.learn(genomes, profiles)
        return self._curves

    def _explore(
        self, rng: np.random.Generator, pool: "_Pool", owners: Genomes, each: Callable[[], None]
    ) -> None:
        """Fill the pool with new backbones over all generations.

        The first generation consists of neighbours of `owners` and of random backbones. Later generations are
        children of the pool's best backbones and of `owners`.

        Args:
            rng: The only source of randomness.
            pool: The pool to fill.
            owners: Genomes of the evaluated backbones on the front, (n, D).
            each: Function that is called after each generation.
        """
        space, size, held = self._space, self._population, self._history.held
        near = self._neighbours(rng, owners, size)
        pool.add(self._with_random(rng, near))
        each()
        for _ in range(1, self._generations):
            parents = np.concatenate([pool.leaders(size), owners])
            pairs = dress(space, rng, parents[rng.integers(0, len(parents), size=size + size % 2)])
            children = space.canonical(cross(rng, pairs[::2], pairs[1::2], 0.5))
            children = mutate(space, rng, children, self._mutation)
            pool.add(self._allowed(children[unseen(children, held)]))
            each()

    def _with_random(self, rng: np.random.Generator, genomes: Genomes) -> Genomes:
        """Return `genomes`, then up to `population` random genomes that are not evaluated yet."""
        held = self._history.held | {row.tobytes() for row in genomes}
        return np.concatenate([genomes, self._allowed.draw(rng, self._population, held)])

    def _least_violating(self, rng: np.random.Generator, genomes: Genomes) -> Genomes:
        """Return new genomes in the order of their predicted violation of the constraints, smallest first.

        The method is used as long as no trade-off is feasible.
        """
        violations = self._history.violations[np.isfinite(self._history.values).all(axis=1)]
        nearest = genomes[np.argsort(violations, kind="stable")[:NEAREST]]
        pool = self._with_random(rng, self._neighbours(rng, nearest, self._population))
        inputs = Reaches(self._space).inputs
        mean, _ = Kriging(inputs(genomes), violations[:, None]).predict(inputs(pool))
        return np.asarray(pool[np.argsort(mean[:, 0], kind="stable")])

    def _neighbours(self, rng: np.random.Generator, genomes: Genomes, count: int) -> Genomes:
        """Return at most `count` random neighbours of the backbones, none of them evaluated yet."""
        rows = np.concatenate([self._space.neighbours(genome) for genome in genomes])
        new = self._allowed(rows[unseen(rows, self._history.held)])
        return new[rng.permutation(len(new))[:count]]


class _Pool:
    """A pool of distinct new backbones with predicted fronts.

    Args:
        empty: An empty array of genomes, (0, D).
        model: The fitted model of fronts.
        rays: The R rays along which fronts are measured.
        best: Reach along each ray, (R,), of the front of all evaluated backbones; see `Rays.reach`.
        optimism: Number of standard deviations that are added to the prediction; see `Nested`.
    """

    def __init__(self, empty: Genomes, model: FrontModel, rays: Rays, best: Values, optimism: float) -> None:
        self._empty = empty
        self._model, self._rays, self._best, self._optimism = model, rays, best, optimism
        self._held: set[bytes] = set()
        self._genomes: list[Genomes] = []
        self._expected: list[Values] = []
        self._optimistic: list[Values] = []

    def add(self, genomes: Genomes) -> None:
        """Add the backbones that the pool does not hold yet, with their predicted fronts.

        Args:
            genomes: Genomes of backbones, (n, D).
        """
        new = genomes[unseen(genomes, self._held)]
        if len(new):
            expected, optimistic = self._model.predict(new, self._optimism)
            self._held.update(row.tobytes() for row in new)
            self._genomes.append(new)
            self._expected.append(expected)
            self._optimistic.append(optimistic)

    def leaders(self, count: int) -> Genomes:
        """Return the genomes of at most `count` distinct backbones, chosen by optimistic predictions.

        The backbones that reach farthest along a ray come first, then the backbones with the largest gains.
        """
        if not self._genomes:
            return self._empty
        optimistic = np.concatenate(self._optimistic)
        order = np.argsort(-self._gains(self._best), kind="stable")
        ahead = np.flatnonzero((optimistic > self._best).any(axis=0))
        first = np.unique(optimistic[:, ahead].argmax(axis=0))
        positions = np.concatenate([first, order[~np.isin(order, first)]])[:count]
        return np.asarray(np.concatenate(self._genomes)[positions])

    def best(self, count: int) -> Genomes:
        """Return the genomes of at most `count` backbones that together gain most, in the order of choice."""
        if not self._genomes:
            return self._empty
        expected = np.concatenate(self._expected)
        reached, chosen = self._best, []
        left = np.ones(len(expected), dtype=np.bool_)
        for _ in range(min(count, len(expected))):
            # Among backbones without gain, the largest dominated volume decides.
            gains = self._gains(reached) + 1e-9 * self._rays.volume(np.concatenate(self._optimistic))
            at = int(np.where(left, gains, -np.inf).argmax())
            chosen.append(at)
            left[at] = False
            reached = np.maximum(reached, expected[at])
        return np.asarray(np.concatenate(self._genomes)[chosen])

    def _gains(self, reached: Values) -> Values:
        after = self._rays.volume(np.maximum(reached, np.concatenate(self._optimistic)))
        return np.asarray(after - self._rays.volume(reached))


def removable(candidate: Candidate, profile: ExitProfile, judge: Judge, front: Values) -> bool:
    """Return true if the backbone's selection schemes may omit exits.

    In this case, the front contains a point that is at least as good as the backbone without exits.

    Args:
        candidate: A candidate with the backbone.
        profile: The exit profile of the backbone.
        judge: Computes objectives; see `SearchProblem.judge`.
        front: Objective values of the backbone's threshold front, (k, J).
    """
    points = len(candidate.scheme.thresholds)
    alone, shares = float(profile.correct[:, -1].mean()), (*((0.0,) * points), 1.0)
    outcome = Outcome(alone, shares, (*((None,) * points), alone), alone)
    judged = judge(Candidate(candidate.backbone, SelectionScheme((None,) * points)), outcome)
    without = np.array(judged[: front.shape[1]])
    slack = 1e-6 * np.maximum(np.abs(without), 1.0)
    return bool((front <= without + slack).all(axis=1).any())


@hookimpl
def edanas_search_strategies() -> Mapping[str, Callable[..., SearchStrategy]]:
    """Register the strategy `nested`."""
    return {"nested": Nested}
