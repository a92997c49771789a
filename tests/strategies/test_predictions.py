"""Predictions of a strategy: counted values, and values that only an evaluation decides."""

from dataclasses import replace

import numpy as np
import pytest

from edanas.core.contracts import SurrogateModel
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Outcome, Variable
from edanas.strategies.predictions import ObjectivePredictions
from edanas.strategies.search_history import SearchHistory
from edanas.strategies.structure_filter import StructureFilter
from edanas.strategies.surrogate_nsga2 import SurrogateNsga2
from edanas.testing.toy_search import toy_problem

SPACE = SearchSpace(tuple(Variable(f"x{i}", (1, 2, 3, 4)) for i in range(5)), (None,), 0)


class Spy(SurrogateModel):
    """Remembers the values that it learns."""

    learnt: list[np.ndarray] = []  # noqa: RUF012 - one list for all models of a test

    def fit(self, genomes, values):
        self.learnt.append(values)
        return self

    def predict(self, genomes):
        return np.asarray(genomes)[:, 0]


def cost(candidate: Candidate) -> float:
    return float(np.prod([value for _, value in candidate.backbone.choices]))


def judge(candidate: Candidate, outcome: Outcome) -> list[float]:
    return [1 - outcome.accuracy, cost(candidate)]


def problem(space=SPACE, **changes):
    Spy.learnt.clear()
    return replace(toy_problem(space, initial=6), objectives=2, surrogate=lambda _seed: Spy(), **changes)


def predictions(posed, genomes):
    history = SearchHistory(posed.space, 2)
    values = np.array([[genome.sum() / 100, cost(posed.space.decode(genome))] for genome in genomes])
    history.add(genomes, values)
    return ObjectivePredictions(posed, history, StructureFilter(posed), np.random.default_rng(0)), values


def test_a_value_that_follows_from_the_structure_is_counted_without_a_surrogate():
    genomes = SPACE.sample(np.random.default_rng(0), 30)
    predict, values = predictions(problem(judge=judge), genomes[:10])
    assert [learnt.tolist() for learnt in Spy.learnt] == [values[:, 0].tolist()]
    assert predict.notes == {"objective 2": "counted"}
    expected = [cost(SPACE.decode(genome)) for genome in genomes[10:]]
    np.testing.assert_array_equal(predict(genomes[10:])[:, 1], expected)


@pytest.mark.parametrize("unknown", [0, 1])
def test_a_value_that_the_judge_does_not_know_is_learnt(unknown):
    def partly(candidate, outcome):
        values = judge(candidate, outcome)
        values[unknown] = float("nan")
        return values

    genomes = SPACE.sample(np.random.default_rng(0), 10)
    predict, values = predictions(problem(judge=partly), genomes)
    learnt = [column for column in (0, 1) if column == unknown or column == 0]
    assert [each.tolist() for each in Spy.learnt] == [values[:, column].tolist() for column in learnt]
    assert ("objective 2" in predict.notes) == (unknown == 0)


def test_a_cost_that_depends_on_the_exits_is_learnt_though_no_evaluated_candidate_has_exits():
    space = SearchSpace(SPACE.variables, (0.5, None), 1)
    genomes = space.sample(np.random.default_rng(0), 40)
    genomes = genomes[genomes[:, -1] == 1][:10]

    def executed(candidate, outcome):
        return [1 - outcome.accuracy, cost(candidate) * (1 - 0.5 * outcome.utilization[0])]

    predict, _ = predictions(problem(space, judge=executed), genomes)
    assert len(Spy.learnt) == 2 and not predict.notes


def test_without_a_judge_everything_is_learnt():
    _, values = predictions(problem(), SPACE.sample(np.random.default_rng(0), 10))
    assert [each.tolist() for each in Spy.learnt] == values.T.tolist()


def test_a_search_notes_the_counted_objective():
    posed = problem(judge=judge)
    strategy = SurrogateNsga2(generations=3)
    strategy.start(posed)
    genomes = np.stack([SPACE.encode(candidate) for candidate in strategy.initial()])
    values = np.array([[genome.sum() / 100, cost(SPACE.decode(genome))] for genome in genomes])
    strategy.tell(genomes, values)
    assert len(strategy.ask(4)) == 4
    assert strategy.notes() == {"objective 2": "counted"}
