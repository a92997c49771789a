"""The contract of early-exit networks: what training, exporters and measurements use of one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, Self

import numpy.typing as npt
import torch
from torch import nn

from edanas.core.contracts.deciding import ConfidenceCriterion, InferenceRule
from edanas.core.contracts.networks import StagedBackbone
from edanas.core.contracts.training import Phase
from edanas.core.types import SegmentCost, SelectionScheme

Memory = tuple[torch.Tensor, ...]
"""Logits or answers (B, K) of earlier exits; empty where rule and criterion use one exit alone."""


class Decide(Protocol):
    """Inference rule and criterion at one exit."""

    def __call__(
        self, logits: torch.Tensor, memory: Memory = ()
    ) -> tuple[torch.Tensor, torch.Tensor, Memory]:
        """Logits (B, K) and memory -> answer (B, K), confidence (B,), and the memory for the next exit."""


class Prediction(NamedTuple):
    """Predictions of an early-exit network on B images.

    Args:
        label: (B,) int64, from 0; the class name is `network.classes[label]`.
        exit: (B,) int64, the index of the exit point where each sample exited, or N for the last exit.
        confidence: (B,) floats in [0, 1], at that exit.

    Example:
        >>> prediction = Prediction(torch.tensor([3]), torch.tensor([0]), torch.tensor([0.5]))
        >>> int(prediction.label)
        3
    """

    label: torch.Tensor
    exit: torch.Tensor
    confidence: torch.Tensor


class Segment(NamedTuple):
    """The stages between two placed exits, with the exit behind them.

    Args:
        exit: The exit point's index, or N for the last exit.
        stages: In sequence; the first segment begins with the function that prepares images.
        head: Features -> logits (B, K).
        decide: Logits -> answer and confidence.
        threshold: The least confidence at which a sample exits; `None` for the last exit.

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
        """Return the features behind the stages, and the logits of the head."""
        for stage in self.stages:
            features = stage(features)
        return features, self.head(features)


class ExitPart(NamedTuple):
    """The modules of one exit.

    Args:
        segment: The stages since the exit before it.
        head: Features (B, C, H, W) -> logits (B, K).

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
    """Exit classifiers by exit point index, as text, ascending."""
    criterion: ConfidenceCriterion
    inference: InferenceRule
    exit_points: int
    """N; the last exit is number N."""
    mean: tuple[float, ...]
    """One number a channel, of pixels in [0, 1]."""
    std: tuple[float, ...]
    """One number a channel, of pixels in [0, 1]."""
    classes: tuple[str, ...]
    """Names of the classes, by label."""
    description: dict[str, Any]
    """Plain values from which `edanas.load` builds the network again."""
    frozen: bool
    """True for a copy for inference; see `freeze`."""

    @property
    @abstractmethod
    def points(self) -> tuple[int, ...]:
        """Exit points that have a head, ascending."""

    @property
    @abstractmethod
    def memory(self) -> bool:
        """True if an answer or confidence depends on the exits placed before."""

    @property
    @abstractmethod
    def answering(self) -> tuple[int, ...]:
        """Exit points in the columns of `all_exits`: those with a head or, with a memory, the placed ones."""

    @property
    @abstractmethod
    def resolution(self) -> int:
        """Side in pixels to which images are resized."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """The device of the weights."""

    @property
    @abstractmethod
    def scheme(self) -> SelectionScheme:
        """The selection scheme. It can be set, also from plain thresholds."""

    @scheme.setter
    @abstractmethod
    def scheme(self, scheme: SelectionScheme | Sequence[float | None]) -> None: ...

    @abstractmethod
    def forward(self, images: torch.Tensor) -> Prediction:
        """Classify one batch; each sample exits at the first placed exit that is confident enough.

        Args:
            images: (B, C, H, W) or (C, H, W), uint8 or floats in [0, 1], of any size.
        """

    @abstractmethod
    def predict(
        self,
        images: torch.Tensor | npt.NDArray[Any] | Iterable[torch.Tensor | npt.NDArray[Any]],
        *,
        batch_size: int = 256,
        compact: str = "auto",
    ) -> Prediction:
        """Classify any number of images, in batches; the result is on the CPU."""

    @abstractmethod
    def logits(self, prepared: torch.Tensor, phase: Phase | None = None) -> list[torch.Tensor]:
        """Return the logits (B, K) of every head, ascending, then of the last exit; gradients flow.

        Args:
            prepared: (B, C, resolution, resolution), as `edanas.core.preprocess.prepare` returns it.
            phase: A phase of training; only the exits that it runs are computed.
        """

    @abstractmethod
    def exit_parts(self) -> list[ExitPart]:
        """Return the modules of each exit, the last exit last."""

    @abstractmethod
    def all_exits(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return labels (B, E) int64 and confidences (B, E): `answering`, then the last exit."""

    @abstractmethod
    def answering_logits(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the logits (B, K) of each of `answering` and of the last exit; images as for a call."""

    @abstractmethod
    def decide(self, logits: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Turn `answering_logits` into answers (B, K) and confidences (B,) of each exit."""

    @abstractmethod
    def decision_costs(self) -> tuple[SegmentCost, ...]:
        """Return the cost of rule and criterion at each exit point, then at the last exit."""

    @abstractmethod
    def segments(self) -> list[Segment]:
        """Return the parts between the placed exits, the last exit's last."""

    @abstractmethod
    def freeze(self, *, compile: bool | str = False) -> Self:  # noqa: A002 - torch's word
        """Return a faster copy for inference; it cannot be trained."""
