"""What thresholds keep of their promise on samples that they were not set on."""

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
    """Schemes on the samples that their thresholds were set on, and on others.

    Args:
        samples: How many samples the thresholds were set on, and how many others there are.
        promised_accuracy: (F,) top-1 of each scheme where it was set.
        kept_accuracy: (F,) top-1 on the others.
        promised_cost: (F,) multiply-adds for a sample where it was set.
        kept_cost: (F,) the same on the others.
        backbone_accuracy: The last exit's top-1 on all samples, there and here; no threshold decides it, so
            where it differs one part is easier than the other.
    """

    samples: tuple[int, int]
    promised_accuracy: Floats
    kept_accuracy: Floats
    promised_cost: Floats
    kept_cost: Floats
    backbone_accuracy: tuple[float, float]

    @property
    def accuracy_lost(self) -> float:
        """How much lower the accuracy is on other samples, mean over schemes; below 0 where it is higher."""
        return float(np.mean(self.promised_accuracy - self.kept_accuracy))

    @property
    def overfitting(self) -> float:
        """`accuracy_lost` beyond what the last exit loses too: what the thresholds owe to chance."""
        there, here = self.backbone_accuracy
        return self.accuracy_lost - (there - here)

    @property
    def cost_added(self) -> float:
        """How much dearer other samples are, as a share of the promised cost, mean over schemes."""
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
    """Score schemes on the samples that their thresholds were set on, and on others of the same network.

    Raises:
        ValueError: There is no scheme, a profile is empty, or a scheme does not fit a profile.
        CostError: A placed exit's head has no known cost.
    """
    if isinstance(schemes, SelectionScheme):
        schemes = (schemes,)
    chosen = schemes.schemes if isinstance(schemes, ThresholdFront) else tuple(schemes)
    if not chosen:
        raise ValueError("a gap needs one selection scheme or more; found none")
    macs = {"executed": executed_macs, "ada": ada_macs}[measure]
    found = []
    for profile in (set_on, others):
        outcomes = [outcome(profile, scheme) for scheme in chosen]
        found.append(np.array([each.accuracy for each in outcomes]))
        found.append(np.array([macs(costs, s, o.utilization) for s, o in zip(chosen, outcomes, strict=True)]))
    backbone = float(set_on.correct[:, -1].mean()), float(others.correct[:, -1].mean())
    return ThresholdGap((len(set_on), len(others)), found[0], found[2], found[1], found[3], backbone)
