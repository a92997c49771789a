"""Exit profiles, metrics and evaluations of candidates."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edanas.core.types.candidates import Candidate


@dataclass(frozen=True)
class ExitProfile:
    """Confidence and correctness of every exit of one backbone for every sample.

    The metrics of every selection scheme on the backbone follow from its exit profile.

    Args:
        points: The exit points that have a column, ascending. The last exit has the last column.
        confidence: Confidence (S, E) float32 in [0, 1], for S samples and E = len(points) + 1 exits.
        correct: Correctness (S, E) bool: true if the exit's prediction is the label.
        levels: See `ConfidenceCriterion.levels`; empty, the default, for any thresholds.

    Raises:
        ValueError: The arrays' shapes differ from (S, E).

    Example:
        >>> confidence = np.array([[0.9, 0.8], [0.2, 0.7]], dtype=np.float32)
        >>> profile = ExitProfile((0,), confidence, np.array([[True, True], [False, True]]))
        >>> len(profile)
        2
    """

    points: tuple[int, ...]
    confidence: npt.NDArray[np.float32]
    correct: npt.NDArray[np.bool_]
    levels: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        expected = (len(self.correct), len(self.points) + 1)
        if self.confidence.shape != expected or self.correct.shape != expected:
            raise ValueError(
                f"exit profile of {self.confidence.shape} confidences and {self.correct.shape} outcomes; "
                f"expected {expected} for exit points {self.points} and the last exit"
            )

    def __len__(self) -> int:
        return len(self.correct)


@dataclass(frozen=True)
class Outcome:
    """Accuracy and utilization of a selection scheme on the samples of an exit profile.

    Args:
        accuracy: Top-1 accuracy of the EENN, which predicts each sample at the exit where it exits.
        utilization: Fraction of samples that exit at each of the N exit points and at the last exit.
        exit_accuracy: Top-1 accuracy of each exit on the samples that exit there; `None` without samples.
        backbone_accuracy: Top-1 accuracy of the last exit on all samples.
        balanced_accuracy: Mean over classes of the accuracy on the samples of a class; `None` = unknown.

    Example:
        >>> Outcome(0.9, (0.5, 0.5), (1.0, 0.8), 0.85).utilization
        (0.5, 0.5)
    """

    accuracy: float
    utilization: tuple[float, ...]
    exit_accuracy: tuple[float | None, ...]
    backbone_accuracy: float
    balanced_accuracy: float | None = None


@dataclass(frozen=True)
class Metrics:
    """Results of an evaluation. Accuracies are fractions; costs are for one sample.

    Args:
        accuracy: Top-1 accuracy of the EENN, which predicts each sample at the exit where it exits.
        utilization: Fraction of samples that exit at each exit point (0 if no exit is placed there) and at
            the last exit: N + 1 numbers that sum to 1.
        exit_accuracy: Top-1 accuracy of each exit on the samples that exit there; `None` without samples.
        ada_macs: ADA_MACS, Eq. 5 of the paper.
        executed_macs: ADA_MACS plus the multiply-adds of evaluated heads whose exit did not fire.
        backbone_accuracy: Top-1 accuracy of the last exit on all samples.
        backbone_macs: Multiply-adds of all stages and the last exit.
        params: Number of parameters of the EENN with its placed heads.
        activations: Number of elements in the largest output of a convolution, linear layer or matrix product
            in the stages and heads.
        outputs: Number of elements in all outputs of the same layers together; `None` = not counted.
        exit_macs: Executed multiply-adds of a sample that exits at each exit point (`None` if no exit is
            placed there) and at the last exit; empty if unknown.
        exit_figures: Costs of a sample in the unit of each meter, by the meter's name; the numbers are
            arranged as in `exit_macs`.
        balanced_accuracy: Mean over classes of the accuracy on the samples of a class; `None` = unknown.
        ram: Bytes of the peak of activations on a microcontroller, in int8; `None` = not counted.
        flash: Bytes of the int8 network's weights, biases and scales, placed heads included; `None` = not
            counted.
        exit_ram: Bytes of the peak up to each exit, arranged as in `exit_macs`; empty if not counted.

    Example:
        >>> metrics = Metrics(0.9, (0.5, 0.5), (1.0, 0.8), 1e6, 1.2e6, 0.85, 2_000_000, 5000, 64)
        >>> Metrics.from_dict(metrics.to_dict()) == metrics
        True
    """

    accuracy: float
    utilization: tuple[float, ...]
    exit_accuracy: tuple[float | None, ...]
    ada_macs: float
    executed_macs: float
    backbone_accuracy: float
    backbone_macs: int
    params: int
    activations: int
    outputs: int | None = None
    exit_macs: tuple[float | None, ...] = ()
    exit_figures: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    balanced_accuracy: float | None = None
    ram: int | None = None
    flash: int | None = None
    exit_ram: tuple[int | None, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics as a dictionary of values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Metrics":
        """Make metrics from the result of `to_dict`, also if it was written to JSON and read back."""
        tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        figures = {name: tuple(each) for name, each in values.get("exit_figures", {}).items()}
        return cls(**{**tuples, "exit_figures": figures})


@dataclass(frozen=True)
class Evaluation:
    """One evaluated candidate with its metrics, or with the reason for its failure.

    Args:
        candidate: The evaluated candidate.
        iteration: Number of the iteration; 0 = the initial archive.
        metrics: Metrics of the candidate; `None` = the evaluation failed.
        error: Reason for the failure; `None` = the evaluation succeeded.
        seconds: Duration of the evaluation. Comparisons ignore it, since it is not reproducible.
        violation: Sum of the positive excesses over all constraints; 0 = all are kept.

    Example:
        >>> from edanas.core.types import Backbone, SelectionScheme
        >>> candidate = Candidate(Backbone.of({"resolution": 32}), SelectionScheme((None,)))
        >>> Evaluation(candidate, 0, None, "ValueError: no weights").ok
        False
    """

    candidate: Candidate
    iteration: int
    metrics: Metrics | None
    error: str | None = None
    seconds: float = field(default=0.0, compare=False)
    violation: float = 0.0

    @property
    def ok(self) -> bool:
        """True if the evaluation succeeded: there are metrics."""
        return self.metrics is not None

    @property
    def feasible(self) -> bool:
        """True if the evaluation succeeded and the candidate keeps all constraints."""
        return self.ok and self.violation == 0
