"""From the times of leaving at each exit to what a sample takes."""

from edanas.core.errors import CostError
from edanas.core.types import Metrics


def milliseconds(metrics: Metrics, meter: str) -> float:
    """What a sample takes on average, by the meter of this name.

    Raises:
        CostError: The metrics do not hold its times.
    """
    if meter not in metrics.exit_times:
        known = ", ".join(metrics.exit_times) or "none"
        raise CostError(f"the metrics hold no times of '{meter}'; found: {known}")
    pairs = zip(metrics.utilization, metrics.exit_times[meter], strict=True)
    return sum(share * nanoseconds for share, nanoseconds in pairs if nanoseconds is not None) / 1e6
