"""Values that all packages exchange: frozen, hashable where they are keys, with little behaviour."""

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
"""In place of a list of thresholds: any in [0, 1], computed from a backbone's exit profile."""

Thresholds = tuple[float | None, ...] | Literal["continuous"]
"""The choices at an exit point; `None` = no exit."""

Choice = int | float
"""One value of a variable: a kernel size, a depth, a width multiplier, a resolution in pixels."""


@dataclass(frozen=True)
class Variable:
    """One dimension of a search space: a name and its ordered choices.

    Args:
        name: Unique in its space, e.g. `stage2.layer3.kernel`.
        choices: The values that a gene indexes.
        parent: The variable that decides whether this one is expressed; `None` if it always is.
        when: The parent's values (not positions) at which this variable is expressed.

    Example:
        >>> depth = Variable("depth", (1, 2))
        >>> kernel = Variable("layer2.kernel", (3, 5), parent="depth", when=frozenset({2}))
        >>> kernel.choices[1]
        5
    """

    name: str
    choices: tuple[Choice | None, ...]
    parent: str | None = None
    when: frozenset[Choice | None] = frozenset()


@dataclass(frozen=True)
class Task:
    """The images' channels (1 or 3) and the number of classes.

    Example:
        >>> Task(in_channels=3, num_classes=10)
        Task(in_channels=3, num_classes=10)
    """

    in_channels: int
    num_classes: int


