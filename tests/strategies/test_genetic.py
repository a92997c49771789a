"""Mating of NSGA-II: it reaches every choice, and returns distinct integer genomes."""

import numpy as np
import pytest

from edanas.core.space import SearchSpace
from edanas.core.types import Variable
from edanas.strategies.genetic import Nsga2, cross, mutate

SPACE = SearchSpace(
    (
        Variable("depth", (2, 3, 4)),
        Variable("fixed", (1,)),
        Variable("kernel", (3, 5, 7), "depth", frozenset({3, 4})),
        Variable("expand", (3, 4, 6, 8), "depth", frozenset({4})),
    ),
    (0.1, 0.2, None),
    2,
)


def test_mutation_reaches_every_choice_of_every_gene_from_every_genome() -> None:
    rng = np.random.default_rng(0)
    for genome in (np.zeros(6, dtype=np.int64), SPACE.canonical(SPACE.counts - 1)):
        mutants = mutate(SPACE, rng, np.repeat(genome[None], 3000, axis=0), 1.0)
        assert (SPACE.canonical(mutants) == mutants).all()
        expressed = SPACE.expressed(mutants)
        for i, count in enumerate(SPACE.counts):
            assert set(mutants[expressed[:, i], i].tolist()) == set(range(count))


def test_a_mutated_gene_takes_its_other_choices_alike_and_the_mean_is_kept() -> None:
    rng = np.random.default_rng(1)
    # At depth 2 three genes can change: the depth and both thresholds.
    mutants = mutate(SPACE, rng, np.zeros((6000, 6), dtype=np.int64), 1.5)
    changed = mutants[:, [0, 4, 5]]
    assert (changed > 0).mean() == pytest.approx(0.5, abs=0.02)
    for column in changed.T:
        assert (column[column > 0] == 1).mean() == pytest.approx(0.5, abs=0.04)
    # A kernel that the new depth calls for is as random as any.
    deeper = mutants[mutants[:, 0] > 0]
    assert np.bincount(deeper[:, 2], minlength=3) / len(deeper) == pytest.approx([1 / 3] * 3, abs=0.04)


def test_crossover_exchanges_one_stretch_and_loses_no_gene() -> None:
    rng = np.random.default_rng(2)
    one, other = np.zeros((500, 9), dtype=np.int64), np.ones((500, 9), dtype=np.int64)
    children = cross(rng, one, other, 1.0)
    assert children.shape == (1000, 9)
    assert (children[:500] + children[500:] == 1).all()
    assert (np.abs(np.diff(children, axis=1)).sum(axis=1) <= 2).all()
    assert (np.ptp(children[:500], axis=0) == 1).all()
    assert (cross(rng, one, other, 0.0) == np.concatenate([one, other])).all()


@pytest.mark.parametrize("population", [2, 7, 20])
def test_the_last_population_is_canonical_distinct_and_as_large_as_asked(population: int) -> None:
    ticks: list[int] = []

    def predict(genomes: np.ndarray) -> np.ndarray:
        assert genomes.dtype == np.int64
        return np.stack([genomes.sum(axis=1), -genomes.sum(axis=1)], axis=1).astype(float)

    start = SPACE.canonical(np.zeros((1, 6), dtype=np.int64))
    last, values = Nsga2(population, 8, 0.9, 1.0).run(SPACE, predict, start, 3, lambda: ticks.append(1))
    assert len(ticks) == 8
    assert (SPACE.canonical(last) == last).all()
    assert len(np.unique(last, axis=0)) == len(last) == population
    assert (values == predict(last)).all()


def test_a_space_of_one_genome_ends_at_once() -> None:
    space = SearchSpace((Variable("only", (1,)),), (None,), 1)
    start = np.zeros((1, 2), dtype=np.int64)
    last, _ = Nsga2(4, 5, 0.9, 1.0).run(space, lambda g: np.zeros((len(g), 2)), start, 0, lambda: None)
    assert (last == start).all()
