"""The search of the EDANAS paper (Section IV, after MSuNAS and CNAS) as its public code runs it.

The initial archive has 100 random candidates of 340, or the same share of a smaller budget. Each iteration
fits a surrogate for each objective by adaptive switching among RBF, CART, MLP and GP. NSGA-II in real numbers
then evaluates the surrogates at fractional genes: population 40 seeded with the archive's front, two-point
crossover 0.9, polynomial mutation with eta 1, 20 generations. Genes are truncated to integers. A small
genetic algorithm selects the 8 that spread best along the second objective together with the front.

Surrogates are those of edanas, the same models with fewer trees and steps (see `benchmarks/surrogates.py`),
which saves hours and hardly changes Kendall's tau. So is the cross-validation: fewer than
10 folds, and 5 from 100 candidates on, where the paper always has 10. Unexpressed genes stay as they are, as
in the public code.
"""

import numpy as np

from edanas.numerics.pareto import non_dominated
from edanas.run.compose import surrogate_factory
from search_rivals import Genomes, Options, Recorder, Values
from search_rivals.edanas_strategies import registry

POOL = ("rbf", "cart", "mlp", "gp")
FULL_BUDGET, FULL_INITIAL = 340, 100
SUBSETS, SUBSET_GENERATIONS = 100, 60


def paper(function, record: Recorder, seed: int, options: Options) -> None:
    """Run the procedure that the module describes."""
    space = function.space
    rng = np.random.default_rng(seed)
    initial = round(FULL_INITIAL * (options.scaled or FULL_BUDGET) / FULL_BUDGET)
    genomes = rng.integers(0, space.counts, size=(initial, space.dimensions), dtype=np.int64)
    values = record(genomes)
    while True:
        new = _propose(space, rng, genomes, values, options.batch)
        values = np.concatenate([values, record(new)])
        genomes = np.concatenate([genomes, new])


def _propose(space, rng: np.random.Generator, genomes: Genomes, values: Values, count: int) -> Genomes:
    factory = surrogate_factory(registry(), POOL)
    models = [
        factory(int(rng.integers(2**31))).fit(genomes.astype(np.float64), values[:, j])
        for j in range(values.shape[1])
    ]

    def predict(X: Values) -> Values:
        return np.stack([model.predict(X) for model in models], axis=1)

    front = non_dominated(values)
    X, F = _nsga2(space, predict, genomes[front].astype(np.float64), int(rng.integers(2**31)))
    held = {row.tobytes() for row in genomes}
    rows: dict[bytes, int] = {}
    for at, row in enumerate(X.astype(np.int64)):
        if row.tobytes() not in held:
            rows.setdefault(row.tobytes(), at)
    pool = np.array(list(rows.values()), dtype=np.int64)
    chosen = pool[_subset(rng, values[front, 1], F[pool, 1], count)]
    proposed = X[chosen].astype(np.int64)
    missing = count - len(proposed)
    more = rng.integers(0, space.counts, size=(missing, space.dimensions), dtype=np.int64)
    return np.concatenate([proposed, more])


def _nsga2(space, predict, start: Values, seed: int) -> tuple[Values, Values]:
    """Return the last population, with fractional genes, and its predictions."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.pntx import TwoPointCrossover
    from pymoo.operators.mutation.pm import PM
    from pymoo.optimize import minimize

    class Predicted(Problem):
        def _evaluate(self, X, out, *_args, **_kwargs):
            out["F"] = predict(X)

    problem = Predicted(n_var=space.dimensions, n_obj=2, xl=0.0, xu=(space.counts - 1).astype(float))
    algorithm = NSGA2(
        pop_size=40,
        sampling=np.unique(start, axis=0),
        crossover=TwoPointCrossover(prob=0.9),
        mutation=PM(eta=1.0),
        eliminate_duplicates=True,
    )
    result = minimize(problem, algorithm, ("n_gen", 20), seed=seed, verbose=False)
    return result.pop.get("X"), result.pop.get("F")


def _subset(rng: np.random.Generator, fixed: Values, pool: Values, count: int) -> Genomes:
    """Return positions of `count` numbers of `pool` with the most equal gaps, by a genetic algorithm."""
    if len(pool) <= count:
        return np.arange(len(pool))
    keys = rng.random((SUBSETS, len(pool)))
    chosen = keys.argsort(axis=1)[:, :count]
    score = _spread(fixed, pool, chosen)
    for _ in range(SUBSET_GENERATIONS):
        parents = rng.integers(0, SUBSETS, size=(2, SUBSETS))
        parents = np.where(score[parents] <= score[parents[::-1]], parents, parents[::-1])[0]
        keys = rng.random((SUBSETS, len(pool)))
        # Members of a parent come first, members of both before them; one in ten is replaced.
        for mate in (parents, rng.permutation(parents)):
            np.put_along_axis(keys, chosen[mate], np.take_along_axis(keys, chosen[mate], 1) - 1, 1)
        keys += 2 * (rng.random(keys.shape) < 0.1)
        children = keys.argsort(axis=1)[:, :count]
        both = np.concatenate([chosen, children])
        scores = np.concatenate([score, _spread(fixed, pool, children)])
        best = scores.argsort(kind="stable")[:SUBSETS]
        chosen, score = both[best], scores[best]
    return np.sort(chosen[0])


def _spread(fixed: Values, pool: Values, subsets: Genomes) -> Values:
    rows = np.concatenate([np.repeat(fixed[None], len(subsets), axis=0), pool[subsets]], axis=1)
    return np.diff(np.sort(rows, axis=1), axis=1).std(axis=1)
