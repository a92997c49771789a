"""An edanas plugin: the cost of a network that a device runs up to the first exit and a server after it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas import hookimpl
from edanas.core.contracts import Logger, Meter, Objective, Specimen
from edanas.core.errors import ConfigError
from edanas.core.types import Evaluation, Metrics, SegmentFigures

EDANAS_SPEC_VERSION = 1


class Sent(Meter):
    """A meter of the bytes that a device sends to a server.

    The cost of a head is the number of bytes of the features at its exit point, and stages cost nothing. The
    cost of the last exit is the number of bytes of the image, at one byte for each value of a pixel. A
    network without early exits has this cost, since it runs on the server.

    Args:
        element_bytes: Number of bytes of one element of the features.
    """

    counted = True

    def __init__(self, element_bytes: int) -> None:
        self.element_bytes, self.name = element_bytes, f"bytes sent, {element_bytes} for an element"

    def figures(self, specimen: Specimen) -> SegmentFigures:
        """See `Meter.figures`."""
        features = (point.channels * point.height * point.width for point in specimen.points)
        side = int(specimen.backbone["resolution"])
        image = specimen.task.in_channels * side * side
        heads = tuple(self.element_bytes * elements for elements in features)
        return SegmentFigures((0,) * len(specimen.stages), heads, image)


class SplitCost(Objective):
    """Mean cost of an image for a device that sends features to a server after the first exit.

    The objective follows ESAI (Zeinali and others, ESAI: Efficient Split Artificial Intelligence via Early
    Exiting Using Neural Architecture Search, 2021, arXiv:2106.12549). The device runs the stages up to the
    first exit, and the head of the first exit. If an image does not exit there, the device sends its
    features. U is the share of images that exit at the first exit, B the number of bytes of the features, and
    c the cost of sending a byte::

        cost = MACs up to the first exit and its head + (1 - U) c B

    The server computes at no cost. A network without exits runs on the server, and the device sends the
    image.

    Args:
        per_byte: The cost c of sending a byte, in multiply-adds of the device. The default of 800 is the cost
            in time for a device that computes 1e9 multiply-adds or sends 10 Mbit in a second.
        element_bytes: Number of bytes of one element of the features, by default 1.

    Raises:
        ConfigError: `per_byte` is negative, or `element_bytes` is below 1.
    """

    unit = "MACs"

    def __init__(self, per_byte: float = 800.0, element_bytes: int = 1) -> None:
        if per_byte < 0:
            raise ConfigError(f"objectives.per_byte: found {per_byte}; allowed: 0 or more")
        if element_bytes < 1:
            raise ConfigError(f"objectives.element_bytes: found {element_bytes}; allowed: 1 or more")
        self.per_byte = per_byte
        self.meters = (Sent(element_bytes),)

    def value(self, metrics: Metrics) -> float:
        """Return the mean cost of an image in multiply-adds, which includes the cost of sending.

        Raises:
            CostError: The metrics have no values of the meter `Sent`.
        """
        sent = self.meters[0].by_exit(metrics)
        first, count = next((i, each) for i, each in enumerate(sent) if each is not None)
        if first == len(sent) - 1:
            return self.per_byte * count
        device = metrics.exit_macs[first] or 0.0
        return device + (1.0 - metrics.utilization[first]) * self.per_byte * count


class DeviceShare(Logger):
    """A logger that writes a table of the shares of images that exit at the first exit, on the device.

    The table is `split.csv` in the run folder, with a row for each candidate. `edanas run --overwrite`
    deletes the table, since `files` lists it.
    """

    def __init__(self) -> None:
        self._path = Path()

    def files(self) -> Sequence[str]:
        """See `Logger.files`."""
        return ("split.csv",)

    @hookimpl
    def edanas_run_started(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Begin the table, or continue the table of a resumed run."""
        self._path = folder / "split.csv"
        if not self._path.exists():
            self._path.write_text("id,share,accuracy\n", encoding="utf-8")

    @hookimpl
    def edanas_candidate_evaluated(self, evaluation: Evaluation) -> None:
        """Add a row to the table, unless the candidate failed."""
        candidate, metrics = evaluation.candidate, evaluation.metrics
        if metrics is None:
            return
        share = metrics.utilization[candidate.scheme.placed[0]] if candidate.scheme.placed else 0.0
        with self._path.open("a", encoding="utf-8") as table:
            table.write(f"{candidate.id},{share:.4f},{metrics.accuracy:.4f}\n")


@hookimpl
def edanas_loggers() -> dict[str, Callable[..., Logger]]:
    """Register the logger for the setting `--set 'loggers=["device-share"]'`."""
    return {"device-share": DeviceShare}


@hookimpl
def edanas_objectives() -> dict[str, Callable[..., Objective]]:
    """Register the objective for the setting `--set 'objectives=["accuracy", "split-cost"]'`."""
    return {"split-cost": SplitCost}
