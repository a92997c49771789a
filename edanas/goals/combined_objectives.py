"""Objectives made of others: a weighted sum, and the tail of what samples cost."""

from collections.abc import Callable, Mapping
from typing import Literal

from edanas.core.contracts import Objective
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Metrics
from edanas.goals.objectives import leaving

_ROUNDING = 1e-9
"""Shares of samples are sums of floats: what differs by less is nobody."""


class Weighted(Objective):
    """A weighted sum of other objectives, minimised; what is maximised counts with the opposite sign.

    The parts have units of their own: a weight says how much one unit is worth, e.g. 1 for accuracy and 2e-8
    for MACs, where 10M MACs are worth 20 points of accuracy.

    Args:
        of: The parts, each a name or a table with options.
        weights: One number above 0 for each part.

    Raises:
        ConfigError: There are no parts, or not one positive weight for each.
    """

    def __init__(self, of: tuple[Objective, ...], weights: tuple[float, ...]) -> None:
        if not of or len(weights) != len(of) or min(weights) <= 0:
            raise ConfigError(
                f"objectives.weights: found {list(weights)} for {len(of)} parts; allowed: a number above 0 "
                "for each of the parts in `of`, one or more"
            )
        self._parts = [(-w if part.maximise else w, part) for part, w in zip(of, weights, strict=True)]
        self.structural = all(part.structural for part in of)
        self.meters = tuple(meter for part in of for meter in part.meters)
        followed = [part.macs for part in of if part.macs]
        self.macs = "executed" if "executed" in followed else followed[0] if followed else None

    def value(self, metrics: Metrics) -> float:
        """The sum, smaller = better."""
        return sum(weight * part.value(metrics) for weight, part in self._parts)


class Tail(Objective):
    """What the costliest samples cost: executed MACs of the worst share, their mean or their threshold.

    Each sample costs what leaving at its exit does, so utilization gives the whole distribution. The mean of
    the worst share is the conditional value at risk (Rockafellar and Uryasev, Optimization of Conditional
    Value-at-Risk, 2000), of which a sample on the border counts in part; the threshold is the value at risk,
    the smallest cost that all but this share of the samples keep within.

    Args:
        share: Of the samples, the costliest; above 0, at most 1. A mean over 1 is the executed MACs.
        measure: `mean` or `threshold`.

    Raises:
        ConfigError: The share is out of range.
    """

    unit = "MACs"
    macs = "executed"

    def __init__(self, share: float = 0.05, measure: Literal["mean", "threshold"] = "mean") -> None:
        if not 0 < share <= 1:
            raise ConfigError(f"objectives.share: found {share}; allowed: above 0 and at most 1")
        self._share, self._measure = share, measure

    def value(self, metrics: Metrics) -> float:
        """Multiply-adds of one sample."""
        dearest = sorted(leaving(metrics), key=lambda pair: -pair[1])
        return self._mean(dearest) if self._measure == "mean" else self._threshold(dearest)

    def _mean(self, dearest: list[tuple[float, float]]) -> float:
        left, total = self._share, 0.0
        for share, macs in dearest:
            taken = min(share, left)
            total, left = total + taken * macs, left - taken
        return total / (self._share - left)

    def _threshold(self, dearest: list[tuple[float, float]]) -> float:
        above = 0.0
        for share, macs in dearest:
            above += share
            if above > self._share + _ROUNDING:
                return macs
        return min(macs for share, macs in dearest if share > 0)


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """What is made of others, and of the distribution over samples."""
    return {"weighted": Weighted, "tail": Tail}
