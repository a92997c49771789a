"""Surrogates of all objectives, fitted on what was told, and everything that they were asked."""

from collections.abc import Callable

import numpy as np

from edanas.core.contracts import ExitInsight, SearchProblem, SurrogateModel
from edanas.core.errors import PluginError
from edanas.core.types import Candidate, Outcome
from edanas.strategies.history import Genomes, History, Values, unseen


class Predictions:
    """One surrogate for each objective; what was predicted once is kept.

    Args:
        problem: Makes the surrogates.
        history: Two succeeded candidates at least.
        rng: Gives each surrogate its seed.
        each: Called with a note after each surrogate was fitted.

    Raises:
        PluginError: A surrogate predicts something else than one finite number a genome.
    """

    def __init__(
        self,
        problem: SearchProblem,
        history: History,
        rng: np.random.Generator,
        each: Callable[[str], None] = lambda _note: None,
    ) -> None:
        self.notes: dict[str, str] = {}
        """For each objective, the surrogate that adaptive switching chose and its Kendall's tau."""
        self._known: dict[bytes, int] = {}
        self._genomes: list[Genomes] = []
        self._values: list[Values] = []
        self._models = []
        for objective in range(problem.objectives):
            model = _fitted(problem, history, objective, int(rng.integers(2**31)))
            chosen, tau = getattr(model, "chosen", None), getattr(model, "tau", None)
            if chosen is not None and tau is not None:
                self.notes[f"objective {objective + 1}"] = f"{chosen} tau {tau:.2f}"
            self._models.append(model)
            each(self.notes.get(f"objective {objective + 1}", ""))

    def __call__(self, genomes: Genomes) -> Values:
        """(n, D) canonical genomes -> (n, J) predictions; no genome is predicted twice."""
        new = genomes[unseen(genomes, self._known.keys())]
        if len(new):
            found = np.stack([_prediction(model, new) for model in self._models], axis=1)
            for row in new:
                self._known[row.tobytes()] = len(self._known)
            self._genomes.append(new)
            self._values.append(found)
        return np.concatenate(self._values)[[self._known[row.tobytes()] for row in genomes]]

    def asked(self) -> tuple[Genomes, Values]:
        """All distinct genomes predicted so far (n, D), in order, with their predictions (n, J)."""
        return np.concatenate(self._genomes), np.concatenate(self._values)


def _fitted(problem: SearchProblem, history: History, objective: int, seed: int) -> SurrogateModel:
    genomes, values = history.succeeded()
    model = problem.surrogate(seed)
    judge = problem.judge
    if judge is not None and history.profiles:

        def value(candidate: Candidate, outcome: Outcome) -> float:
            return judge(candidate, outcome)[objective]

        model.inform(ExitInsight(problem.space, history.profiles, value))
    return model.fit(genomes.astype(np.float64), values[:, objective])


def _prediction(model: SurrogateModel, genomes: Genomes) -> Values:
    values = np.asarray(model.predict(genomes.astype(np.float64)), dtype=np.float64)
    if values.shape != (len(genomes),) or not np.isfinite(values).all():
        found = f"{values.size - np.isfinite(values).sum()} not finite"
        raise PluginError(
            f"surrogate model {type(model).__name__}: predicted values of shape {values.shape}, {found}; "
            f"allowed: {len(genomes)} finite numbers"
        )
    return values
