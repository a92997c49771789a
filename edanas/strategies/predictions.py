"""Predictions of objectives and constraints by surrogates that are fitted on the search history."""

from collections.abc import Callable

import numpy as np

from edanas.core.contracts import ExitInsight, SearchProblem, SurrogateModel
from edanas.core.errors import PluginError
from edanas.core.notes import SurrogateNote
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Outcome
from edanas.strategies.search_history import Genomes, SearchHistory, Values, unseen
from edanas.strategies.structure_filter import StructureFilter

CEILING = 1e6
"""Factor on the largest evaluated value: the values of infeasible candidates are larger than this product.

The product is larger than any prediction for a feasible candidate.
"""


PROBES = 8
"""Number of random genomes that show whether a value follows from the structure."""


class ObjectivePredictions:
    """Predictions by one surrogate for each objective and each measured constraint; predictions are cached.

    A value that follows from the structure is counted, without a surrogate.

    Feasible candidates get the predicted objective values. Infeasible candidates get larger values, in the
    order of their violation of the constraints. Violations of structural constraints are exact.

    Args:
        problem: The problem, which creates the surrogates.
        history: Evaluations with at least two candidates that did not fail.
        allowed: Computes the violations of structural constraints.
        rng: Draws the seed of each surrogate.
        each: Function that is called after the fit of each surrogate, with a note on the fit.

    Raises:
        PluginError: The prediction of a surrogate is not one finite number for each genome.
    """

    def __init__(
        self,
        problem: SearchProblem,
        history: SearchHistory,
        allowed: StructureFilter,
        rng: np.random.Generator,
        each: Callable[[str], None] = lambda _note: None,
    ) -> None:
        self.notes: dict[str, str] = {}
        """The surrogate that adaptive switching chose, with its Kendall's tau, by objective or constraint."""
        self._known: dict[bytes, int] = {}
        self._genomes: list[Genomes] = []
        self._values: list[Values] = []
        self._models: list[_Model] = []
        self._allowed, self._objectives = allowed, problem.objectives
        self._constrained = problem.limits > 0 or problem.structure is not None
        measured = history.measured()[1]
        self._ceiling = CEILING * (1.0 + np.abs(measured[:, : problem.objectives]).max(axis=0))
        for column in range(problem.objectives + problem.limits):
            of = column - problem.objectives
            name = f"objective {column + 1}" if of < 0 else f"constraint {of + 1}"
            model = _fitted(problem, history, column, int(rng.integers(2**31)))
            if isinstance(model, _Counted):
                self.notes[name] = "counted"
            chosen, tau = getattr(model, "chosen", None), getattr(model, "tau", None)
            if chosen is not None and tau is not None:
                self.notes[name] = SurrogateNote(chosen, tau, column if of < 0 else None)
            self._models.append(model)
            each(self.notes.get(name, ""))

    def __call__(self, genomes: Genomes) -> Values:
        """Return predictions (n, J) for canonical genomes (n, D); feasible genomes rank first."""
        new = genomes[unseen(genomes, self._known.keys())]
        if len(new):
            columns = [_prediction(model, new) for model in self._models]
            values = self._ranked(new, np.stack(columns, axis=1))
            for row in new:
                self._known[row.tobytes()] = len(self._known)
            self._genomes.append(new)
            self._values.append(values)
        return np.concatenate(self._values)[[self._known[row.tobytes()] for row in genomes]]

    def _ranked(self, genomes: Genomes, predictions: Values) -> Values:
        values, excesses = predictions[:, : self._objectives], predictions[:, self._objectives :]
        if not self._constrained:
            return values
        violations = self._allowed.violations(genomes) + np.maximum(excesses, 0.0).sum(axis=1)
        # `feasible_first` would use another ceiling in each call, but all predictions need one order.
        return np.where(violations[:, None] > 0, self._ceiling * (1.0 + violations[:, None]), values)

    def all(self) -> tuple[Genomes, Values]:
        """Return all distinct genomes predicted so far, (n, D), and their predictions, (n, J).

        The order is that of the calls.
        """
        return np.concatenate(self._genomes), np.concatenate(self._values)

    def feasible(self) -> str:
        """Return a note with the share of predicted genomes that are feasible; empty without constraints."""
        if not self._constrained:
            return ""
        values = np.concatenate(self._values)
        share = float((values < self._ceiling).all(axis=1).mean())
        return f"{share:.2f} of {len(values)} predicted"


class _Counted:
    """Predictions of a value that follows from the structure: the exact values.

    Args:
        insight: Counts the values.
    """

    def __init__(self, insight: ExitInsight) -> None:
        self._insight = insight

    def predict(self, genomes: Values) -> Values:
        """Return the values (n,) of genomes (n, D)."""
        return self._insight.bounds(genomes)[:, 0]


_Model = SurrogateModel | _Counted


def counted(problem: SearchProblem, history: SearchHistory, column: int) -> ExitInsight | None:
    """Return an insight that counts one objective or constraint; `None` if an evaluation decides its value.

    Args:
        problem: The problem.
        history: Evaluations.
        column: Position among the objectives, then the measured constraints.
    """
    insight = _insight(problem, history, column)
    genomes = np.concatenate([history.measured()[0][-PROBES:], _probes(problem.space)])
    return insight if insight is not None and insight.counts(genomes) else None


def _fitted(problem: SearchProblem, history: SearchHistory, column: int, seed: int) -> _Model:
    exact = counted(problem, history, column)
    if exact is not None:
        return _Counted(exact)
    genomes, values = history.measured()
    insight = _insight(problem, history, column)
    model = problem.surrogate(seed)
    if insight is not None:
        model.inform(insight)
    return model.fit(genomes.astype(np.float64), values[:, column])


def _insight(problem: SearchProblem, history: SearchHistory, column: int) -> ExitInsight | None:
    """Return the insight into one objective or constraint; `None` if only an evaluation decides its value."""
    judge = problem.judge
    if judge is None:
        return None

    def value(candidate: Candidate, outcome: Outcome) -> float:
        return judge(candidate, outcome)[column]

    insight = ExitInsight(problem.space, history.profiles, value)
    return insight if np.isfinite(insight.bounds(_probes(problem.space))).all() else None


def _probes(space: SearchSpace) -> Genomes:
    """Return a few genomes of all parts of a space, (n, D), to try how values depend on outcomes."""
    ends = np.stack([np.zeros_like(space.counts), space.counts - 1])
    return np.concatenate([space.canonical(ends), space.sample(np.random.default_rng(0), PROBES)])


def _prediction(model: _Model, genomes: Genomes) -> Values:
    values = np.asarray(model.predict(genomes.astype(np.float64)), dtype=np.float64)
    if values.shape != (len(genomes),) or not np.isfinite(values).all():
        invalid = values.size - np.isfinite(values).sum()
        raise PluginError(
            f"surrogate model {type(model).__name__}: found predictions of shape {values.shape}, {invalid} "
            f"of them not finite; allowed: shape {(len(genomes),)}, all finite"
        )
    return values
