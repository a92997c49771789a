"""Estimates of metrics for backbones outside a table, from the backbones in the table."""

from dataclasses import replace
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
"""Largest number of backbones that estimates use; from a larger table, rows at equal distances are taken."""

_SCHEMES, _BACKBONES = 256, 4096
"""Number of selection schemes and of backbones with cached results; the caches take about 15 and 20 MB."""


class Answer(NamedTuple):
    """Metrics of a candidate, with a flag for estimates.

    Args:
        metrics: The candidate's metrics.
        measured: True for metrics from the table, false for estimates.

    Example:
        >>> from edanas.tables.example_table import example_table
        >>> table = example_table()
        >>> candidate = table.space().decode(table.genomes[0].tolist() + [1, 0])
        >>> Answer(table.metrics(candidate), measured=True).metrics.accuracy
        0.8
    """

    metrics: Metrics
    measured: bool


class Neighbours:
    """An estimator of a candidate's metrics, for backbones that are not in a table.

    For each backbone in the table, utilization and accuracy under any selection scheme are known exactly. The
    estimate for a new backbone is a weighted mean of these values. A Gaussian process computes the weights.
    The costs of each segment are predicted separately, as logarithms.

    Args:
        table: The table with the exit profiles.
        part: Name of the part of the data; empty, the default, is the part that a search judges on.
        rows: Rows of the table to learn from; `None`, the default, takes at most `MOST` rows at equal
            distances.

    Example:
        >>> from edanas.tables.example_table import example_table
        >>> table = example_table()
        >>> neighbours = Neighbours(table, rows=np.arange(5))
        >>> candidate = table.space().decode(table.genomes[5].tolist() + [1, 0])
        >>> neighbours.estimate(candidate).params, table.metrics(candidate).params
        (560, 560)
    """

    def __init__(self, table: Table, part: str = "", rows: npt.NDArray[np.int64] | None = None) -> None:
        self.table, self.part = table, part or table.parts[0]
        spread = np.linspace(0, len(table) - 1, min(len(table), MOST)).astype(np.int64)
        self._rows = spread if rows is None else rows
        self._space: SearchSpace = table.description.backbone_space()
        self._features = features(self._space, table.genomes[self._rows])
        self._outcomes = fit_smoother(self._features, self._examples())
        self._logs, self._costs = self._fit_costs()
        self._known = lru_cache(_SCHEMES)(self._known_of)
        self._weights = lru_cache(_BACKBONES)(self._weights_of)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.table, self.part, self._rows)

    def answer(self, candidate: Candidate) -> Answer:
        """Return measured metrics if the backbone is in the table, otherwise estimated metrics.

        Raises:
            CandidateError: The candidate does not belong to the table's space.
        """
        if candidate.backbone in self.table:
            return Answer(self.table.metrics(candidate, self.part), measured=True)
        return Answer(self.estimate(candidate), measured=False)

    def estimate(self, candidate: Candidate) -> Metrics:
        """Return estimated metrics, even for a backbone in the table.

        Raises:
            CandidateError: The candidate does not belong to the table's space.
        """
        scheme = candidate.scheme
        weights, anatomy = self._weights(candidate.backbone)
        exiting, right, last = (weights @ known for known in self._known(scheme))
        exiting = np.maximum(exiting, 0.0)
        exiting /= exiting.sum()
        right = np.clip(right, 0.0, exiting)
        exits = [*scheme.placed, len(scheme.thresholds)]
        result = Outcome(
            accuracy=float(right.sum()),
            utilization=tuple(exiting.tolist()),
            exit_accuracy=tuple(
                float(right[i] / exiting[i]) if i in exits and exiting[i] > 0 else None
                for i in range(len(exiting))
            ),
            backbone_accuracy=float(np.clip(last, 0.0, 1.0)),
        )
        return metrics_of(result, scheme, anatomy)

    def anatomy(self, backbone: Backbone) -> Anatomy:
        """Return the estimated costs of a backbone's segments.

        Raises:
            CandidateError: The backbone does not belong to the table's space.
        """
        return self._weights(backbone)[1]

    def _examples(self) -> Array:
        """Return examples of outcomes of the n known backbones, (n, T), from which the smoother is fitted.

        The examples are the fractions of samples that exit, and that exit with a correct prediction, at each
        exit. They are computed for the scheme without exits and for schemes with one exit.
        """
        points = self.table.description.exit_points
        one_exit = [
            SelectionScheme(tuple(threshold if at == point else None for at in range(points)))
            for point in range(points)
            for threshold in (0.25, 0.75)
        ]
        known = [self._known_of(scheme) for scheme in (SelectionScheme((None,) * points), *one_exit)]
        return np.hstack([np.hstack([exiting, right]) for exiting, right, _ in known])

    def _known_of(self, scheme: SelectionScheme) -> tuple[Array, Array, Array]:
        """Return three arrays of fractions of all samples, for the n known backbones under a scheme.

        The first array, (n, N + 1) for N exit points, holds the samples that exit at each exit. The second
        array, (n, N + 1), holds the samples that exit there with a correct prediction. The third array, (n,),
        holds the samples that the last exit alone classifies correctly.
        """
        exiting, right = self.table.sweep(scheme, self.part, self._rows)
        total = self.table.description.parts[self.part]
        no_exits = SelectionScheme((None,) * len(scheme.thresholds))
        _, at_last = self.table.sweep(no_exits, self.part, self._rows)
        return exiting / total, right / total, at_last[:, -1] / total

    def _fit_costs(self) -> tuple[Array, list[Smoother]]:
        """Return logarithms of the costs, (segments, n, kinds of cost), and a smoother for each segment."""
        costs = np.stack([self.table.segments(name)[self._rows] for name in SEGMENT_COSTS], axis=2)
        logs = np.log1p(costs.astype(np.float64)).transpose(1, 0, 2)
        return logs, [fit_smoother(self._features, segment) for segment in logs]

    def _weights_of(self, backbone: Backbone) -> tuple[Array, Anatomy]:
        """Return the weight of each known backbone, (n,), and the estimated segment costs of `backbone`."""
        row = features(self._space, self.table.genome(backbone)[None])
        segments = [
            SegmentCost(*_whole(smoother.weights(row)[0] @ (log - log.mean(axis=0)) + log.mean(axis=0)))
            for smoother, log in zip(self._costs, self._logs, strict=True)
        ]
        for at in self.table.description.image_stages:
            segments[at] = replace(segments[at], reads_image=True)
        stages = self.table.description.exit_points + 1
        anatomy = Anatomy(tuple(segments[:stages]), dict(enumerate(segments[stages:-1])), segments[-1])
        return self._outcomes.weights(row)[0], anatomy


def _whole(logs: Array) -> tuple[int, int, int, tuple[int, int, int]]:
    macs, params, activations = np.rint(np.expm1(np.maximum(logs, 0.0))).astype(np.int64).tolist()
    return macs, params, activations, UNKNOWN_SHAPE
