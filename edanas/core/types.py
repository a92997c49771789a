"""Value classes that all packages exchange: frozen, and hashable if they serve as keys."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from edanas.core.mapped import rows_at
from edanas.core.operator_graph import Footprint

if TYPE_CHECKING:
    import torch

CONTINUOUS: Literal["continuous"] = "continuous"
"""The value in place of a list of thresholds if each backbone gets the best thresholds in [0, 1]."""

Thresholds = tuple[float | None, ...] | Literal["continuous"]
"""The choices at each exit point, with `None` for no exit; or `CONTINUOUS`."""

Choice = int | float
"""One value of a variable: a kernel size, a depth, a width multiplier, a resolution in pixels."""


@dataclass(frozen=True)
class Variable:
    """One dimension of a search space: a name and its ordered choices.

    Args:
        name: Name that is unique in the space, e.g. `stage2.layer3.kernel`.
        choices: The allowed values, in the order of rising cost; a gene is an index of `choices`.
        parent: Name of the variable that decides whether this variable is expressed; `None` if it always is.
        when: The parent's values (not indices) at which this variable is expressed.
        stage: Number of the first stage that the variable shapes, from 1; `None`, the default, means that it
            shapes all stages. A stage lies between two exit points. A network that ends before this stage
            lacks the variable.
        exit: Number of the exit point, from 1, whose head the variable shapes; `None`, the default, for
            variables of the backbone. The variable has no effect in a network without that exit.

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
    stage: int | None = None
    exit: int | None = None


@dataclass(frozen=True)
class Task:
    """A classification task: the number of channels of images (1 or 3) or series, and the number of classes.

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
        """Return the backbone with the choices of a mapping, in the order of the mapping."""
        return cls(tuple(choices.items()))

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that identify this backbone; the order of its choices does not matter."""
        return _digest(sorted(self.choices))


@dataclass(frozen=True)
class SelectionScheme:
    """One threshold for each exit point, or `None` for no exit there.

    A sample exits at the first placed exit whose confidence is `>=` its threshold (Section IV-B of the
    paper), and otherwise at the last exit. An exit that is not placed never fires, not even at a confidence
    of exactly 1.

    Args:
        thresholds: Threshold in [0, 1] at each of the N exit points; `None` = no exit.

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

    @cached_property
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
    """A place between two stages for an exit.

    Args:
        index: Number of the exit point, from 0.
        channels: Number of channels of the features there.
        height: Height of the features there.
        width: Width of the features there.

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
class SegmentCost:
    """Costs of one segment of a network for one sample.

    Args:
        macs: Number of multiply-adds.
        params: Number of parameters.
        activations: Number of elements in the largest output of the segment's convolutions, linear layers and
            matrix products.
        shape: Channels, height and width of the segment's output; (K, 1, 1) for logits of K classes.
        outputs: Number of elements in all outputs of the same layers together; `None`, the default, means
            that they were not counted.
        footprint: Memory and work on a microcontroller; `None`, the default, means that it was not counted.
            Comparisons ignore it.

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
    footprint: Footprint | None = field(default=None, compare=False)

    def __add__(self, other: "SegmentCost") -> "SegmentCost":
        """Return the costs of this segment and of `other` together, with the shape of this segment.

        Numbers are added, except for `activations` and the memory, of which the larger number counts. `other`
        must only read the output of this segment, as a decision does.
        """
        return SegmentCost(
            self.macs + other.macs,
            self.params + other.params,
            max(self.activations, other.activations),
            self.shape,
            None if self.outputs is None or other.outputs is None else self.outputs + other.outputs,
            self.footprint.then(other.footprint) if self.footprint and other.footprint else None,
        )


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
class SegmentFigures:
    """Costs of the segments of one backbone for one sample, in the unit of a meter.

    Args:
        stages: Cost of each of the M stages.
        heads: Cost of the head at each of the N exit points.
        last: Cost of the last exit.

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
        candidate: The evaluated candidate.
        iteration: Number of the iteration; 0 = the initial archive.
        metrics: Metrics of the candidate; `None` = the evaluation failed.
        error: Reason for the failure; `None` = the evaluation succeeded.
        seconds: Duration of the evaluation. Comparisons ignore it, since it is not reproducible.
        violation: Sum of the positive excesses over all constraints; 0 = all are kept.

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
        """True if the evaluation succeeded: there are metrics."""
        return self.metrics is not None

    @property
    def feasible(self) -> bool:
        """True if the evaluation succeeded and the candidate keeps all constraints."""
        return self.ok and self.violation == 0


LABELS = "labels"
"""Key of a network's description: the label of each class as the user wrote it, unless it is the name."""


