"""An edanas plugin: the cost of a network that is split between a device and a server at its first exit."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edanas import hookimpl
from edanas.core.contracts import Logger, Meter, Objective, Specimen
from edanas.core.errors import ConfigError
from edanas.core.types import Evaluation, Metrics, SegmentFigures

EDANAS_SPEC_VERSION = 1


class Sent(Meter):
    """A meter whose figure for a head is the bytes of the features there; stages cost nothing.

    The figure for the last exit is the bytes of the image, one for each value, since a network without early
    exits runs on the server.

    Args:
        element_bytes: Bytes of one element of the features.
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

    ESAI (Zeinali and others, ESAI: Efficient Split Artificial Intelligence via Early Exiting Using Neural
    Architecture Search, 2021, arXiv:2106.12549). The device runs the stages up to the first exit, and that
    exit. It sends the features of an image that does not exit there. With the share U of images that exit at
    the first exit, the bytes B of the features, and the cost c of a byte::

        cost = MACs up to the first exit and its head + (1 - U) c B

    The server computes at no cost. A network without exits runs on the server, and the device sends the image.

    Args:
        per_byte: c, in multiply-adds of the device. 800: a device of 1 GMAC/s that sends 10 Mbit/s, by time.
        element_bytes: Bytes of one element of the features; 1 = 8 bits.

    Raises:
        ConfigError: An option is out of range.
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
        """Return the mean cost of an image in multiply-adds, including that of the bytes sent.

        Raises:
            CostError: The metrics have no figures of the meter.
        """
        sent = self.meters[0].by_exit(metrics)
        first, count = next((i, each) for i, each in enumerate(sent) if each is not None)
        if first == len(sent) - 1:
            return self.per_byte * count
        device = metrics.exit_macs[first] or 0.0
        return device + (1.0 - metrics.utilization[first]) * self.per_byte * count


class DeviceShare(Logger):
    """A logger that writes `split.csv`: for each candidate, the share of images that stay on the device.

    The file is in the run's folder. `edanas run --overwrite` deletes it, since `files` lists it.
    """

    def __init__(self) -> None:
        self._path = Path()

    def files(self) -> Sequence[str]:
        """See `Logger.files`."""
        return ("split.csv",)

    @hookimpl
    def edanas_run_started(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Begin the table, or continue that of a resumed run."""
        self._path = folder / "split.csv"
        if not self._path.exists():
            self._path.write_text("id,share,accuracy\n", encoding="utf-8")

    @hookimpl
    def edanas_candidate_evaluated(self, evaluation: Evaluation) -> None:
        """Add a row; a candidate that failed has none."""
        candidate, metrics = evaluation.candidate, evaluation.metrics
        if metrics is None:
            return
        share = metrics.utilization[candidate.scheme.placed[0]] if candidate.scheme.placed else 0.0
        with self._path.open("a", encoding="utf-8") as table:
            table.write(f"{candidate.id},{share:.4f},{metrics.accuracy:.4f}\n")


@hookimpl
def edanas_loggers() -> dict[str, Callable[..., Logger]]:
    """Return the logger, for `--set 'loggers=["device-share"]'`."""
    return {"device-share": DeviceShare}


@hookimpl
def edanas_objectives() -> dict[str, Callable[..., Objective]]:
    """Return the objective, for `--set 'objectives=["accuracy", "split-cost"]'`."""
    return {"split-cost": SplitCost}
