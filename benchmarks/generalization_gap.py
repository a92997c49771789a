"""Generalisation gap of thresholds: accuracy and cost on samples that they were not set on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edanas.core.costs import Costs, ada_macs, executed_macs
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.thresholds.fronts import ThresholdFront
from edanas.thresholds.profiles import outcome
from edanas.thresholds.schemes import Measure

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ThresholdGap:
    """Accuracy and cost of schemes on the calibration samples of their thresholds, and on others.

    Args:
        samples: Number of calibration samples, and of other samples.
        promised_accuracy: (F,) top-1 of each scheme on the calibration samples.
        kept_accuracy: (F,) top-1 on the others.
        promised_cost: (F,) multiply-adds for a sample, on the calibration samples.
        kept_cost: (F,) the same on the others.
        backbone_accuracy: The last exit's top-1 on all calibration samples and on all others. It depends on
            no threshold, so a difference means that one part is easier.
    """

    samples: tuple[int, int]
    promised_accuracy: Floats
    kept_accuracy: Floats
    promised_cost: Floats
    kept_cost: Floats
    backbone_accuracy: tuple[float, float]

    @property
    def accuracy_lost(self) -> float:
        """Loss of accuracy on other samples, mean over schemes; negative for a gain."""
        return float(np.mean(self.promised_accuracy - self.kept_accuracy))

    @property
    def overfitting(self) -> float:
        """`accuracy_lost` beyond the loss of the last exit: the overfitting of the thresholds."""
        there, here = self.backbone_accuracy
        return self.accuracy_lost - (there - here)

    @property
    def cost_added(self) -> float:
        """Relative increase of the cost on other samples, mean over schemes."""
        return float(np.mean(self.kept_cost / self.promised_cost - 1.0))

    def __str__(self) -> str:
        count = len(self.promised_cost)
        return (
            f"{count} selection scheme{'s' if count > 1 else ''} set on {self.samples[0]} samples, "
            f"measured on {self.samples[1]} others: accuracy {-100 * self.accuracy_lost:+.2f} points "
            f"({100 * self.overfitting:.2f} by overfitting), cost {100 * self.cost_added:+.1f}%"
        )


def threshold_gap(
    schemes: ThresholdFront | SelectionScheme | Sequence[SelectionScheme],
    set_on: ExitProfile,
    others: ExitProfile,
    costs: Costs,
    measure: Measure = "executed",
) -> ThresholdGap:
    """Score schemes on the calibration samples of their thresholds, and on others of the same network.

    Raises:
        ValueError: `schemes` is empty, a profile is empty, or a scheme does not fit a profile.
        CostError: A placed exit's head has no known cost.
    """
    if isinstance(schemes, SelectionScheme):
        schemes = (schemes,)
    chosen = schemes.schemes if isinstance(schemes, ThresholdFront) else tuple(schemes)
    if not chosen:
        raise ValueError("a gap needs one selection scheme or more; found none")
    macs = {"executed": executed_macs, "ada": ada_macs}[measure]
    accuracy, cost = [], []
    for profile in (set_on, others):
        outcomes = [outcome(profile, scheme) for scheme in chosen]
        accuracy.append(np.array([each.accuracy for each in outcomes]))
        cost.append(np.array([macs(costs, s, o.utilization) for s, o in zip(chosen, outcomes, strict=True)]))
    backbone = float(set_on.correct[:, -1].mean()), float(others.correct[:, -1].mean())
    return ThresholdGap((len(set_on), len(others)), *accuracy, *cost, backbone)
