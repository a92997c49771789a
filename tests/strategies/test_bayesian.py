"""Bayesian optimisation by BoTorch on a function whose best candidates are known."""

import importlib
from dataclasses import replace

import numpy as np
import pytest

from edanas.core.objective_values import minimised
from edanas.core.space import SearchSpace
from edanas.core.types import Variable
from edanas.numerics.pareto import non_dominated
from edanas.strategies.bayesian import Bayesian
from edanas.strategies.random_search import RandomSearch
from edanas.testing.toy_search import ToyAccuracy, ToyCost, ToyEvaluator, toy_problem, toy_space

pytest.importorskip("botorch", reason="the extra botorch is not installed")

SPACE = toy_space(layers=4)


def evaluate(candidates):
    metrics = [ToyEvaluator().evaluate(each) for each in candidates]
    return np.array([minimised((ToyAccuracy(), ToyCost()), each) for each in metrics])


def searched(strategy, seed, objectives):
    strategy.start(replace(toy_problem(SPACE, seed, initial=8), objectives=objectives))
    chosen, values = strategy.initial(), np.zeros((0, objectives))
    for count in (0, 4, 4, 4):
        new = chosen if not count else strategy.ask(count)
        rows = evaluate(new)[:, :objectives]
        strategy.tell(np.array([SPACE.encode(each) for each in new]), rows)
        values = np.concatenate([values, rows])
    return values


def test_it_finds_more_of_the_front_than_random_search():
    everything = evaluate([SPACE.decode(genome) for genome in SPACE.genomes()])
    front = {tuple(row) for row in everything[non_dominated(everything)]}
    counts = []
    for kind in (Bayesian, RandomSearch):
        rows = [searched(kind(), seed, objectives=2) for seed in (0, 1)]
        counts.append(sum(tuple(row) in front for values in rows for row in values))
    assert counts[0] > counts[1]


@pytest.mark.parametrize("objectives", [1, 2])
def test_an_objective_that_follows_from_the_structure_is_counted(objectives, monkeypatch):
    models, targets = importlib.import_module("botorch.models"), []

    class Recorded(models.SingleTaskGP):
        def __init__(self, X, Y, **options):
            targets.append(Y.numpy())
            super().__init__(X, Y, **options)

    def cost(candidate):
        return float(sum(value for _, value in candidate.backbone.choices))

    def judge(candidate, outcome):
        return [cost(candidate), 1 - outcome.accuracy][:objectives]

    monkeypatch.setattr(models, "SingleTaskGP", Recorded)
    space = SearchSpace(tuple(Variable(f"x{i}", (1, 2, 3)) for i in range(4)), (None,), 0)
    strategy = Bayesian(pool=100)
    strategy.start(replace(toy_problem(space, 0, initial=8), objectives=objectives, judge=judge))
    first = strategy.initial()
    genomes = np.array([space.encode(each) for each in first[2:]])
    values = np.array([[cost(each), genome.std()] for each, genome in zip(first[2:], genomes, strict=True)])
    strategy.tell(genomes, values[:, :objectives])
    batch = strategy.ask(2)
    assert [learnt.tolist() for learnt in targets] == [(-values[:, [1]]).tolist()][: objectives - 1]
    if objectives == 1:
        assert cost(batch[0]) == 4


def test_with_one_objective_it_finds_the_best_candidate():
    best = evaluate([SPACE.decode(genome) for genome in SPACE.genomes()])[:, 0].min()
    values = searched(Bayesian(pool=64), 0, objectives=1)
    assert values.min() == pytest.approx(best, abs=1e-3)
