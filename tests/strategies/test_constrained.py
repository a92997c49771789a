"""Strategies under constraints, with few feasible candidates."""

from dataclasses import replace

import numpy as np
import pytest
from test_strategies import Quadratic, large_space

from edanas.core.contracts import SearchProblem
from edanas.core.feasible import feasible_first
from edanas.core.progress import Silent
from edanas.numerics.pareto import non_dominated
from edanas.strategies.evolution import Nsga2Search, SmsEmoa
from edanas.strategies.local_search import LocalSearch
from edanas.strategies.nested import Nested
from edanas.strategies.random_search import RandomSearch
from edanas.strategies.search_history import SearchHistory
from edanas.strategies.structure_filter import StructureFilter
from edanas.strategies.surrogate_nsga2 import SurrogateNsga2
from edanas.testing.toy_nested_search import toy_backbone_profile, toy_backbones, toy_nested_problem

SPACE = large_space()


def share(genomes):
    """Mean distance of expressed genes from the first choice."""
    scaled = genomes / np.maximum(SPACE.counts - 1, 1)
    return np.where(SPACE.expressed(genomes), scaled, 0.0).sum(axis=-1) / SPACE.expressed(genomes).sum(
        axis=-1
    )


def values(genomes):
    """Two objectives: one improves with larger genes, the other deteriorates."""
    return np.stack([(1 - share(genomes)) ** 2, share(genomes) + 0.1 * genomes[:, 0]], axis=1)


def excesses(genomes, most):
    return share(genomes)[:, None] - most


def problem(objectives=2, structure=None, limits=0):
    return SearchProblem(SPACE, objectives, Quadratic, 3, 20, Silent(), structure=structure, limits=limits)


@pytest.mark.parametrize(
    "make",
    [SurrogateNsga2, lambda: Nsga2Search(population=8), lambda: SmsEmoa(population=8), LocalSearch],
    ids=["surrogate-nsga2", "nsga2", "sms-emoa", "local"],
)
def test_a_search_approaches_feasible_measured_metrics(make):
    """One in twenty random candidates is feasible, but half of the proposals are."""
    most = float(np.quantile(share(SPACE.sample(np.random.default_rng(1), 4000)), 0.05))

    def broken(strategy):
        strategy.start(problem(limits=1))
        chosen, shares = strategy.initial(), []
        for _ in range(12):
            genomes = np.array([SPACE.encode(candidate) for candidate in chosen])
            shares.append((excesses(genomes, most) <= 0).mean())
            strategy.tell(genomes, values(genomes), (), excesses(genomes, most))
            chosen = strategy.ask(8)
        return np.mean(shares[-5:])

    assert broken(RandomSearch()) <= 0.2
    assert broken(make()) >= 0.5


@pytest.mark.parametrize("make", [RandomSearch, SurrogateNsga2, Nsga2Search, SmsEmoa, LocalSearch])
def test_a_rare_feasible_structure_is_reached_without_evaluations(make):
    """One candidate in a thousand is feasible; every proposal is, from the first on."""
    most = float(np.quantile(share(SPACE.sample(np.random.default_rng(1), 8000)), 0.001))
    strategy = make()
    strategy.start(problem(structure=lambda c: max(0.0, float(share(SPACE.encode(c)[None])[0]) - most)))
    chosen = strategy.initial()
    assert len(chosen) == 20
    for _ in range(2):
        genomes = np.array([SPACE.encode(candidate) for candidate in chosen])
        assert (share(genomes) <= most).all()
        strategy.tell(genomes, values(genomes))
        chosen = strategy.ask(6)


def test_an_impossible_constraint_gives_the_nearest_structure():
    structure_filter = StructureFilter(
        problem(structure=lambda c: 1.0 + float(share(SPACE.encode(c)[None])[0]))
    )
    (nearest,) = structure_filter.draw(np.random.default_rng(0), 10, set())
    assert share(nearest[None])[0] == 0


def test_the_history_ranks_the_feasible_first():
    history = SearchHistory(SPACE, 2, 2)
    genomes = SPACE.sample(np.random.default_rng(0), 5)
    values = np.array([[1.0, 1.0], [0.0, 0.0], [2.0, 0.5], [np.nan] * 2, [0.5, 0.1]])
    beyond = np.array([[-1.0, 0.0], [0.3, -2.0], [-1.0, -1.0], [np.nan] * 2, [0.1, 0.1]])
    history.add(genomes, values, (), beyond)
    assert history.violations[[0, 1, 2, 4]].tolist() == [0.0, 0.3, 0.0, 0.2]
    assert (history.front()[0] == genomes[[0, 2]]).all()
    assert (history.measured()[1] == np.hstack([values, beyond])[[0, 1, 2, 4]]).all()
    with pytest.raises(ValueError, match=r"tell: found 5 genomes with excesses of shape \(5, 1\)"):
        history.add(genomes, values, (), beyond[:, :1])


def test_backbones_approach_what_is_feasible_and_then_spread_over_it():
    """At first no trade-off is feasible, and the search reduces the violation; later it uses fronts."""
    space = toy_backbones()
    free = toy_nested_problem(space, 0, initial=6)

    def violation(candidate):
        kernels = [v for name, v in candidate.backbone.choices if name.endswith("kernel")]
        return float(sum(v != 5 for v in kernels)) / 3

    def front(candidate, profile):
        values = free.front(candidate, profile)
        return np.where(violation(candidate) > 0, np.inf, values)

    strategy = Nested(extremes=False)
    strategy.start(replace(free, front=front, limits=1, judge=None))
    chosen, feasible = strategy.initial(), []
    for _ in range(6):
        genomes = np.array([space.encode(c) for c in chosen])
        profiles = [toy_backbone_profile(c.backbone) for c in chosen]
        measured = np.array([free.front(c, p).mean(axis=0) for c, p in zip(chosen, profiles, strict=True)])
        beyond = np.array([[violation(c) or -0.1] for c in chosen])
        feasible += [not violation(c) for c in chosen]
        strategy.tell(genomes, measured, profiles, beyond)
        chosen = strategy.ask(4)
    assert sum(feasible) >= 4


def test_three_objectives_are_ranked_as_two_are():
    genomes = SPACE.sample(np.random.default_rng(0), 40)
    three = np.hstack([values(genomes), genomes[:, 1:2].astype(float)])
    broken = excesses(genomes, float(np.median(share(genomes))))
    for make in (SurrogateNsga2, Nsga2Search, SmsEmoa, LocalSearch, RandomSearch):
        strategy = make()
        strategy.start(problem(objectives=3, limits=1))
        strategy.tell(genomes, three, (), broken)
        assert len(strategy.ask(8)) == 8
    ranked = feasible_first(three, np.maximum(broken[:, 0], 0))
    assert non_dominated(ranked)[broken[:, 0] > 0].sum() == 0