@dataclass(frozen=True)
class ImageSet:
    """Images or series of one size with their labels, in memory.

    Args:
        images: Images (S, C, H, W) uint8 of S samples, with C = 1 or 3 channels; or series (S, C, 1, L)
            float32, with NaN after the end of shorter series.
        labels: Labels (S,) int64, from 0 to len(classes) - 1.
        classes: Names of the classes; a label is an index of this tuple.
        values: The label of each class as the user wrote it, e.g. a number; empty if it is the name.
        window_of: Number (S,) of the series that each sample is a window of; `None`, the default, if each
            sample is whole.

    Example:
        >>> import torch
        >>> images = ImageSet(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.arange(3), ("a", "b", "c"))
        >>> len(images.subset(np.array([2, 0]))), images.task
        (2, Task(in_channels=1, num_classes=3))
    """

    images: "torch.Tensor"
    labels: "torch.Tensor"
    classes: tuple[str, ...]
    values: tuple[str | int | float | bool, ...] = ()
    window_of: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: npt.NDArray[np.int64]) -> "ImageSet":
        """Return the samples at `indices`, in that order."""
        import torch

        at = torch.from_numpy(np.ascontiguousarray(indices))
        windows = None if self.window_of is None else self.window_of[indices]
        return replace(self, images=rows_at(self.images, indices), labels=self.labels[at], window_of=windows)

    @property
    def wholes(self) -> int:
        """The number of samples, where the windows of a series are one."""
        return len(self) if self.window_of is None else len(np.unique(self.window_of))

    @property
    def task(self) -> Task:
        """The number of channels and of classes of the images."""
        return Task(int(self.images.shape[1]), len(self.classes))


def described_labels(samples: ImageSet) -> dict[str, list[str | int | float | bool]]:
    """Return the entry `LABELS` of the description of a network that is trained on samples, if there is one.

    Example:
        >>> import torch
        >>> images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
        >>> described_labels(ImageSet(images, torch.arange(2), ("-3", "20"), (-3, 20)))
        {'labels': [-3, 20]}
    """
    return {LABELS: list(samples.values)} if samples.values else {}


@dataclass(frozen=True)
class LoadedData:
    """A data set as a data source returns it: samples, the parts that the source defines, and remarks.

    Args:
        samples: The images and labels of all S samples.
        parts: Name (S,) of each sample's part: `train`, `validation` or `test` if the source defines it, or
            `""` if the split rule chooses the part.
        remarks: Sentences for the user about changes of the images at reading.
        names: Name of each sample for messages, e.g. the path of its file; empty if samples have no names.
        groups: Group of each sample, e.g. its speaker; all samples of a group are in one part. Empty if
            there are no groups.
        front_end: Values of JSON from which a finished network computes its images of sound; empty for images
            and series.

    Example:
        >>> import torch
        >>> images = ImageSet(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.arange(2), ("a", "b"))
        >>> LoadedData(images, np.array(["train", ""])).remarks
        ()
    """

    samples: ImageSet
    parts: npt.NDArray[np.str_]
    remarks: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    front_end: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Survey:
    """Counts of the images of a data set, with their size and colour.

    Args:
        images: Number of images in all parts.
        pool: Number of images that the split divides: all images outside the fixed parts.
        fixed_parts: Parts that the data set names itself: `validation`, `test`, both, or none.
        classes: Number of classes.
        fewest: Number of pool images in the smallest class.
        most: Number of pool images in the largest class.
        side: Median of the shorter sides of the sampled images, in pixels.
        grey: True if all pixels of the sampled images are grey; the files may be stored as RGB.
        length: Length of the longest series; 0, the default, for images.
        padded: True if some series are shorter.
        sound: True if the images are spectrograms.

    Example:
        >>> Survey(1797, 1797, frozenset(), classes=10, fewest=174, most=183, side=8, grey=True).side
        8
    """

    images: int
    pool: int
    fixed_parts: frozenset[str]
    classes: int
    fewest: int
    most: int
    side: int
    grey: bool
    length: int = 0
    padded: bool = False
    sound: bool = False


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
    """Mean of each channel over the train part, for pixels in [0, 1]."""
    std: tuple[float, ...]
    """Standard deviation of each channel over the train part, for pixels in [0, 1]."""
    front_end: Mapping[str, Any] = field(default_factory=dict)
    """See `LoadedData.front_end`."""
    copies: int = 0
    """Number of augmented copies of each sample that follow the calibration and validation samples."""

    @property
    def own_calibration(self) -> ImageSet:
        """The calibration samples without their augmented copies."""
        return self.calibration.subset(np.arange(len(self.calibration) // (self.copies + 1)))

    @property
    def task(self) -> Task:
        """The number of channels and of classes of the data set."""
        return self.train.task

    @property
    def series(self) -> bool:
        """True if the samples are series (C, 1, L), false if they are images."""
        return self.train.images.is_floating_point()

    @property
    def padded(self) -> bool:
        """True if some series are shorter than the longest series."""
        every = (self.train, self.calibration, self.validation, self.test)
        return self.series and any(bool(part.images.isnan().any()) for part in every)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:12]
