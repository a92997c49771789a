"""The threshold setter `nachos`: a scan of common thresholds, and a repair until constraints hold."""

from collections.abc import Callable

import numpy as np

from edanas.core.contracts import Calibration, ThresholdChoice, ThresholdSetter
from edanas.core.errors import CandidateError, ConfigError
from edanas.core.hookspecs import hookimpl
from edanas.core.types import SelectionScheme
from edanas.thresholds.budgets import bound, format_quantity
from edanas.thresholds.profiles import exit_columns
from edanas.thresholds.schemes import exit_costs, restrict_profile

_LEVELS = (0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8)
"""Thresholds of the scan, as in the source's code."""

_FIRST = 0.7
"""Smallest threshold of the first exit in the scan."""


class NachosThresholds(ThresholdSetter):
    """The most accurate common threshold, lowered from the last exit on until constraints hold (NACHOS).

    All exits get one threshold of 0.1, 0.2, 0.3, 0.5, 0.6, 0.7 and 0.8; the first exit gets 0.7 at least.
    The most accurate choice is taken. If it costs more than `max_macs`, thresholds fall in steps of 0.1, from
    the last early exit to the first. The accuracy stays at `min_accuracy` or above.

    The thresholds fit the criterion `cumulative-gate`. In the source's code, a step that breaks the accuracy
    stays, and thresholds end at 0.1; here such a step is taken back, and thresholds end at 0.

    Source: Gambella, Pomponi, Scardapane and Roveri, "NACHOS: Neural architecture search for hardware
    constrained early exit neural networks", arXiv 2401.13330, and its public code.

    Args:
        max_macs: Most executed multiply-adds per sample on average: a number, or a text such as `5M`.
        min_accuracy: Least top-1 accuracy: a fraction, or a text such as `65%`; 0 by default.

    Raises:
        ConfigError: An option cannot be read or is out of range.
    """

    def __init__(self, max_macs: str | float | None = None, min_accuracy: str | float = 0.0) -> None:
        try:
            macs, accuracy = bound("max_macs", max_macs), bound("min_accuracy", min_accuracy)
        except ConfigError as error:
            raise ConfigError(f"final_thresholds.{error}") from error
        self.max_macs = np.inf if macs is None else macs
        self.min_accuracy = accuracy or 0.0
        if not self.max_macs > 0:
            raise ConfigError(f"final_thresholds.max_macs: found {max_macs}; allowed: a number above 0")
        if not 0 <= self.min_accuracy <= 1:
            raise ConfigError(f"final_thresholds.min_accuracy: found {min_accuracy}; allowed: 0 to 1")

    def choose(self, calibration: Calibration) -> ThresholdChoice:
        """See `ThresholdSetter.choose`."""
        points, count = calibration.scheme.placed, len(calibration.scheme.thresholds)
        profile = restrict_profile(calibration.profile, points)
        costs, rows = exit_costs(calibration.costs, points), np.arange(len(profile))

        def scheme(tenths: list[int]) -> SelectionScheme:
            # Thresholds are multiples of 0.1, rounded to float32 as the network compares them.
            chosen = {at: float(np.float32(each / 10)) for at, each in zip(points, tenths, strict=True)}
            return SelectionScheme(tuple(chosen.get(at) for at in range(count)))

        def score(tenths: list[int]) -> tuple[float, float]:
            columns = exit_columns(profile, scheme(tenths))
            return float(profile.correct[rows, columns].mean()), float(costs[columns].mean())

        levels = [round(10 * level) for level in _LEVELS]
        scan = [[max(level, round(10 * _FIRST)), *[level] * (len(points) - 1)] for level in levels]
        best = max(scan, key=lambda tenths: score(tenths)[0])
        best = self._repaired(best, score)
        accuracy, macs = score(best)
        if accuracy < self.min_accuracy or macs > self.max_macs:
            raise CandidateError(
                f"final_thresholds: found {format_quantity('max_macs', macs)} with "
                f"{format_quantity('min_accuracy', accuracy)} after the repair; required: at most "
                f"{format_quantity('max_macs', self.max_macs)} with at least "
                f"{format_quantity('min_accuracy', self.min_accuracy)}"
            )
        return ThresholdChoice(scheme(best))

    def _repaired(self, tenths: list[int], score: Callable[[list[int]], tuple[float, float]]) -> list[int]:
        """Return thresholds, in tenths, that are lowered until `max_macs` holds or no step is left."""
        for at in reversed(range(len(tenths))):
            while score(tenths)[1] > self.max_macs and tenths[at] > 0:
                lower = [*tenths[:at], tenths[at] - 1, *tenths[at + 1 :]]
                if score(lower)[0] < self.min_accuracy:
                    break
                tenths = lower
        return tenths


@hookimpl
def edanas_threshold_setters() -> dict[str, Callable[..., ThresholdSetter]]:
    """Register the setter by name."""
    return {"nachos": NachosThresholds}
