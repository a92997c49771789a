"""Parts of a search without networks: a small space, an evaluation by a formula, objectives, a surrogate."""

from typing import Self

import numpy as np
import numpy.typing as npt

from edanas.core.contracts import Evaluator, ExitNetwork, Objective, SearchProblem, SurrogateModel
from edanas.core.errors import CandidateError
from edanas.core.progress import Progress, Silent
from edanas.core.space import SearchSpace
from edanas.core.types import Candidate, Metrics, Variable


def toy_space(layers: int = 3, exit_points: int = 2, *, cut: bool = False) -> SearchSpace:
    """Return a space with a resolution, a depth, and a kernel size for each layer.

    The choices at each exit point are the thresholds 0.1 and 0.2, and no exit.

    Args:
        layers: The largest depth.
        exit_points: Number of exit points.
        cut: True if networks may end at an exit point. Each layer then lies in a stage of its own, as far as
            there are stages.

    Example:
        >>> toy_space(layers=1, exit_points=0).size(), toy_space().size(), toy_space(cut=True).size()
        (6, 702, 846)
    """
    depths = tuple(range(1, layers + 1))
    kernels = tuple(
        Variable(
            f"layer{i}.kernel",
            (3, 5, 7),
            parent="depth",
            when=frozenset(depths[i - 1 :]),
            stage=min(i, exit_points + 1) if cut else None,
        )
        for i in depths
    )
    variables = (Variable("resolution", (16, 24)), Variable("depth", depths), *kernels)
    return SearchSpace(variables, (0.1, 0.2, None), exit_points, cut=cut)


class ToyEvaluator(Evaluator):
    """An evaluation by a formula: cost and accuracy rise with kernel sizes, and fall with early exits."""

    def prepare(self, progress: Progress) -> None:
        """Do nothing, since the formula needs no preparation."""

    def evaluate(self, candidate: Candidate) -> Metrics:
        """See `Evaluator.evaluate`."""
        backbone, thresholds = candidate.backbone, candidate.scheme.thresholds
        kernels = [backbone[name] for name in backbone if name.endswith("kernel")]
        macs = int(backbone["resolution"] ** 2 * sum(kernel**2 for kernel in kernels))
        exiting = [0.0 if t is None else (1 - t) / (2 * len(thresholds)) for t in thresholds]
        remaining = 1 - sum(exiting)
        best = 1 - 1 / (1 + macs**0.3)
        accuracy = best - 0.1 * (1 - remaining)
        cost = macs * (remaining + sum(exiting) / 3)
        placed = [n for n, threshold in enumerate(thresholds) if threshold is not None]
        return Metrics(
            accuracy=accuracy,
            utilization=(*exiting, remaining),
            exit_accuracy=(*(None if share == 0 else accuracy for share in exiting), accuracy),
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
        """Return (0, 0), since no samples pass through a network."""
        return 0.0, 0.0

    def network(self, candidate: Candidate) -> ExitNetwork:
        """Raise an error, since this evaluation has no networks.

        Raises:
            CandidateError: Always.
        """
        raise CandidateError(f"{candidate.id}: a toy evaluation has no network")


class ToyAccuracy(Objective):
    """An objective: the accuracy of a candidate."""

    maximise = True

    def value(self, metrics: Metrics) -> float:
        """Return the accuracy, in [0, 1]."""
        return metrics.accuracy


class ToyCost(Objective):
    """An objective: the ADA_MACS of a candidate."""

    def value(self, metrics: Metrics) -> float:
        """Return ADA_MACS, in multiply-adds."""
        return metrics.ada_macs


class LinearSurrogate(SurrogateModel):
    """A surrogate model: linear regression by least squares."""

    def fit(self, genomes: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> Self:
        """See `SurrogateModel.fit`."""
        self._weights = np.linalg.lstsq(
            self._design(genomes), np.asarray(values, dtype=np.float64), rcond=None
        )[0]
        return self

    def predict(self, genomes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """See `SurrogateModel.predict`."""
        values: npt.NDArray[np.float64] = self._design(genomes) @ self._weights
        return values

    @staticmethod
    def _design(genomes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        rows = np.asarray(genomes, dtype=np.float64)
        return np.hstack([rows, np.ones((len(rows), 1))])


def toy_problem(space: SearchSpace | None = None, seed: int = 0, initial: int = 12) -> SearchProblem:
    """Return a search problem with two objectives and linear surrogates.

    Args:
        space: The search space; by default `toy_space()`.
        seed: The seed of the search.
        initial: Number of candidates in the initial archive.
    """
    return SearchProblem(
        space=space or toy_space(),
        objectives=2,
        surrogate=lambda _seed: LinearSurrogate(),
        seed=seed,
        initial=initial,
        progress=Silent(),
    )
