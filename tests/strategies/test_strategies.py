"""The contract of every strategy, and the benefit of surrogates."""

import itertools
from collections.abc import Callable
from typing import Self

import numpy as np
import pytest

from edanas.core.contracts import SearchProblem, SearchStrategy, SurrogateModel
from edanas.core.errors import ConfigError, PluginError
from edanas.core.progress import Silent
from edanas.core.space import SearchSpace
from edanas.core.types import Variable
from edanas.numerics.pareto import non_dominated, normalised_hypervolume
from edanas.strategies.evolution import Nsga2Search, SmsEmoa
from edanas.strategies.local_search import LocalSearch
from edanas.strategies.random_search import RandomSearch
from edanas.strategies.surrogate_nsga2 import SurrogateNsga2


class Quadratic(SurrogateModel):
    """Ridge regression on genes and their squares, with small noise that depends on the seed."""

    chosen = "quadratic"
    tau = 0.875

    def __init__(self, seed: int) -> None:
        self.shift = np.random.default_rng(seed).random()

    def _features(self, genomes: np.ndarray) -> np.ndarray:
        return np.concatenate([np.ones((len(genomes), 1)), genomes, genomes**2], axis=1)

    def fit(self, genomes: np.ndarray, values: np.ndarray) -> Self:
        X = self._features(genomes)
        self.weights = np.linalg.solve(X.T @ X + 0.01 * np.eye(X.shape[1]), X.T @ values)
        return self

    def predict(self, genomes: np.ndarray) -> np.ndarray:
        return self._features(genomes) @ self.weights + 1e-3 * np.sin(genomes.sum(axis=1) + self.shift)


def large_space() -> SearchSpace:
    variables = [Variable("resolution", (16, 20, 24))]
    for stage in range(1, 4):
        variables.append(Variable(f"stage{stage}.depth", (2, 3, 4)))
        for layer in range(1, 5):
            parent = f"stage{stage}.depth" if layer > 2 else None
            when = frozenset(range(layer, 5)) if layer > 2 else frozenset()
            variables.append(Variable(f"stage{stage}.layer{layer}.kernel", (3, 5, 7), parent, when))
    return SearchSpace(tuple(variables), (0.1, 0.2, None), 2)


def small_space() -> SearchSpace:
    """A space of 54 candidates."""
    return SearchSpace(
        (
            Variable("depth", (2, 3)),
            Variable("kernel", (3, 5), "depth", frozenset({3})),
            Variable("w", (1, 2)),
        ),
        (0.1, 0.2, None),
        2,
    )


def target(space: SearchSpace, genomes: np.ndarray) -> np.ndarray:
    """Error and cost, (n, 2): large candidates cost more and err less, with diminishing returns."""
    rng = np.random.default_rng(7)
    useful, costly = rng.uniform(0.2, 1, (2, space.dimensions))
    amount = (0.3 + genomes / 2) * space.expressed(genomes)
    return np.stack([np.exp(-4 * (amount @ useful) / useful.sum()), amount @ costly], axis=1)


def started(
    make: Callable[[], SearchStrategy], space: SearchSpace, seed: int = 0, initial: int = 20
) -> SearchStrategy:
    strategy = make()
    strategy.start(SearchProblem(space, 2, Quadratic, seed, initial, Silent()))
    return strategy