@dataclass(frozen=True)
class Backbone:
    """One single-exit network out of a supernet (the paper's x): its expressed choices, in order.

    Example:
        >>> backbone = Backbone.of({"resolution": 32, "width": 0.5})
        >>> backbone["width"], list(backbone)
        (0.5, ['resolution', 'width'])
        >>> backbone.id == Backbone.of({"width": 0.5, "resolution": 32}).id
        True
    """

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
        """Return the backbone with these choices, in this order."""
        return cls(tuple(choices.items()))

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that identify this backbone, in any order of its choices."""
        return _digest(sorted(self.choices))


@dataclass(frozen=True)
class SelectionScheme:
    """One threshold for each exit point, or `None` for no exit there.

    A sample exits at the first placed exit whose confidence is `>=` its threshold (Section IV-B of the
    paper), and otherwise at the last exit. An exit that is not placed never fires, not even at a confidence
    of exactly 1.

    Raises:
        ValueError: A threshold is not in [0, 1].

    Example:
        >>> scheme = SelectionScheme((0.3, None, 0.9))
        >>> scheme.placed, scheme.exits
        ((0, 2), 2)
    """

    thresholds: tuple[float | None, ...]

    def __post_init__(self) -> None:
        for index, threshold in enumerate(self.thresholds):
            if threshold is not None and not 0.0 <= threshold <= 1.0:
                raise ValueError(f"threshold {index + 1} is {threshold}; allowed: 0 to 1, or none")

    @property
    def placed(self) -> tuple[int, ...]:
        """Indices of the placed exits, from 0."""
        return tuple(i for i, threshold in enumerate(self.thresholds) if threshold is not None)

    @property
    def exits(self) -> int:
        """Number of placed exits, without the last exit."""
        return len(self.placed)


@dataclass(frozen=True)
class Candidate:
    """A backbone with its selection scheme (the paper's x-tilde): an EENN that is not trained.

    Example:
        >>> candidate = Candidate(Backbone.of({"resolution": 32}), SelectionScheme((0.5, None)))
        >>> len(candidate.id)
        12
    """

    backbone: Backbone
    scheme: SelectionScheme

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that identify this candidate."""
        return _digest([sorted(self.backbone.choices), self.scheme.thresholds])


@dataclass(frozen=True)
class ExitPoint:
    """A place between two stages for an exit: its index from 0, and the features' shape there.

    Example:
        >>> ExitPoint(index=0, channels=16, height=8, width=8).channels
        16
    """

    index: int
    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class ExitProfile:
    """Confidence and correctness of every exit of one backbone for every sample.

    All selection schemes on the backbone can be scored from it.

    Args:
        points: The exit points that have a column, ascending; the last exit follows as the last column.
        confidence: (S, E) float32 in [0, 1], E = len(points) + 1.
        correct: (S, E) bool, true if that exit's prediction is the label.

    Raises:
        ValueError: The arrays are of other shapes.

    Example:
        >>> confidence = np.array([[0.9, 0.8], [0.2, 0.7]], dtype=np.float32)
        >>> profile = ExitProfile((0,), confidence, np.array([[True, True], [False, True]]))
        >>> len(profile)
        2
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
    """Accuracy and utilization of a selection scheme on the samples of a profile.

    Args:
        accuracy: Top-1 of the EENN, each sample at its own exit.
        utilization: The fraction of samples that exit at each of the N exit points and at the last exit.
        exit_accuracy: Top-1 of each exit over the samples that exit there; `None` where there are none.
        backbone_accuracy: Top-1 of the last exit on all samples.

    Example:
        >>> Outcome(0.9, (0.5, 0.5), (1.0, 0.8), 0.85).utilization
        (0.5, 0.5)
    """

    accuracy: float
    utilization: tuple[float, ...]
    exit_accuracy: tuple[float | None, ...]
    backbone_accuracy: float


@dataclass(frozen=True)
class SegmentCost:
    """Costs of one segment of a network for one sample.

    Args:
        macs: Multiply-adds.
        params: Parameters.
        activations: Elements of the largest output of a convolution, linear layer or matrix product in it.
        shape: The output's channels, height and width; a head's logits are (K, 1, 1).
        outputs: Elements of all such outputs together; `None` where they were not counted.

    Example:
        >>> first, second = SegmentCost(100, 10, 64, (4, 4, 4)), SegmentCost(50, 5, 32, (8, 2, 2))
        >>> (first + second).macs
        150
    """

    macs: int
    params: int
    activations: int
    shape: tuple[int, int, int]
    outputs: int | None = None

    def __add__(self, other: "SegmentCost") -> "SegmentCost":
        """Return the costs of both in sequence, with the shape of this one: `other` only reads its output."""
        return SegmentCost(
            self.macs + other.macs,
            self.params + other.params,
            max(self.activations, other.activations),
            self.shape,
            None if self.outputs is None or other.outputs is None else self.outputs + other.outputs,
        )


@dataclass(frozen=True)
class Metrics:
    """Results of an evaluation. Accuracies are fractions, costs are for one sample.

    Args:
        accuracy: Top-1 of the EENN, each sample at its own exit.
        utilization: The fraction of samples that exit at each exit point (0 where none is placed) and at the
            last exit: N + 1 numbers that sum to 1.
        exit_accuracy: Top-1 of each exit over the samples that exit there; `None` where there are none.
        ada_macs: Multiply-adds by Eq. 5 of the paper.
        executed_macs: ADA_MACS plus the heads that ran and were not confident enough.
        backbone_accuracy: Top-1 of the last exit on all samples.
        backbone_macs: Multiply-adds of the backbone with its last exit.
        params: Parameters of the EENN with its placed heads.
        activations: Elements of the stages' and heads' largest convolution or linear output.
        outputs: Elements of all such outputs together; `None` where they were not counted.
        exit_macs: Executed multiply-adds of a sample that exits at each exit point (`None` where no exit is
            placed), and at the last exit; empty where they are not known.
        exit_figures: Other costs of a sample, as `exit_macs`, by the name of their meter.

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

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Metrics":
        """Return the metrics of `to_dict`, also after a trip through JSON."""
        tuples: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        figures = {name: tuple(each) for name, each in values.get("exit_figures", {}).items()}
        return cls(**{**tuples, "exit_figures": figures})


@dataclass(frozen=True)
class SegmentFigures:
    """Costs of the segments of one backbone for one sample, in the unit of a meter.

    Args:
        stages: One for each of the M stages.
        heads: One for the head at each of the N exit points.
        last: The last exit's.

    Example:
        >>> SegmentFigures(stages=(5, 7), heads=(1,), last=2).heads
        (1,)
    """

    stages: tuple[int, ...]
    heads: tuple[int, ...]
    last: int


@dataclass(frozen=True)
class Evaluation:
    """One evaluated candidate with its metrics, or with the reason for its failure.

    Args:
        candidate: The candidate.
        iteration: 0 for the initial archive, then from 1.
        metrics: `None` = the evaluation failed.
        error: The reason for the failure.
        seconds: Duration; not compared, since it does not repeat.
        violation: Sum of the excesses over all constraints; 0 where all are kept.

    Example:
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
        """True if there are metrics."""
        return self.metrics is not None

    @property
    def feasible(self) -> bool:
        """True if there are metrics, and all constraints are kept."""
        return self.ok and self.violation == 0


@dataclass(frozen=True)
class ImageSet:
    """Images of one size with their labels, in memory.

    Args:
        images: (N, C, H, W) uint8, C = 1 or 3.
        labels: (N,) int64, from 0 to len(classes) - 1.
        classes: The classes' names, by label.

    Example:
        >>> import torch
        >>> images = ImageSet(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.arange(3), ("a", "b", "c"))
        >>> len(images.subset(np.array([2, 0]))), images.task
        (2, Task(in_channels=1, num_classes=3))
    """

    images: "torch.Tensor"
    labels: "torch.Tensor"
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: npt.NDArray[np.int64]) -> "ImageSet":
        """Return the samples at `indices`, in that order."""
        import torch

        at = torch.from_numpy(np.ascontiguousarray(indices))
        return ImageSet(self.images[at], self.labels[at], self.classes)

    @property
    def task(self) -> Task:
        """The channels and classes of these images."""
        return Task(int(self.images.shape[1]), len(self.classes))


@dataclass(frozen=True)
class LoadedData:
    """A data set as its source returns it: samples, the parts that the source itself defines, and remarks.

    Args:
        samples: All images, of every part.
        parts: (N,) of str: the part of each sample by the source (`train`, `validation`, `test`), or `""`
            where the split rule chooses.
        remarks: Changes of the images at reading, one sentence each, for the user.

    Example:
        >>> import torch
        >>> images = ImageSet(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.arange(2), ("a", "b"))
        >>> LoadedData(images, np.array(["train", ""])).remarks
        ()
    """

    samples: ImageSet
    parts: npt.NDArray[np.str_]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataParts:
    """The four disjoint parts of a data set; `docs/architecture.md` lists their uses.

    Example:
        >>> from edanas.testing.toy_networks import toy_images
        >>> images = toy_images(8, seed=0)
        >>> DataParts(images, images, images, images, mean=(0.4,), std=(0.25,)).task.in_channels
        1
    """

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
        """The channels and classes of this data."""
        return self.train.task


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
