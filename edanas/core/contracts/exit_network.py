"""The contract of early-exit networks, for training, exporters and measurements."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edanas.core.contracts.deciding import ConfidenceCriterion, InferenceRule
from edanas.core.contracts.staged_backbone import StagedBackbone
from edanas.core.contracts.training import Phase
from edanas.core.preprocess import PREPROCESSING
from edanas.core.types import SegmentCost, SelectionScheme

Memory = tuple[torch.Tensor, ...]
"""Tensors (B, K) of earlier exits that the inference rule and the criterion read.

They are logits or outputs of the rule. The memory is empty if both use one exit alone.
"""


class Decide(Protocol):
    """The inference rule and the confidence criterion at one exit."""

    def __call__(
        self, logits: torch.Tensor, memory: Memory = ()
    ) -> tuple[torch.Tensor, torch.Tensor, Memory]:
        """Return the rule's output (B, K), the confidence (B,), and the memory for the next exit.

        Args:
            logits: Logits (B, K) of this exit.
            memory: The memory that the call at the previous exit returned.
        """


class Prediction(NamedTuple):
    """Predictions of an early-exit network on B images.

    Args:
        label: Predicted class (B,) int64 of each image, from 0; its name is `network.classes[label]`.
        exit: Exit point (B,) int64 where each sample exits, from 0; N for the last exit.
        confidence: Confidence (B,) in [0, 1] at the exit where the sample exits.

    Example:
        >>> prediction = Prediction(torch.tensor([3]), torch.tensor([0]), torch.tensor([0.5]))
        >>> int(prediction.label)
        3
    """

    label: torch.Tensor
    exit: torch.Tensor
    confidence: torch.Tensor


class LabelledPrediction(Prediction):
    """Predictions that also hold the label of each predicted class, as the user of the data wrote it.

    It unpacks into three tensors, as `Prediction` does.

    Example:
        >>> tensors = torch.tensor([1, 0]), torch.tensor([0, 0]), torch.ones(2)
        >>> LabelledPrediction.of(Prediction(*tensors), (-3, 20)).classes
        array([20, -3])
    """

    _labels: Sequence[str | int | float | bool] = ()

    @classmethod
    def of(cls, prediction: Prediction, labels: Sequence[str | int | float | bool]) -> Self:
        """Return a prediction with the labels of all K classes."""
        labelled = cls(*prediction)
        labelled._labels = labels
        return labelled

    @property
    def classes(self) -> npt.NDArray[Any]:
        """The label (B,) of each predicted class, as in the data: texts, whole numbers or booleans."""
        labels = np.array(self._labels)
        predicted: npt.NDArray[Any] = labels[self.label.cpu().numpy()]
        return predicted


class Segment(NamedTuple):
    """The stages between two placed exits, with the exit after them.

    Args:
        exit: Exit point of the exit, from 0; N for the last exit.
        stages: The stages in sequence. In the first segment, a function that prepares images precedes them.
        head: Module that turns features into logits (B, K).
        decide: Inference rule and criterion, which turn the logits into the output and the confidence.
        threshold: The smallest confidence at which a sample exits; `None` for the last exit.

    Example:
        >>> segment = Segment(0, (nn.Flatten(),), nn.Linear(4, 2), lambda logits, memory: (), None)
        >>> segment.run(torch.zeros(3, 1, 2, 2))[1].shape
        torch.Size([3, 2])
    """

    exit: int
    stages: Sequence[Callable[[torch.Tensor], torch.Tensor]]
    head: nn.Module
    decide: Decide
    threshold: float | None

    def run(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the features after the stages, and the logits of the head."""
        for stage in self.stages:
            features = stage(features)
        return features, self.head(features)


class ExitPart(NamedTuple):
    """The modules of one exit.

    Args:
        segment: The stages between the previous exit and this exit.
        head: Module that turns features (B, C, H, W) into logits (B, K).

    Example:
        >>> ExitPart((nn.Identity(),), nn.Flatten()).head
        Flatten(start_dim=1, end_dim=-1)
    """

    segment: tuple[nn.Module, ...]
    head: nn.Module


