"""The nested strategy: its arithmetic against brute force, the search against random choice."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edanas.core.contracts import SearchStrategy
from edanas.core.costs import ada_macs, executed_macs
from edanas.core.errors import ConfigError
from edanas.core.types import Candidate, ExitProfile, Outcome, SelectionScheme
from edanas.numerics.kriging import Kriging
from edanas.numerics.pareto import hypervolume
from edanas.strategies.nested import Nested, removable
from edanas.strategies.pricing import REFERENCES, Pricing, accuracies, utilizations
from edanas.strategies.random_search import RandomSearch
from edanas.strategies.two_level import TwoLevel
from edanas.testing.toy_nested_search import (
    toy_backbone_profile,
    toy_backbones,
    toy_costs,
    toy_nested_problem,
)


@pytest.mark.parametrize("exit_points", [1, 2, 3, 4, 6])
def test_reference_utilizations_are_distinct_distributions_with_all_corners(exit_points: int) -> None:
    references = utilizations(exit_points)
    assert exit_points < len(references) <= REFERENCES
    assert references.sum(axis=1) == pytest.approx(1.0)
    assert references.min() >= 0
    assert len(np.unique(references.round(9), axis=0)) == len(references)
    rows = {tuple(row) for row in references}
    assert all(tuple(corner) in rows for corner in np.eye(exit_points + 1))


def test_the_most_confident_samples_exit_and_are_scored_there() -> None:
    rng = np.random.default_rng(0)
    profile = ExitProfile(
        (0, 1, 2), rng.random((50, 4), dtype=np.float32), rng.random((50, 4)) < [0.3, 0.5, 0.7, 0.9]
    )
    references = utilizations(3)[::7]
    expected = []
    for row in references:
        ends, waiting, right, gone = np.rint(np.cumsum(row) * 50).astype(int), list(range(50)), 0, 0
        for exit_ in range(3):
            waiting.sort(key=lambda sample, e=exit_: -profile.confidence[sample, e])
            leaving, waiting = waiting[: ends[exit_] - gone], waiting[ends[exit_] - gone :]
            gone = ends[exit_]
            right += sum(profile.correct[sample, exit_] for sample in leaving)
        expected.append((right + sum(profile.correct[sample, 3] for sample in waiting)) / 50)
    assert accuracies(profile, references) == pytest.approx(expected)


@pytest.mark.parametrize("cost", [ada_macs, executed_macs])
@pytest.mark.parametrize("every_exit", [True, False])
def test_prices_are_those_of_the_judge(cost, every_exit: bool) -> None:
    space = toy_backbones()
    references = utilizations(2)

    def judge(candidate: Candidate, outcome: Outcome) -> list[float]:
        costs = toy_costs(candidate.backbone)
        return [1 - outcome.accuracy, cost(costs, candidate.scheme, outcome.utilization)]

    price = Pricing(judge, references, every_exit=every_exit)
    rng = np.random.default_rng(1)
    for genome in space.sample(rng, 3):
        backbone, accuracy = space.backbone(genome), rng.random(len(references))
        for at, priced in enumerate(price(backbone, accuracy)):
            shares = references[at]
            scheme = SelectionScheme(tuple(0.5 if every_exit or share else None for share in shares[:-1]))
            outcome = Outcome(accuracy[at], tuple(shares), (None, None, None), 0.5)
            assert priced == pytest.approx(judge(Candidate(backbone, scheme), outcome))
    assert price.fits(space.backbone(space.counts * 0))


def test_objectives_that_are_not_weighted_sums_are_recognised() -> None:
    def judge(candidate: Candidate, outcome: Outcome) -> list[float]:
        macs = ada_macs(toy_costs(candidate.backbone), candidate.scheme, outcome.utilization)
        return [1 - outcome.accuracy, np.log(macs)]

    space = toy_backbones()
    assert not Pricing(judge, utilizations(2), every_exit=True).fits(space.backbone(space.counts * 0))
    # The search goes on without exact costs.
    assert trace(Nested, replace(toy_nested_problem(), judge=judge), 2)


def test_kriging_interpolates_smooth_outputs_with_small_variance_at_samples() -> None:
    rng = np.random.default_rng(2)
    X = rng.integers(0, 4, (60, 5)).astype(float)
    Y = np.stack([np.sin(X @ rng.random(5)) * scale + X[:, 0] for scale in (0.1, 1.0, 2.0)], axis=1)
    model = Kriging(X[:50], Y[:50])
    mean, deviation = model.predict(X)
    assert mean[:50] == pytest.approx(Y[:50], abs=0.05)
    error = np.abs(mean[50:] - Y[50:]).mean(axis=0)
    assert (error < 0.7 * np.abs(Y[50:] - Y[:50].mean(axis=0)).mean(axis=0)).all()
    assert deviation[:50].mean() < 0.3 * deviation[50:].mean()


def trace(make: Callable[[], SearchStrategy], problem, iterations: int) -> float:
    """Hypervolume of all fronts after some iterations with four candidates each."""
    strategy = make()
    strategy.start(problem)
    space, points = problem.space, []
    chosen = strategy.initial()
    for _ in range(iterations + 1):
        genomes = np.array([space.encode(c) for c in chosen])
        profiles = [toy_backbone_profile(c.backbone) for c in chosen]
        plain = [
            [1 - p.correct[:, -1].mean(), sum(toy_costs(c.backbone).stages)]
            for c, p in zip(chosen, profiles, strict=True)
        ]
        strategy.tell(genomes, np.array(plain), profiles)
        points += [problem.front(c, p) for c, p in zip(chosen, profiles, strict=True)]
        chosen = strategy.ask(4)
    return hypervolume(np.concatenate(points), np.array([1.0, 60_000.0]))


def test_predicted_fronts_improve_on_random_choice() -> None:
    gains = []
    for seed in range(3):
        problem = toy_nested_problem(toy_backbones(layers=5), seed, initial=6)
        gains.append(trace(lambda: Nested(extremes=False), problem, 5) - trace(RandomSearch, problem, 5))
    assert np.median(gains) > 0


def test_the_two_level_search_improves_on_random_choice() -> None:
    gains = []
    for seed in range(4):
        problem = toy_nested_problem(toy_backbones(layers=6), seed, initial=8)
        searched = trace(lambda: TwoLevel(population=4), problem, 6)
        gains.append(searched - trace(RandomSearch, problem, 6))
    assert min(gains) >= 0
    assert np.median(gains) > 0


def test_the_outer_level_ranks_backbones_by_their_early_exit_networks() -> None:
    """Between two equal backbones, the one with confident exits becomes the parent."""
    problem = toy_nested_problem(toy_backbones(layers=5), 0)
    space = problem.space
    good, bad = (space.canonical(space.counts * 0 + gene) for gene in (0, 1))
    right = np.ones((20, 3), dtype=np.bool_)
    sure = ExitProfile((0, 1), np.tile(np.float32([0.9, 0.9, 0.9]), (20, 1)), right)
    # Early exits are as sure of what is wrong.
    lost = ExitProfile((0, 1), sure.confidence, right & np.array([False, False, True]))
    strategy = TwoLevel()
    strategy.start(replace(problem, front=lambda _candidate, profile: front_of(profile)))
    strategy.tell(np.array([good, bad]), np.full((2, 2), 0.5), [sure, lost])
    inside = strategy._inside(np.array([good, bad]), np.full((2, 2), 0.5))
    assert inside[0] > inside[1]


def front_of(profile: ExitProfile) -> np.ndarray:
    """All samples exit at one exit, whose cost is its number."""
    return np.array([[1 - profile.correct[:, exit_].mean(), 1.0 + exit_] for exit_ in range(3)])


def test_proposals_follow_from_all_results_in_any_batches() -> None:
    problem = toy_nested_problem()
    space = problem.space
    genomes = np.unique(space.sample(np.random.default_rng(0), 30), axis=0)
    values = np.random.default_rng(1).random((len(genomes), 2))
    values[::4] = np.nan
    profiles = [
        None if i % 4 == 0 else toy_backbone_profile(space.backbone(g)) for i, g in enumerate(genomes)
    ]
    once, pieces = Nested(), Nested()
    once.start(problem)
    once.tell(genomes, values, profiles)
    pieces.start(problem)
    for part in (slice(0, 5), slice(5, 6), slice(6, None)):
        pieces.tell(genomes[part], values[part], profiles[part])
        pieces.ask(2)
    assert once.ask(4) == pieces.ask(4)


def test_heads_that_cannot_be_removed_count_in_the_costs() -> None:
    """If every scheme places all heads, the model must not assume their absence."""
    problem = toy_nested_problem()
    space = problem.space

    def judge(candidate: Candidate, outcome: Outcome) -> list[float]:
        costs = replace(toy_costs(candidate.backbone), heads=(4000, 4000))
        return [1 - outcome.accuracy, executed_macs(costs, candidate.scheme, outcome.utilization)]

    backbone = space.largest()
    profile, candidate = toy_backbone_profile(backbone), space.decode(space.counts - 1)
    alone = float(profile.correct[:, -1].mean())
    backbone_outcome = Outcome(alone, (0.0, 0.0, 1.0), (None, None, alone), alone)
    removed = Candidate(backbone, SelectionScheme((None, None)))
    assert removable(candidate, profile, judge, np.array([judge(removed, backbone_outcome)]))
    assert not removable(candidate, profile, judge, np.array([judge(candidate, backbone_outcome)]))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"population": 1}, "strategy.population: found 1; allowed: 2 or more"),
        ({"generations": 0}, "strategy.generations: found 0; allowed: 1 or more"),
        ({"mutation": 0.0}, "strategy.mutation: found 0.0; allowed: more than 0"),
        ({"optimism": -1.0}, "strategy.optimism: found -1.0; allowed: 0 or more"),
        ({"unguided": 2.0}, "strategy.unguided: found 2.0; allowed: 0 to 1"),
    ],
)
def test_options_out_of_range_are_refused(options, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        Nested(**options)
    assert str(error.value) == text
