"""The values that floors exchange: frozen, hashable where they are keys, with next to no behaviour."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

CONTINUOUS: Literal["continuous"] = "continuous"
"""In place of a list of thresholds: any in [0, 1], to be found on a backbone's exit profile."""

Thresholds = tuple[float | None, ...] | Literal["continuous"]
"""What an exit point may hold; `None` is "no exit here"."""

Choice = int | float
"""One value of a variable: a kernel size, a depth, a width multiplier, a resolution in pixels."""


@dataclass(frozen=True)
class Variable:
    """One dimension of a search space: a name and its ordered choices.

    Args:
        name: Unique in its space, e.g. `stage2.layer3.kernel`.
        choices: The values a gene's integer stands for, by position.
        parent: The variable that decides whether this one is expressed; `None` if it always is.
        when: The parent's values (not positions) at which this variable is expressed.
    """

    name: str
    choices: tuple[Choice | None, ...]
    parent: str | None = None
    when: frozenset[Choice | None] = frozenset()


@dataclass(frozen=True)
class Task:
    """What a network is built for: the images' channels (1 or 3) and the number of classes."""

    in_channels: int
    num_classes: int


@dataclass(frozen=True)
class Backbone:
    """One single-exit network out of a supernet (the paper's x): its expressed choices, in order."""

    choices: tuple[tuple[str, Choice], ...]

    @cached_property
    def _by_name(self) -> dict[str, Choice]:
        return dict(self.choices)

    def __getitem__(self, name: str) -> Choice:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    @classmethod
    def of(cls, choices: Mapping[str, Choice]) -> "Backbone":
        """A backbone from a mapping, order kept."""
        return cls(tuple(choices.items()))

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that name this backbone whatever the order of its choices."""
        return _digest(sorted(self.choices))


@dataclass(frozen=True)
class SelectionScheme:
    """One threshold for each exit point, or `None` for "no exit here".

    A sample leaves at the first placed exit whose confidence is `>=` its threshold (Section IV-B of the
    paper), and otherwise at the last exit. `None` is a state of its own: a removed exit never fires, not even
    at a confidence of exactly 1.

    Raises:
        ValueError: A threshold is not in [0, 1].
    """

    thresholds: tuple[float | None, ...]

    def __post_init__(self) -> None:
        for index, threshold in enumerate(self.thresholds):
            if threshold is not None and not 0.0 <= threshold <= 1.0:
                raise ValueError(f"threshold {index + 1} is {threshold}; allowed: 0 to 1, or none")

    @property
    def placed(self) -> tuple[int, ...]:
        """The exit points, from 0, at which an exit stands."""
        return tuple(i for i, threshold in enumerate(self.thresholds) if threshold is not None)

    @property
    def exits(self) -> int:
        """How many early exits stand; the last exit is not counted."""
        return len(self.placed)


@dataclass(frozen=True)
class Candidate:
    """A backbone with its selection scheme (the paper's x-tilde), an EENN not yet trained."""

    backbone: Backbone
    scheme: SelectionScheme

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that name this candidate."""
        return _digest([sorted(self.backbone.choices), self.scheme.thresholds])


@dataclass(frozen=True)
class ExitPoint:
    """A place between two stages where an exit may stand: its index from 0 and the features' shape there."""

    index: int
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class ExitProfile:
    """What every exit of one backbone says about every sample: all that scoring a selection scheme needs.

    Args:
        points: The exit points that have a column, ascending; the last exit follows as the last column.
        confidence: (S, E) float32 in [0, 1], E = len(points) + 1.
        correct: (S, E) bool: is that exit's prediction the label.
    """

    points: tuple[int, ...]
    confidence: npt.NDArray[np.float32]
    correct: npt.NDArray[np.bool_]

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
    """What a selection scheme does on the samples of a profile.

    Args:
        accuracy: Top-1, each sample judged at the exit it leaves at.
        utilization: The fraction of samples that leave at each of the N exit points and at the last exit.
        exit_accuracy: Top-1 of each exit over the samples that leave there; `None` where nobody does.
        backbone_accuracy: Top-1 of the last exit on all samples.
    """

    accuracy: float
    utilization: tuple[float, ...]
    exit_accuracy: tuple[float | None, ...]
    backbone_accuracy: float


@dataclass(frozen=True)
class SegmentCost:
    """What one segment of a network costs for one sample.

    Args:
        macs: Multiply-adds.
        params: Parameters.
        activations: Elements of the largest output of a convolution, linear layer or matrix product in it.
        shape: The output's channels, height and width; a head's logits are (K, 1, 1).
        outputs: Elements of all such outputs together; `None` where they were not counted.
    """

    macs: int
    params: int
    activations: int
    shape: tuple[int, int, int]
    outputs: int | None = None

    def __add__(self, other: "SegmentCost") -> "SegmentCost":
        """Both, of this one's shape: what `other` does, it does with the output of this one."""
        return SegmentCost(
            self.macs + other.macs,
            self.params + other.params,
            max(self.activations, other.activations),
            self.shape,
            None if self.outputs is None or other.outputs is None else self.outputs + other.outputs,
        )


@dataclass(frozen=True)
class Metrics:
    """What an evaluation measured. Accuracies are fractions, costs are for one sample.

    Args:
        accuracy: Top-1 of the EENN, each sample judged at the exit it leaves at.
        utilization: The fraction of samples that leave at each exit point (0 where none stands) and at the
            last exit: N + 1 numbers that sum to 1.
        exit_accuracy: Top-1 of each exit over the samples that leave there; `None` where nobody does.
        ada_macs: Multiply-adds by Eq. 5 of the paper.
        executed_macs: ADA_MACS plus the heads that ran and were not confident enough.
        backbone_accuracy: Top-1 of the last exit on all samples.
        backbone_macs: Multiply-adds of the backbone with its last exit.
        params: Parameters of the EENN with its placed heads.
        activations: Elements of the stages' and heads' largest convolution or linear output.
        outputs: Elements of all such outputs together; `None` where they were not counted.
        exit_macs: Executed multiply-adds of a sample that leaves at each exit point (`None` where no exit
            stands), and at the last exit; empty where they are not known.
        exit_figures: Other costs of a sample, as `exit_macs`, by the name of the meter that told them.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Metrics":
        """The inverse of `to_dict`, also after a trip through JSON."""
        tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        figures = {name: tuple(each) for name, each in values.get("exit_figures", {}).items()}
        return cls(**{**tuples, "exit_figures": figures})


@dataclass(frozen=True)
class SegmentFigures:
    """What each segment of one backbone costs for one sample, in the unit of the meter that tells it.

    Args:
        stages: Of each of the M stages.
        heads: Of the head at each of the N exit points.
        last: Of the last exit.
    """

    stages: tuple[int, ...]
    heads: tuple[int, ...]
    last: int


@dataclass(frozen=True)
class Evaluation:
    """One candidate with what came of it: metrics, or the reason why there are none.

    Args:
        iteration: 0 for the initial archive, then from 1.
        seconds: How long it took; not part of what must repeat.
        violation: By how much the constraints are broken, all excesses together; 0 where all are kept.
    """

    candidate: Candidate
    iteration: int
    metrics: Metrics | None
    error: str | None = None
    seconds: float = field(default=0.0, compare=False)
    violation: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether there are metrics."""
        return self.metrics is not None

    @property
    def feasible(self) -> bool:
        """Whether there are metrics, and all constraints are kept."""
        return self.ok and self.violation == 0


@dataclass(frozen=True)
class ImageSet:
    """Images of one size with their labels, in memory.

    Args:
        images: (N, C, H, W) uint8, C = 1 or 3.
        labels: (N,) int64, from 0 to len(classes) - 1.
        classes: The classes' names, by label.
    """

    images: "torch.Tensor"
    labels: "torch.Tensor"
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: npt.NDArray[np.int64]) -> "ImageSet":
        """The samples at `indices`, in that order."""
        import torch

        at = torch.from_numpy(np.ascontiguousarray(indices))
        return ImageSet(self.images[at], self.labels[at], self.classes)

    @property
    def task(self) -> Task:
        """The channels and classes a network for these images needs."""
        return Task(int(self.images.shape[1]), len(self.classes))


@dataclass(frozen=True)
class LoadedData:
    """A data set as its source gives it: samples, which of them the source itself sets apart, and remarks.

    Args:
        samples: All images, of every part.
        parts: For each sample the part that the source names (`train`, `validation`, `test`), or `""` where
            the split rule is free to choose; (N,) of str.
        remarks: What was done to the images on the way in, one sentence each, for the user to read once.
    """

    samples: ImageSet
    parts: npt.NDArray[np.str_]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataParts:
    """The four disjoint parts of a data set. What each may be used for is in `docs/architecture.md`."""

    train: ImageSet
    calibration: ImageSet
    validation: ImageSet
    test: ImageSet
    mean: tuple[float, ...]
    """Per channel, of the train part, of pixels in [0, 1]."""
    std: tuple[float, ...]
    """Per channel, of the train part, of pixels in [0, 1]."""

    @property
    def task(self) -> Task:
        """The channels and classes a network for this data needs."""
        return self.train.task


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
