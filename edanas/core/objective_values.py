"""Values of objectives, all to be minimised."""

from collections.abc import Sequence

from edanas.core.contracts import Objective
from edanas.core.types import Metrics


def minimised(objectives: Sequence[Objective], metrics: Metrics) -> list[float]:
    """The objectives' values of one evaluation, all to be minimised: here alone a direction turns."""
    return [-o.value(metrics) if o.maximise else o.value(metrics) for o in objectives]
