"""Objective values with the sign that the engine minimises."""

from collections.abc import Sequence

from edanas.core.contracts import Objective
from edanas.core.types import Metrics


def minimised(objectives: Sequence[Objective], metrics: Metrics) -> list[float]:
    """Return the J objective values of one evaluation; maximised values change their sign."""
    return [-o.value(metrics) if o.maximise else o.value(metrics) for o in objectives]
