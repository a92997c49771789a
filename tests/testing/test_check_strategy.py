"""The suite finds what is wrong with a strategy."""

from typing import Any

import numpy as np
import pytest

from edanas.core.contracts import SearchStrategy
from edanas.core.types import Backbone, Candidate, SelectionScheme
from edanas.strategies.random_search import RandomSearch
from edanas.testing.conformance import ConformanceError
from edanas.testing.strategies import check_strategy


class Wandering(RandomSearch):
    """Draws from a generator that lives on from call to call."""

    def start(self, problem: Any) -> None:
        super().start(problem)
        self.rng = np.random.default_rng(problem.seed)

    def ask(self, count: int) -> list[Candidate]:
        chosen = super().ask(count)
        return [chosen[i] for i in self.rng.permutation(len(chosen))] if chosen else []

    def initial(self) -> list[Candidate]:
        self.rng.random(3)
        return super().initial()


class Global(RandomSearch):
    """Hangs on NumPy's global generator."""

    def initial(self) -> list[Candidate]:
        chosen = super().initial()
        return [chosen[i] for i in np.random.permutation(len(chosen))]  # noqa: NPY002 - the fault


class Repeating(RandomSearch):
    def ask(self, count: int) -> list[Candidate]:
        return super().ask(count)[:1] * 2


class Forgetful(RandomSearch):
    def ask(self, count: int) -> list[Candidate]:
        return self.initial()[:count]


class Greedy(RandomSearch):
    def ask(self, count: int) -> list[Candidate]:
        return super().ask(count + 1)


class Foreign(RandomSearch):
    """Adds a choice that its space's genomes do not stand for."""

    def ask(self, count: int) -> list[Candidate]:
        first = super().ask(count)[0]
        return [Candidate(Backbone(first.backbone.choices[::-1]), SelectionScheme(first.scheme.thresholds))]


class Fragile(RandomSearch):
    """Gives up after a failure."""

    def tell(self, genomes: np.ndarray, objectives: np.ndarray, *rest: Any) -> None:
        super().tell(genomes, objectives, *rest)
        self.best = int(np.nanargmin(objectives[:, 0]))


class Idle(RandomSearch):
    """Stops before the space does."""

    def ask(self, count: int) -> list[Candidate]:
        return super().ask(count) if len(self._history) < 30 else []


def test_a_sound_strategy_passes() -> None:
    check_strategy(RandomSearch)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (Wandering, ConformanceError, "a fresh strategy with the same archive chooses other candidates"),
        (Global, ConformanceError, "another initial archive at the same seed"),
        (Repeating, ConformanceError, "is chosen twice; expected distinct candidates"),
        (Forgetful, ConformanceError, "is in the archive already; expected a new candidate"),
        (Greedy, ConformanceError, "6 candidates; allowed: at most 5"),
        (Foreign, ConformanceError, "differs from its decoded genome"),
        (Fragile, ValueError, "All-NaN"),
        (Idle, ConformanceError, "of a small space's 84 candidates and then no more"),
    ],
)
def test_a_fault_is_found(make: type[SearchStrategy], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        check_strategy(make)
