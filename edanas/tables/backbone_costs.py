"""What `edanas.evaluation.scoring.metrics_of` says, several times as fast: a table is asked very often."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from edanas.core.types import Metrics, Outcome, SelectionScheme
from edanas.model.anatomy import Anatomy


@dataclass(frozen=True)
class BackboneCosts:
    """Costs of one backbone as plain numbers: multiply-adds, parameters, activations of each segment.

    Args:
        stages: Of each of the M stages.
        heads: Of the head at each of the N exit points.
        last: Of the last exit.
        params: Of the stages and the last exit together.
        activations: The largest of the stages and the last exit.
    """

    stages: tuple[int, ...]
    heads: tuple[tuple[int, int, int], ...]
    last: int
    params: int
    activations: int

    @classmethod
    def of(cls, anatomy: Anatomy) -> Self:
        """From the segments, with a head at every exit point."""
        always = (*anatomy.stages, anatomy.last)
        heads = [anatomy.heads[point] for point in range(len(anatomy.stages) - 1)]
        return cls(
            tuple(stage.macs for stage in anatomy.stages),
            tuple((head.macs, head.params, head.activations) for head in heads),
            anatomy.last.macs,
            sum(segment.params for segment in always),
            max(segment.activations for segment in always),
        )

    def metrics(self, found: Outcome, scheme: SelectionScheme) -> Metrics:
        """All metrics; ADA_MACS (Eq. 5) and executed MACs to the last digit as in `edanas.core.costs`."""
        ada, executed, shares = [], [], []
        exit_macs: list[float | None] = [None] * len(scheme.thresholds)
        upto = vain = 0
        params, activations = self.params, self.activations
        for point, threshold in enumerate(scheme.thresholds):
            upto += self.stages[point]
            if threshold is not None:
                macs, more, largest = self.heads[point]
                ada.append(upto + macs)
                executed.append(upto + macs + vain)
                exit_macs[point] = float(executed[-1])
                shares.append(found.utilization[point])
                vain += macs
                params += more
                activations = max(activations, largest)
        whole = upto + self.stages[-1] + self.last
        per_exit = np.array([[*ada, whole], [*executed, whole + vain]], dtype=np.float64)
        weights = np.array([*shares, found.utilization[-1]])
        return Metrics(
            accuracy=found.accuracy,
            utilization=found.utilization,
            exit_accuracy=found.exit_accuracy,
            # One product each, as there: a product with both at once may add up in another order.
            ada_macs=float(per_exit[0] @ weights),
            executed_macs=float(per_exit[1] @ weights),
            backbone_accuracy=found.backbone_accuracy,
            backbone_macs=whole,
            params=params,
            activations=activations,
            exit_macs=(*exit_macs, float(whole + vain)),
        )
