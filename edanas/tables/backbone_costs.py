"""Metrics of a candidate on a table: a faster equivalent of `edanas.evaluation.scoring.metrics_of`."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from edanas.core.costs import backbone_macs
from edanas.core.types import Metrics, Outcome, SelectionScheme
from edanas.model.anatomy import Anatomy


@dataclass(frozen=True)
class BackboneCosts:
    """Costs of the segments of one backbone, as plain numbers.

    Args:
        stages: Multiply-adds of each stage.
        heads: Multiply-adds, parameters and activations of the head at each exit point.
        last: Multiply-adds of the last exit.
        params: Number of parameters of all stages and the last exit together.
        activations: Largest number of elements in one output of the stages and the last exit.
        backbone: Multiply-adds of the backbone without early exits.
    """

    stages: tuple[int, ...]
    heads: tuple[tuple[int, int, int], ...]
    last: int
    params: int
    activations: int
    backbone: int

    @classmethod
    def of(cls, anatomy: Anatomy) -> Self:
        """Return the costs in `anatomy`, which must have a head at every exit point."""
        always = (*anatomy.stages, anatomy.last)
        heads = [anatomy.heads[point] for point in range(len(anatomy.stages) - 1)]
        return cls(
            tuple(stage.macs for stage in anatomy.stages),
            tuple((head.macs, head.params, head.activations) for head in heads),
            anatomy.last.macs,
            sum(segment.params for segment in always),
            max(segment.activations for segment in always),
            backbone_macs(anatomy.costs),
        )

    def metrics(self, outcome: Outcome, scheme: SelectionScheme) -> Metrics:
        """Return the metrics of the backbone with a selection scheme.

        ADA_MACS and executed MACs are exactly equal to the results of `edanas.core.costs`.

        Args:
            outcome: Accuracy and utilization of the scheme.
            scheme: The selection scheme, with a threshold or `None` for each exit point.
        """
        ada, executed, shares = [], [], []
        exit_macs: list[float | None] = [None] * len(scheme.thresholds)
        upto = unused = 0
        params, activations = self.params, self.activations
        for point, threshold in enumerate(scheme.thresholds):
            upto += self.stages[point]
            if threshold is not None:
                macs, more, largest = self.heads[point]
                ada.append(upto + macs)
                executed.append(upto + macs + unused)
                exit_macs[point] = float(executed[-1])
                shares.append(outcome.utilization[point])
                unused += macs
                params += more
                activations = max(activations, largest)
        whole = upto + self.stages[-1] + self.last
        per_exit = np.array([[*ada, whole], [*executed, whole + unused]], dtype=np.float64)
        weights = np.array([*shares, outcome.utilization[-1]])
        return Metrics(
            accuracy=outcome.accuracy,
            utilization=outcome.utilization,
            exit_accuracy=outcome.exit_accuracy,
            # Two separate products, as in `edanas.core.costs`: one joint product may sum in another order.
            ada_macs=float(per_exit[0] @ weights),
            executed_macs=float(per_exit[1] @ weights),
            backbone_accuracy=outcome.backbone_accuracy,
            backbone_macs=self.backbone,
            params=params,
            activations=activations,
            exit_macs=(*exit_macs, float(whole + unused)),
        )