class ExitNetwork(nn.Module, ABC):
    """A backbone with heads at some of its N exit points, and a selection scheme.

    `edanas.model.eenn.EENN` implements it.

    Example:
        >>> from edanas.testing.evaluations import toy_network
        >>> isinstance(toy_network(), ExitNetwork)
        True
    """

    backbone: StagedBackbone
    heads: nn.ModuleDict
    """Exit classifiers by the number of their exit point, as text, ascending."""
    criterion: ConfidenceCriterion
    inference: InferenceRule
    exit_points: int
    """Number N of exit points; the last exit is number N."""
    mean: tuple[float, ...]
    """Mean of each channel with which images are normalised, for pixels in [0, 1]."""
    std: tuple[float, ...]
    """Standard deviation of each channel with which images are normalised, for pixels in [0, 1]."""
    classes: tuple[str, ...]
    """Names of the classes; a label is an index of this tuple."""
    description: dict[str, Any]
    """Values that JSON can hold, from which `edanas.load` builds the network again."""
    frozen: bool
    """True if the network is a copy for inference only; see `freeze`."""

    @property
    @abstractmethod
    def points(self) -> tuple[int, ...]:
        """Exit points that have a head, ascending."""

    @property
    @abstractmethod
    def memory(self) -> bool:
        """True if the output or the confidence at an exit depends on the exits that are placed before it."""

    @property
    @abstractmethod
    def answering(self) -> tuple[int, ...]:
        """Exit points that have a column in `all_exits`, ascending.

        They are all exit points with a head. If `memory` is true, they are the placed exits only.
        """

    @property
    def last_point(self) -> int:
        """Number of the last exit for inference rule and criterion.

        It is N or, if the network is cut, the exit point where it ends. The weights that they learned for
        that exit then stay in use.
        """
        ends = self.backbone.ends
        return self.exit_points if ends > self.exit_points else ends - 1

    @property
    @abstractmethod
    def resolution(self) -> int:
        """Height and width in pixels to which images are resized, or the length of series."""

    @property
    def series(self) -> bool:
        """True if the network classifies series, false if it classifies images."""
        return self.backbone.series

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input; the height of a series is 1."""
        return self.backbone.input_size

    @property
    def padded(self) -> bool:
        """True if the network takes series that are shorter than the longest series of its run."""
        return bool(self.description.get(PREPROCESSING, {}).get("padded", False))

    def noise(self, count: int) -> torch.Tensor:
        """Return random images (count, C, R, R) uint8, or series (count, C, 1, R) float32.

        All calls return the same values.
        """
        shape, generator = (count, len(self.mean), *self.input_size), torch.Generator().manual_seed(0)
        if self.series:
            return torch.randn(shape, generator=generator)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height in pixels to which 8-bit images are resized before the network resizes them.

        They are the size of the images on which the network was judged. `None` means that images of any size
        are resized once, to `resolution`.
        """
        fields = self.description.get(PREPROCESSING)
        if fields is None:
            return None
        width, height = fields["image_size"]
        return int(width), int(height)

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """The device of the weights."""

    @property
    @abstractmethod
    def scheme(self) -> SelectionScheme:
        """The selection scheme; a sequence of thresholds may be assigned, too."""

    @scheme.setter
    @abstractmethod
    def scheme(self, scheme: SelectionScheme | Sequence[float | None]) -> None: ...

    @abstractmethod
    def forward(self, images: torch.Tensor) -> Prediction:
        """Classify one batch; each sample exits at the first placed exit that is confident enough.

        Args:
            images: Images (B, C, H, W) or one image (C, H, W): uint8, or floats in [0, 1], of any size.
        """

    @abstractmethod
    def predict(
        self,
        images: torch.Tensor | npt.NDArray[Any] | Iterable[torch.Tensor | npt.NDArray[Any]],
        *,
        batch_size: int = 256,
        compact: str = "auto",
    ) -> Prediction:
        """Classify any number of images, in batches; the result is on the CPU.

        Args:
            images: A tensor as for a call, a NumPy array, or an iterable of images or batches.
            batch_size: Maximum number of images in a batch.
            compact: When to gather the remaining samples of a batch in a smaller batch: `always` (after each
                exit), `never`, or `auto` (if it is faster). Predictions differ by rounding at most.

        Raises:
            DataError: An item is not an image.
            ConfigError: `batch_size` or `compact` is out of range.
        """

    @abstractmethod
    def prepared_logits(self, prepared: torch.Tensor, phase: Phase | None = None) -> list[torch.Tensor]:
        """Return the logits (B, K) of every head, ascending, then of the last exit, with gradients.

        Args:
            prepared: Images (B, C, R, R) as `edanas.core.preprocess.prepare` returns them, R = `resolution`.
            phase: A phase of training; the network computes only the exits that run in the phase. `None`,
                the default, means all exits.
        """

    @abstractmethod
    def exit_parts(self) -> list[ExitPart]:
        """Return the modules of each exit, the last exit last."""

    @abstractmethod
    def all_exits(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the predicted classes (B, E) int64 and the confidences (B, E) of E exits.

        The columns belong to the exit points in `answering`, then to the last exit.
        """

    @abstractmethod
    def answering_logits(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the logits (B, K) at each exit point in `answering`, then at the last exit.

        Args:
            images: Images as for a call.
        """

    @abstractmethod
    def decide(self, logits: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the output (B, K) of the inference rule and the confidence (B,) at each exit.

        Args:
            logits: The result of `answering_logits`.
        """

    @abstractmethod
    def decision_costs(self) -> tuple[SegmentCost, ...]:
        """Return the cost of inference rule and criterion at each exit point, then at the last exit."""

    @abstractmethod
    def segments(self) -> list[Segment]:
        """Return the segment of each placed exit, ascending, then the segment of the last exit."""

    @abstractmethod
    def freeze(self, *, compile: bool | str = False) -> Self:  # noqa: A002 - torch's word
        """Return a faster copy for inference; it cannot be trained.

        Args:
            compile: True to compile stages and heads with `torch.compile`, or the name of a backend of
                `torch.compile`; default False.

        Raises:
            ConfigError: `torch.compile` does not work on this machine.
        """
