"""Objectives that combine other values: a weighted sum, and the tail of the cost distribution."""

from collections.abc import Callable, Mapping
from typing import Literal

from edanas.core.contracts import Objective
from edanas.core.errors import ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import Metrics
from edanas.goals.objectives import exit_shares_and_costs

_ROUNDING = 1e-9
"""Shares that differ by less than this number count as equal."""


class Weighted(Objective):
    """A minimised weighted sum of other objectives; a maximised objective is subtracted.

    A weight is the importance of one unit of its objective. With the weights 1 for accuracy and 2e-8 for
    MACs, for example, 10M MACs weigh as much as 20 points of accuracy.

    Args:
        of: The objectives of the sum; in a configuration file, each is a name or a table with options.
        weights: A number above 0 for each objective in `of`.

    Raises:
        ConfigError: `of` is empty, or `weights` does not hold one positive number for each part.
    """

    def __init__(self, of: tuple[Objective, ...], weights: tuple[float, ...]) -> None:
        if not of or len(weights) != len(of) or min(weights) <= 0:
            raise ConfigError(
                f"objectives.weights: found {list(weights)} for {len(of)} objectives in `of`; allowed: one "
                "or more objectives, and a number above 0 for each objective"
            )
        self._parts = [(-w if part.maximise else w, part) for part, w in zip(of, weights, strict=True)]
        self.structural = all(part.structural for part in of)
        self.footprints = any(part.footprints for part in of)
        self.meters = tuple(meter for part in of for meter in part.meters)
        followed = [part.macs for part in of if part.macs]
        self.macs = "executed" if "executed" in followed else followed[0] if followed else None

    def value(self, metrics: Metrics) -> float:
        """Return the weighted sum; smaller = better."""
        return sum(weight * part.value(metrics) for weight, part in self._parts)


class Tail(Objective):
    """Executed MACs of the costliest samples: their mean, or the cost at which the costliest samples begin.

    All samples of one exit have the same cost, so utilization gives the distribution of the costs. The mean
    is the conditional value at risk (Rockafellar and Uryasev, Optimization of Conditional Value-at-Risk,
    2000). If only some samples of an exit belong to the costliest samples, the exit counts with this
    fraction. The threshold is the value at risk: the smallest cost that at most the fraction `share` of the
    samples exceeds.

    Args:
        share: Fraction of the samples that counts as the costliest, above 0 and at most 1; default 0.05. With
            1, the mean is the executed MACs.
        measure: `mean`, the default, or `threshold`.

    Raises:
        ConfigError: `share` is out of range.
    """

    unit = "MACs"
    macs = "executed"

    def __init__(self, share: float = 0.05, measure: Literal["mean", "threshold"] = "mean") -> None:
        if not 0 < share <= 1:
            raise ConfigError(f"objectives.share: found {share}; allowed: above 0 and at most 1")
        self._share, self._measure = share, measure

    def value(self, metrics: Metrics) -> float:
        """Return the mean or the threshold, in multiply-adds of one sample."""
        costliest = sorted(exit_shares_and_costs(metrics), key=lambda pair: -pair[1])
        return self._mean(costliest) if self._measure == "mean" else self._threshold(costliest)

    def _mean(self, costliest: list[tuple[float, float]]) -> float:
        left, total = self._share, 0.0
        for share, macs in costliest:
            part = min(share, left)
            total, left = total + part * macs, left - part
        return total / (self._share - left)

    def _threshold(self, costliest: list[tuple[float, float]]) -> float:
        above = 0.0
        for share, macs in costliest:
            above += share
            if above > self._share + _ROUNDING:
                return macs
        return min(macs for share, macs in costliest if share > 0)


@hookimpl
def edanas_objectives() -> Mapping[str, Callable[..., Objective]]:
    """Register the weighted sum and the tail of the cost distribution."""
    return {"weighted": Weighted, "tail": Tail}
