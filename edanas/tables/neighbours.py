"""Answers for backbones outside a table, estimated from those in it; never to be taken for measured ones."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edanas.core.space import SearchSpace
from edanas.core.types import Backbone, Candidate, Metrics, Outcome, SegmentCost, SelectionScheme
from edanas.evaluation.scoring import metrics_of
from edanas.model.anatomy import Anatomy
from edanas.numerics.gaussian_process import Array
from edanas.numerics.smoother import Smoother
from edanas.tables.file_format import SEGMENT_COSTS
from edanas.tables.interpolation import features, fit_smoother
from edanas.tables.reader import UNKNOWN_SHAPE, Table

MOST = 600
"""Backbones of a table that estimates are made from; of a larger table, so many at equal distances."""

_SCHEMES, _BACKBONES = 256, 4096
"""How many are remembered with their part of an estimate: some 15 and 20 MB."""


class Answer(NamedTuple):
    """What a table says of a candidate, and whether it was measured (in the table) or estimated."""

    metrics: Metrics
    measured: bool


class Neighbours:
    """A surrogate of a table: what the candidate's scheme does on the table's backbones, weighted.

    Who leaves where, and who of them is right, is known exactly for each backbone of the table under any
    scheme. A Gaussian process says how much each of them tells of the backbone that is asked about. The costs
    of each segment are regressed by themselves, as logarithms.

    Args:
        table: What is known.
        part: The samples to judge on; the searched part if left out.
        rows: The table's rows to learn from; at most `MOST`, spread over the table, if left out.
    """

    def __init__(self, table: Table, part: str = "", rows: npt.NDArray[np.int64] | None = None) -> None:
        self.table, self.part = table, part or table.parts[0]
        spread = np.linspace(0, len(table) - 1, min(len(table), MOST)).astype(np.int64)
        self._rows = spread if rows is None else rows
        self._space: SearchSpace = table.description.backbone_space()
        self._features = features(self._space, table.genomes[self._rows])
        self._behaviour = fit_smoother(self._features, self._examples())
        self._logs, self._costs = self._fit_costs()
        self._known = lru_cache(_SCHEMES)(self._known_of)
        self._share = lru_cache(_BACKBONES)(self._share_of)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.table, self.part, self._rows)

    def answer(self, candidate: Candidate) -> Answer:
        """Measured where the backbone is in the table, estimated elsewhere.

        Raises:
            CandidateError: The candidate is of another space.
        """
        if candidate.backbone in self.table:
            return Answer(self.table.metrics(candidate, self.part), measured=True)
        return Answer(self.estimate(candidate), measured=False)

    def estimate(self, candidate: Candidate) -> Metrics:
        """The estimate, also where the table knows better.

        Raises:
            CandidateError: The candidate is of another space.
        """
        scheme = candidate.scheme
        weights, anatomy = self._share(candidate.backbone)
        leaving, right, last = (weights @ known for known in self._known(scheme))
        leaving = np.maximum(leaving, 0.0)
        leaving /= leaving.sum()
        right = np.clip(right, 0.0, leaving)
        exits = [*scheme.placed, len(scheme.thresholds)]
        result = Outcome(
            accuracy=float(right.sum()),
            utilization=tuple(leaving.tolist()),
            exit_accuracy=tuple(
                float(right[i] / leaving[i]) if i in exits and leaving[i] > 0 else None
                for i in range(len(leaving))
            ),
            backbone_accuracy=float(np.clip(last, 0.0, 1.0)),
        )
        return metrics_of(result, scheme, anatomy)

    def anatomy(self, backbone: Backbone) -> Anatomy:
        """What the segments of a backbone of the space should cost, estimated.

        Raises:
            CandidateError: The backbone is of another space.
        """
        return self._share(backbone)[1]

    def _examples(self) -> Array:
        """(n, T): behaviour under a few schemes, by which variables are weighed."""
        points = self.table.description.exit_points
        one_exit = [
            SelectionScheme(tuple(threshold if at == point else None for at in range(points)))
            for point in range(points)
            for threshold in (0.25, 0.75)
        ]
        known = [self._known_of(scheme) for scheme in (SelectionScheme((None,) * points), *one_exit)]
        return np.hstack([np.hstack([leaving, right]) for leaving, right, _ in known])

    def _known_of(self, scheme: SelectionScheme) -> tuple[Array, Array, Array]:
        """Fractions of all samples, by row: leaving and right at each exit, right at the last if all came."""
        leaving, right = self.table.sweep(scheme, self.part, self._rows)
        total = self.table.description.parts[self.part]
        nobody = SelectionScheme((None,) * len(scheme.thresholds))
        _, at_last = self.table.sweep(nobody, self.part, self._rows)
        return leaving / total, right / total, at_last[:, -1] / total

    def _fit_costs(self) -> tuple[Array, list[Smoother]]:
        """Logarithms of the costs, (segments, n, kinds), and what predicts them, by segment."""
        costs = np.stack([self.table.segments(name)[self._rows] for name in SEGMENT_COSTS], axis=2)
        logs = np.log1p(costs.astype(np.float64)).transpose(1, 0, 2)
        return logs, [fit_smoother(self._features, segment) for segment in logs]

    def _share_of(self, backbone: Backbone) -> tuple[Array, Anatomy]:
        """How much each known backbone tells of this one, and what its segments should cost."""
        row = features(self._space, self.table.genome(backbone)[None])
        found = [
            SegmentCost(*_whole(smoother.weights(row)[0] @ (log - log.mean(axis=0)) + log.mean(axis=0)))
            for smoother, log in zip(self._costs, self._logs, strict=True)
        ]
        stages = self.table.description.exit_points + 1
        anatomy = Anatomy(tuple(found[:stages]), dict(enumerate(found[stages:-1])), found[-1])
        return self._behaviour.weights(row)[0], anatomy


def _whole(logs: Array) -> tuple[int, int, int, tuple[int, int, int]]:
    macs, params, activations = np.rint(np.expm1(np.maximum(logs, 0.0))).astype(np.int64).tolist()
    return macs, params, activations, UNKNOWN_SHAPE
