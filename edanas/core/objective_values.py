"""Values of objectives in the direction of the engine, which minimises."""

from collections.abc import Sequence

from edanas.core.contracts import Objective
from edanas.core.types import Metrics


def minimised(objectives: Sequence[Objective], metrics: Metrics) -> list[float]:
    """Return the objectives' values of one evaluation, with the sign of maximised ones changed."""
    return [-o.value(metrics) if o.maximise else o.value(metrics) for o in objectives]
