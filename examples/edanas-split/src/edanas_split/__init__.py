"""An edanas plugin: a network that a device runs up to the first exit and a server after it (ESAI)."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from edanas import hookimpl
from edanas.core.contracts import (
    ConfidenceCriterion,
    Logger,
    Meter,
    Objective,
    SequenceCriterion,
    Specimen,
)
from edanas.core.errors import ConfigError
from edanas.core.types import Evaluation, Metrics, SegmentFigures
from edanas.exits.criteria import Entropy, probabilities
from edanas.numerics.minimization import minimise
from torch import nn
from torch.nn import functional as F

EDANAS_SPEC_VERSION = 1


class Sent(Meter):
    """A meter of the bytes that a device sends to a server.

    The cost of a head is the number of bytes that are sent if a sample does not exit there: the features at
    its exit point, the sample, or the smaller of both. Stages cost nothing. The cost of the last exit is the number of bytes of the image, at one byte for each value of a pixel. A
    network without early exits has this cost, since it runs on the server.

    Args:
        element_bytes: Number of bytes of one element of the features.
        send: `features`, `sample`, or `less` for the smaller of both.
    """

    counted = True

    def __init__(self, element_bytes: int, send: str = "features") -> None:
        self.element_bytes, self.send = element_bytes, send
        self.name = f"bytes sent, {element_bytes} for an element, {send}"

    def figures(self, specimen: Specimen) -> SegmentFigures:
        """See `Meter.figures`."""
        features = (point.channels * point.height * point.width for point in specimen.points)
        side = int(specimen.backbone["resolution"])
        image = specimen.task.in_channels * side * side
        heads = tuple(self._bytes(self.element_bytes * elements, image) for elements in features)
        return SegmentFigures((0,) * len(specimen.stages), heads, image)

    def _bytes(self, features: int, sample: int) -> int:
        return {"features": features, "sample": sample, "less": min(features, sample)}[self.send]


class SplitCost(Objective):
    """Mean cost of an image for a device that sends features to a server after the first exit.

    The objective follows ESAI (Zeinali and others, ESAI: Efficient Split Artificial Intelligence via Early
    Exiting Using Neural Architecture Search, 2021, arXiv:2106.12549). The device runs the stages up to the
    first exit, and the head of the first exit. If an image does not exit there, the device sends its
    features, or the image itself. U is the share of images that exit at the first exit. B is the number of
    bytes that are sent, c the cost of sending a byte, and d the cost of a transfer of any size::

        cost = MACs up to the first exit and its head + (1 - U) (d + c B)

    The server computes at no cost. A network without exits runs on the server, and the device sends the
    image.

    Args:
        per_byte: The cost c of sending a byte, in multiply-adds of the device. The default of 800 is the cost
            in time for a device that computes 1e9 multiply-adds or sends 10 Mbit in a second.
        element_bytes: Number of bytes of one element of the features, by default 1.
        send: `features` (default), `sample`, or `less` for the smaller of both. A server that gets the sample
            runs all stages.
        per_transfer: The cost d of a transfer, e.g. of its round trip, in multiply-adds of the device.

    Raises:
        ConfigError: `per_byte` or `per_transfer` is negative, `element_bytes` is below 1, or `send` is
            another text.
    """

    unit = "MACs"

    def __init__(
        self,
        per_byte: float = 800.0,
        element_bytes: int = 1,
        send: str = "features",
        per_transfer: float = 0.0,
    ) -> None:
        for option, value in (("per_byte", per_byte), ("per_transfer", per_transfer)):
            if value < 0:
                raise ConfigError(f"objectives.{option}: found {value}; allowed: 0 or more")
        if send not in ("features", "sample", "less"):
            raise ConfigError(f"objectives.send: found '{send}'; allowed: features, sample, less")
        if element_bytes < 1:
            raise ConfigError(f"objectives.element_bytes: found {element_bytes}; allowed: 1 or more")
        self.per_byte, self.per_transfer = per_byte, per_transfer
        self.meters = (Sent(element_bytes, send),)

    def value(self, metrics: Metrics) -> float:
        """Return the mean cost of an image in multiply-adds, which includes the cost of sending.

        Raises:
            CostError: The metrics have no values of the meter `Sent`.
        """
        sent = self.meters[0].by_exit(metrics)
        first, count = next((i, each) for i, each in enumerate(sent) if each is not None)
        if first == len(sent) - 1:
            return self.per_transfer + self.per_byte * count
        device = metrics.exit_macs[first] or 0.0
        return device + (1.0 - metrics.utilization[first]) * (self.per_transfer + self.per_byte * count)


class MetaInformation(SequenceCriterion, nn.Module):
    """A criterion that decides by meta-information on the result of an exit whether it is correct.

    The meta-information of a sample are the largest class probabilities in falling order, their entropy, and
    the difference of the two largest. A network with one hidden layer learns from them whether the exit is
    correct, on samples on which the network itself was not trained. ESAI sends a sample to the server if its
    decision is that the device's result is wrong.

    Args:
        hidden: Number of units of the hidden layer, by default 8.
        largest: Number of class probabilities to read, by default 3.

    Raises:
        ConfigError: An option is below 1.
    """

    def __init__(self, hidden: int = 8, largest: int = 3) -> None:
        super().__init__()
        for option, value in (("hidden", hidden), ("largest", largest)):
            if value < 1:
                raise ConfigError(f"criterion.{option}: found {value}; allowed: 1 or more")
        self.hidden, self.largest = hidden, largest
        self.deciders = nn.ModuleList()

    def build(self, classes: int, exit_points: int) -> "MetaInformation":
        """See `ExitReader.build`."""
        criterion = MetaInformation(self.hidden, self.largest)
        inputs = min(self.largest, classes) + 2
        for _ in range(exit_points + 1):
            layers = nn.Linear(inputs, self.hidden), nn.Tanh(), nn.Linear(self.hidden, 1)
            criterion.deciders.append(nn.Sequential(*layers))
        return criterion

    def after(self, answers: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `SequenceCriterion.after`."""
        return self._decision(answers[-1], points[-1]).sigmoid()

    def fit(self, outputs: Sequence[torch.Tensor], labels: torch.Tensor, points: Sequence[int]) -> None:
        """See `ExitReader.fit`."""
        for answer, point in zip(outputs, points, strict=True):
            correct = (answer.argmax(dim=1) == labels).double()
            decider = copy.deepcopy(self.deciders[point]).double()
            inputs, weights = self._inputs(answer.double()), list(decider.parameters())

            def loss(decider: nn.Module = decider, inputs: Any = inputs, correct: Any = correct) -> Any:
                likelihood = F.binary_cross_entropy_with_logits(decider(inputs)[:, 0], correct)
                return likelihood + 0.01 * sum(each.square().sum() for each in decider.parameters())

            minimise(weights, loss)
            self.deciders[point].load_state_dict(decider.state_dict())

    def _decision(self, answer: torch.Tensor, point: int) -> torch.Tensor:
        decider = self.deciders[point]
        output: torch.Tensor = decider(self._inputs(answer).to(next(decider.parameters()).dtype))
        return output[:, 0]

    def _inputs(self, answer: torch.Tensor) -> torch.Tensor:
        """Return the meta-information (B, n) of logits (B, K)."""
        falling = probabilities(answer).sort(dim=1, descending=True).values
        margin = falling[:, :1] - (falling[:, 1:2] if falling.shape[1] > 1 else 0.0)
        certainty = Entropy()(answer)[:, None].to(falling)
        return torch.cat([falling[:, : self.largest], margin, certainty], dim=1)


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
def edanas_confidence_criteria() -> dict[str, Callable[..., ConfidenceCriterion]]:
    """Register the criterion for the setting `--set criterion=meta-information`."""
    return {"meta-information": MetaInformation}


@hookimpl
def edanas_loggers() -> dict[str, Callable[..., Logger]]:
    """Register the logger for the setting `--set 'loggers=["device-share"]'`."""
    return {"device-share": DeviceShare}


@hookimpl
def edanas_objectives() -> dict[str, Callable[..., Objective]]:
    """Register the objective for the setting `--set 'objectives=["accuracy", "split-cost"]'`."""
    return {"split-cost": SplitCost}
