"""A search that needs no network: a small space, an evaluation that is arithmetic, and the rest of a run."""

from typing import Self

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Evaluator, ExitNetwork, Objective, SearchProblem, SurrogateModel
from edanas.core.errors import CandidateError
from edanas.core.progress import Progress, Silent
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Metrics, Variable


def toy_space(layers: int = 3, exit_points: int = 2) -> SearchSpace:
    """A depth, a kernel for each layer that the depth expresses, a resolution, and two thresholds or none.

    Three layers and two exit points make 702 candidates, one layer and no exit point 6.
    """
    depths = tuple(range(1, layers + 1))
    kernels = tuple(
        Variable(f"layer{i}.kernel", (3, 5, 7), parent="depth", when=frozenset(depths[i - 1 :]))
        for i in depths
    )
    variables = (Variable("resolution", (16, 24)), Variable("depth", depths), *kernels)
    return SearchSpace(variables, (0.1, 0.2, None), exit_points)


class ToyEvaluator(Evaluator):
    """Metrics by formula: larger layers cost more and are right more often, early exits cost less."""

    def prepare(self, progress: Progress) -> None:
        """Nothing is needed."""

    def evaluate(self, candidate: Candidate) -> Metrics:
        """See `Evaluator.evaluate`."""
        backbone, thresholds = candidate.backbone, candidate.scheme.thresholds
        kernels = [backbone[name] for name in backbone if name.endswith("kernel")]
        macs = int(backbone["resolution"] ** 2 * sum(kernel**2 for kernel in kernels))
        leaving = [0.0 if t is None else (1 - t) / (2 * len(thresholds)) for t in thresholds]
        staying = 1 - sum(leaving)
        best = 1 - 1 / (1 + macs**0.3)
        accuracy = best - 0.1 * (1 - staying)
        cost = macs * (staying + sum(leaving) / 3)
        placed = [n for n, threshold in enumerate(thresholds) if threshold is not None]
        return Metrics(
            accuracy=accuracy,
            utilization=(*leaving, staying),
            exit_accuracy=(*(None if share == 0 else accuracy for share in leaving), accuracy),
            ada_macs=cost,
            executed_macs=cost + 10 * candidate.scheme.exits,
            backbone_accuracy=best,
            backbone_macs=macs,
            params=int(sum(kernel**2 for kernel in kernels)),
            activations=int(backbone["resolution"] ** 2),
            outputs=int(backbone["resolution"] ** 2 * len(kernels)),
            exit_macs=(*(macs / 3 if n in placed else None for n in range(len(thresholds))), float(macs)),
        )

    def passes(self) -> tuple[float, float]:
        """No sample passes through anything."""
        return 0.0, 0.0

    def network(self, candidate: Candidate) -> ExitNetwork:
        """There is no network behind the formula.

        Raises:
            CandidateError: Always.
        """
        raise CandidateError(f"{candidate.id}: no network stands behind the formula")


class ToyAccuracy(Objective):
    """The accuracy that `ToyEvaluator` gives."""

    maximise = True

    def value(self, metrics: Metrics) -> float:
        """A fraction."""
        return metrics.accuracy


class ToyCost(Objective):
    """The ADA_MACS that `ToyEvaluator` gives."""

    def value(self, metrics: Metrics) -> float:
        """Multiply-adds."""
        return metrics.ada_macs


class LinearSurrogate(SurrogateModel):
    """Least squares, the smallest surrogate that works."""

    def fit(self, genomes: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> Self:
        """See `SurrogateModel.fit`."""
        self._weights = np.linalg.lstsq(
            self._design(genomes), np.asarray(values, dtype=np.float64), rcond=None
        )[0]
        return self

    def predict(self, genomes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """See `SurrogateModel.predict`."""
        found: npt.NDArray[np.float64] = self._design(genomes) @ self._weights
        return found

    @staticmethod
    def _design(genomes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        rows = np.asarray(genomes, dtype=np.float64)
        return np.hstack([rows, np.ones((len(rows), 1))])


def toy_problem(space: SearchSpace | None = None, seed: int = 0, initial: int = 12) -> SearchProblem:
    """A two-objective problem on `space`, the toy space by default."""
    return SearchProblem(
        space=space or toy_space(),
        objectives=2,
        surrogate=lambda _seed: LinearSurrogate(),
        seed=seed,
        initial=initial,
        progress=Silent(),
    )
