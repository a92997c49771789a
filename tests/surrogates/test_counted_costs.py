"""Costs that follow from the structure are exact with every surrogate model; only the rest is learnt."""

import numpy as np
import pytest

from edanas.core.contracts import ExitInsight, SurrogateModel
from edanas.core.settings import Component, Settings
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Outcome, Variable
from edanas.plugins.manager import load_plugins
from edanas.plugins.registry import Registry
from edanas.run.compose import surrogate_factory
from edanas.surrogates.adaptive import kendall_tau
from edanas.surrogates.counted_costs import CountedCosts
from edanas.surrogates.rbf import RBF

REGISTRY = Registry(load_plugins())
POOLS = {name: (Component(name),) for name in REGISTRY.names("surrogate model")}
POOLS["the default"] = Settings().surrogates
every_pool = pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)


def space(thresholds: tuple[float | None, ...] = (0.3, 0.7, None), exits: int = 2) -> SearchSpace:
    return SearchSpace(tuple(Variable(f"x{i}", (1, 2, 3, 4)) for i in range(4)), thresholds, exits)


def macs(candidate: Candidate, outcome: Outcome) -> float:
    """Executed MACs: a wild, unlearnable function of the backbone, split among the exits."""
    rng = np.random.default_rng([int(value) for _, value in candidate.backbone.choices])
    stages = np.cumsum(rng.uniform(1, 100, len(outcome.utilization)))
    heads = np.cumsum([t is not None for t in (*candidate.scheme.thresholds, 1.0)])
    return float(np.dot(outcome.utilization, stages + heads))


def utilization(candidate: Candidate) -> tuple[float, ...]:
    """Shares that depend on the thresholds alone, smoothly: these can be learnt."""
    left, shares = 1.0, []
    for threshold in candidate.scheme.thresholds:
        shares.append(0.0 if threshold is None else left * (1 - threshold))
        left -= shares[-1]
    return (*shares, left)


def measured(candidate: Candidate) -> float:
    shares = utilization(candidate)
    return macs(candidate, Outcome(0.9, shares, (0.9,) * len(shares), 0.9))


def fitted(model: SurrogateModel, searched: SearchSpace, genomes: np.ndarray, values: np.ndarray, value):
    model.inform(ExitInsight(searched, {}, value))
    return model.fit(genomes.astype(float), values)


@every_pool
def test_costs_without_exits_are_exact_for_unseen_candidates(pool):
    searched = space((None,), 0)
    genomes = searched.sample(np.random.default_rng(0), 60)
    values = np.array([measured(searched.decode(genome)) for genome in genomes])
    model = fitted(surrogate_factory(REGISTRY, pool)(0), searched, genomes[:30], values[:30], macs)
    np.testing.assert_allclose(model.predict(genomes[30:].astype(float)), values[30:], rtol=1e-12)


@every_pool
def test_with_exits_only_the_shares_are_learnt(pool):
    searched = space()
    genomes = np.unique(searched.sample(np.random.default_rng(0), 260), axis=0)
    genomes = np.random.default_rng(1).permutation(genomes)[:160]
    values = np.array([measured(searched.decode(genome)) for genome in genomes])
    model = fitted(surrogate_factory(REGISTRY, pool)(0), searched, genomes[:80], values[:80], macs)
    predicted = model.predict(genomes[80:].astype(float))
    bare = np.array([searched.decode(genome).scheme.exits == 0 for genome in genomes[80:]])
    assert bare.sum() >= 3
    np.testing.assert_allclose(predicted[bare], values[80:][bare], rtol=1e-12)
    assert kendall_tau(predicted, values[80:]) > 0.75


def test_a_cross_validation_holds_out_the_shares_and_counts_the_costs():
    searched, rng = space(), np.random.default_rng(0)
    genomes = searched.sample(rng, 80)
    values = np.array([measured(searched.decode(genome)) for genome in genomes])
    folds = np.array_split(rng.permutation(80), 4)
    model = CountedCosts(RBF())
    model.inform(ExitInsight(searched, {}, macs))
    held_out = model.cross_validate(genomes.astype(float), values, folds)
    for fold in folds:
        rest = np.setdiff1d(np.arange(80), fold)
        one = fitted(CountedCosts(RBF()), searched, genomes[rest], values[rest], macs)
        np.testing.assert_allclose(held_out[fold], one.predict(genomes[fold].astype(float)), rtol=1e-6)


@pytest.mark.parametrize(
    "value", [lambda _c, outcome: 1 - outcome.accuracy, lambda _c, _o: float("nan")], ids=["error", "unknown"]
)
def test_values_without_counted_costs_are_learnt_as_they_are(value):
    searched = space()
    genomes = searched.sample(np.random.default_rng(0), 60).astype(float)
    values = np.sin(genomes.sum(axis=1))
    model = fitted(CountedCosts(RBF()), searched, genomes, values, value)
    np.testing.assert_array_equal(model.predict(genomes), RBF().fit(genomes, values).predict(genomes))


def test_the_cost_in_a_sum_of_error_and_cost_is_counted():
    searched = space((None,), 0)
    genomes = searched.sample(np.random.default_rng(0), 60)

    def value(candidate: Candidate, outcome: Outcome) -> float:
        return macs(candidate, outcome) + 50 * (1 - outcome.accuracy)

    errors = genomes.sum(axis=1) / 100
    values = np.array([measured(searched.decode(genome)) for genome in genomes]) + 50 * errors
    model = fitted(CountedCosts(RBF()), searched, genomes[:40], values[:40], value)
    assert kendall_tau(model.predict(genomes[40:].astype(float)), values[40:]) > 0.95


def test_few_candidates_with_exits_are_represented_by_their_mean_share():
    searched = space()
    genomes = searched.sample(np.random.default_rng(0), 80)
    exits = np.array([searched.decode(genome).scheme.exits for genome in genomes])
    training = np.concatenate([genomes[exits == 0], genomes[exits > 0][:2]])
    values = np.array([measured(searched.decode(genome)) for genome in training])
    model = fitted(CountedCosts(RBF()), searched, training, values, macs)
    bounds = ExitInsight(searched, {}, macs).bounds(genomes)
    predicted = model.predict(genomes.astype(float))
    assert (predicted <= bounds[:, 0] + 1e-9).all() and (predicted >= bounds[:, 1] - 1e-9).all()