def archive(space: SearchSpace, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    genomes = np.unique(space.sample(np.random.default_rng(seed), count), axis=0)
    return genomes, target(space, genomes)


def encoded(space: SearchSpace, candidates: list) -> np.ndarray:
    """Genomes of candidates; all must be distinct and in the space."""
    genomes = np.array([space.encode(c) for c in candidates], dtype=np.int64).reshape(-1, space.dimensions)
    assert len(np.unique(genomes, axis=0)) == len(candidates)
    return genomes


every = pytest.mark.parametrize("make", [SurrogateNsga2, RandomSearch, Nsga2Search, SmsEmoa, LocalSearch])


@every
def test_proposals_follow_from_the_seed_and_all_results(make) -> None:
    space = large_space()
    genomes, values = archive(space, 40)
    once = started(make, space, seed=3)
    once.tell(genomes, values)
    pieces = started(make, space, seed=3)
    pieces.initial()
    for part in (slice(0, 10), slice(10, 10), slice(10, 39), slice(39, None)):
        pieces.tell(genomes[part], values[part])
        pieces.ask(3)
    other = started(make, space, seed=4)
    other.tell(genomes, values)
    answer = once.ask(8)
    assert answer == once.ask(8) == pieces.ask(8)
    assert answer != other.ask(8)
    assert started(make, space, seed=3).initial() == once.initial() != other.initial()


@every
def test_candidates_are_distinct_and_new(make) -> None:
    space = large_space()
    strategy = started(make, space)
    evaluated = encoded(space, strategy.initial())
    assert len(evaluated) == 20
    strategy.tell(evaluated, target(space, evaluated))
    for _ in range(4):
        proposed = encoded(space, strategy.ask(8))
        assert len(proposed) == 8
        evaluated = np.concatenate([evaluated, proposed])
        assert len(np.unique(evaluated, axis=0)) == len(evaluated)
        strategy.tell(proposed, target(space, proposed))
    assert strategy.ask(0) == []


@every
@pytest.mark.parametrize(
    ("initial", "count", "failing"), [(1, 60, 9), (9, 8, 4), (20, 5, 1), (50, 1, 2), (60, 3, 3)]
)
def test_a_small_space_is_used_up_exactly(make, initial: int, count: int, failing: int) -> None:
    space = small_space()
    strategy = started(make, space, initial=initial)
    evaluated = encoded(space, strategy.initial())
    assert len(evaluated) == min(initial, space.size())
    new = evaluated
    while len(new):
        values = target(space, new)
        values[::failing] = np.nan
        strategy.tell(new, values)
        new = encoded(space, strategy.ask(count))
        assert len(new) == min(count, space.size() - len(evaluated))
        evaluated = np.concatenate([evaluated, new])
    assert {g.tobytes() for g in evaluated} == {g.tobytes() for g in space.genomes()}
    assert len(evaluated) == space.size() == 54


@every
def test_failed_candidates_are_not_proposed_again_and_not_fitted(make) -> None:
    space = large_space()
    genomes, values = archive(space, 30)
    failed = np.setdiff1d(np.arange(len(genomes)), np.arange(0, len(genomes), 3))
    values[failed] = np.nan
    strategy = started(make, space)
    strategy.tell(genomes, values)
    answer = encoded(space, strategy.ask(8))
    assert len(np.unique(np.concatenate([genomes, answer]), axis=0)) == len(genomes) + 8
    hopeless = started(make, space)
    hopeless.tell(genomes, np.full_like(values, np.nan))
    assert len(encoded(space, hopeless.ask(8))) == 8


@every
def test_values_must_fit_the_genomes(make) -> None:
    space = large_space()
    strategy = started(make, space)
    genomes, values = archive(space, 5)
    for wrong in (values[1:], values[:, :1]):
        with pytest.raises(ValueError, match=r"expected \(5, 2\)"):
            strategy.tell(genomes, wrong)


@every
@pytest.mark.parametrize("objectives", [1, 3])
def test_one_objective_and_three_are_searched_too(make, objectives: int) -> None:
    space = large_space()
    strategy = make()
    strategy.start(SearchProblem(space, objectives, Quadratic, 0, 20, Silent()))
    genomes, values = archive(space, 20)
    three = np.column_stack([values, genomes.sum(axis=1)])
    strategy.tell(genomes, three[:, :objectives])
    assert len(encoded(space, strategy.ask(8))) == 8


@every
def test_candidates_of_a_warm_start_come_before_the_extremes(make) -> None:
    space = large_space()
    older = [space.decode(genome) for genome in space.sample(np.random.default_rng(5), 6)]
    for initial in (4, 20):
        strategy = make()
        problem = SearchProblem(space, 2, Quadratic, 0, initial, Silent(), first=tuple(older))
        strategy.start(problem)
        first = strategy.initial()
        assert first[:6] == older[:initial]
        assert len(encoded(space, first)) == initial


def test_the_extremes_come_first_if_the_option_is_set() -> None:
    space = large_space()
    with_extremes = started(SurrogateNsga2, space).initial()
    assert [c.backbone for c in with_extremes[:2]] == [space.smallest(), space.largest()]
    assert [c.scheme.thresholds for c in with_extremes[:2]] == [(0.1, 0.1), (None, None)]
    assert len(with_extremes) == 20
    without = started(lambda: SurrogateNsga2(extremes=False), space).initial()
    assert space.smallest() not in [c.backbone for c in without]
    assert len(started(SurrogateNsga2, space, initial=1).initial()) == 1


def volume(make: Callable[[], SearchStrategy], space: SearchSpace, seed: int, iterations: int = 6) -> float:
    strategy = started(make, space, seed, initial=30)
    genomes = encoded(space, strategy.initial())
    values = target(space, genomes)
    strategy.tell(genomes, values)
    for _ in range(iterations):
        genomes = encoded(space, strategy.ask(8))
        new = target(space, genomes)
        strategy.tell(genomes, new)
        values = np.concatenate([values, new])
    ends = target(space, np.stack([np.zeros_like(space.counts), space.counts - 1]))
    reference = ends.max(axis=0) * 1.01
    return normalised_hypervolume(values, np.array([0.0, ends[0, 1]]), reference)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("choice", ["hypervolume", "spread"])
def test_surrogates_beat_random_search_on_a_smooth_target(seed: int, choice: str) -> None:
    space = large_space()

    def without_extremes() -> SurrogateNsga2:
        return SurrogateNsga2(extremes=False, choice=choice)

    assert volume(without_extremes, space, seed) > volume(RandomSearch, space, seed) + 0.02


@pytest.mark.parametrize("make", [Nsga2Search, SmsEmoa, LocalSearch])
def test_a_search_without_surrogates_improves_on_random_choice(make) -> None:
    space = large_space()
    gains = [volume(make, space, seed, 20) - volume(RandomSearch, space, seed, 20) for seed in range(3)]
    assert np.median(gains) > 0.02


def test_local_search_proposes_new_neighbours_of_the_front() -> None:
    space = large_space()
    genomes, values = archive(space, 30)
    strategy = started(LocalSearch, space)
    strategy.tell(genomes, values)
    front = genomes[non_dominated(values)]
    near = {row.tobytes() for genome in front for row in space.neighbours(genome)}
    assert {row.tobytes() for row in encoded(space, strategy.ask(2 * len(front)))} <= near


def test_the_unguided_share_of_a_batch_ignores_surrogates() -> None:
    space = large_space()
    genomes, values = archive(space, 30)

    def asked(unguided: float) -> set[bytes]:
        strategy = started(lambda: SurrogateNsga2(unguided=unguided), space)
        strategy.tell(genomes, values)
        return {row.tobytes() for row in encoded(space, strategy.ask(8))}

    assert len(asked(0.0) - asked(0.5)) >= 4
    assert len(asked(0.0) & asked(1.0)) <= 2


def test_a_large_batch_has_all_neighbours_that_are_new(monkeypatch: pytest.MonkeyPatch) -> None:
    space = large_space()
    genomes, values = archive(space, 30)
    best = non_dominated(values)
    near = np.unique(np.concatenate([space.neighbours(genome) for genome in genomes[best]]), axis=0)
    rest = np.array([row for row in near[20:] if not (genomes[best] == row).all(axis=1).any()])
    monkeypatch.setattr("edanas.strategies.surrogate_nsga2._NEIGHBOURS", 30)
    strategy = started(lambda: SurrogateNsga2(2, 1, choice="spread", unguided=0.0), space)
    worst = np.full((len(rest), 2), values.max())
    strategy.tell(np.concatenate([genomes[best], rest]), np.concatenate([values[best], worst]))
    batch = {row.tobytes() for row in encoded(space, strategy.ask(25))}
    assert {row.tobytes() for row in near[:20]} <= batch


def test_random_search_samples_every_choice_alike() -> None:
    space = large_space()
    genomes = encoded(space, started(RandomSearch, space, initial=2000).initial())
    expressed = space.expressed(genomes)
    for i in range(space.dimensions):
        shares = np.bincount(genomes[expressed[:, i], i], minlength=3) / expressed[:, i].sum()
        assert shares == pytest.approx([1 / 3] * 3, abs=0.07)


def test_the_notes_name_the_chosen_surrogate() -> None:
    space = large_space()
    strategy = started(SurrogateNsga2, space)
    assert strategy.notes() == {}
    strategy.tell(*archive(space, 20))
    strategy.ask(2)
    assert strategy.notes() == {"objective 1": "quadratic tau 0.88", "objective 2": "quadratic tau 0.88"}


def test_a_surrogate_that_predicts_nonsense_is_named() -> None:
    class Broken(Quadratic):
        def predict(self, genomes: np.ndarray) -> np.ndarray:
            return np.full(len(genomes), np.nan)

    space = large_space()
    strategy = SurrogateNsga2()
    strategy.start(SearchProblem(space, 2, Broken, 0, 20, Silent()))
    strategy.tell(*archive(space, 20))
    with pytest.raises(PluginError, match=r"Broken.*not finite"):
        strategy.ask(2)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"population": 1}, "strategy.population: found 1; allowed: 2 or more"),
        ({"generations": 0}, "strategy.generations: found 0; allowed: 1 or more"),
        ({"crossover": 1.5}, "strategy.crossover: found 1.5; allowed: 0 to 1"),
        ({"mutation": 0.0}, "strategy.mutation: found 0.0; allowed: more than 0"),
        ({"refinement": -1}, "strategy.refinement: found -1; allowed: 0 or more"),
        ({"unguided": 1.1}, "strategy.unguided: found 1.1; allowed: 0 to 1"),
    ],
)
def test_options_out_of_range_are_refused(options, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        SurrogateNsga2(**options)
    assert str(error.value) == text


@pytest.mark.parametrize(("population", "generations"), list(itertools.product([2, 3, 40], [1, 2])))
def test_the_smallest_options_work(population: int, generations: int) -> None:
    space = small_space()
    strategy = started(lambda: SurrogateNsga2(population=population, generations=generations), space)
    strategy.tell(*archive(space, 12))
    assert len(encoded(space, strategy.ask(8))) == 8


def test_an_unknown_choice_is_refused_with_the_near_miss() -> None:
    with pytest.raises(ConfigError, match=r"strategy.choice.*hypervolum.*hypervolume.*spread"):
        SurrogateNsga2(choice="hypervolum")
