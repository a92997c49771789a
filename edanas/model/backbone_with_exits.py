"""A backbone with exits, and the outputs of all exits for every sample; no sample exits early here."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from edanas.core.contracts import (
    ConfidenceCriterion,
    ExitNetwork,
    ExitPart,
    InferenceRule,
    Phase,
    StagedBackbone,
)
from edanas.core.errors import ConfigError, EdanasError
from edanas.core.passes import exit_logits, exit_parts
from edanas.core.preprocess import by_channel, prepare
from edanas.core.types import SegmentCost, SelectionScheme
from edanas.exits.decisions import Decision, decide_all, decision_costs
from edanas.exits.inference import EarlyStop
from edanas.model.inputs import InputForm


class BackboneWithExits(ExitNetwork):
    """A backbone with heads at some of its exit points, and a selection scheme.

    Args:
        backbone: A backbone of M stages with the last exit. Stages that no exit needs are left out.
        heads: Exit classifiers by index of their exit point, from 0 to M - 2. Not every head must be placed.
        scheme: One threshold for each of the N = M - 1 exit points, or `None` for no exit there.
        criterion: Confidence criterion. A criterion with weights must be the result of its `build`.
        mean: For each channel, the mean of pixels in [0, 1], which is subtracted from images.
        std: For each channel, the standard deviation of pixels in [0, 1], above 0, by which images are
            divided.
        classes: Name of each class; a label is an index into it.
        inference: Inference rule. A rule with weights must be the result of its `build`. By default the
            network's prediction is that of the exit where the sample exits.

    Raises:
        ConfigError: A head or the scheme does not fit the backbone, a placed exit has no head, or `mean` and
            `std` do not fit each other.
    """

    def __init__(
        self,
        backbone: StagedBackbone,
        heads: Mapping[int, nn.Module],
        scheme: SelectionScheme | Sequence[float | None],
        criterion: ConfidenceCriterion,
        mean: Sequence[float],
        std: Sequence[float],
        classes: Sequence[str],
        inference: InferenceRule | None = None,
    ) -> None:
        super().__init__()
        self.exit_points = len(backbone.stages) - 1
        for point in heads:
            if not 0 <= point < self.exit_points:
                raise ConfigError(
                    f"heads: found exit point index {point}; allowed: 0 to {self.exit_points - 1}"
                )
        if len(mean) != len(std) or not len(mean):
            raise ConfigError(
                f"mean, std: found {len(mean)} and {len(std)} numbers; allowed: one number per "
                "channel in both"
            )
        limits = torch.finfo(torch.float32)
        if not all(abs(each) <= limits.max for each in mean):
            raise ConfigError(f"mean: found {list(mean)}; allowed: finite numbers")
        if not all(limits.tiny <= each <= limits.max for each in std):
            raise ConfigError(f"std: found {list(std)}; allowed: finite numbers above 0")
        self.backbone = backbone.without_idle(heads)
        self.heads = nn.ModuleDict({str(point): heads[point] for point in sorted(heads)})
        self.scheme = scheme
        self.criterion = criterion
        self.inference = inference or EarlyStop()
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        self.classes = tuple(classes)
        self.description: dict[str, Any] = {}
        """Numbers, texts and lists from which `edanas.load` builds the network again; empty until set."""
        self._normal: tuple[Any, ...] = (None,)

    @property
    def points(self) -> tuple[int, ...]:
        """Exit points that have a head, ascending."""
        return tuple(int(key) for key in self.heads)

    @property
    def memory(self) -> bool:
        """True if the prediction or the confidence of an exit depends on earlier placed exits."""
        return self.criterion.memory or self.inference.memory

    @property
    def answering(self) -> tuple[int, ...]:
        """Exit points of the columns of `all_exits`, ascending.

        They are the exit points with a head or, if `memory` is true, the exit points of the placed exits.
        """
        return self._scheme.placed if self.memory else self.points

    @property
    def resolution(self) -> int:
        """Height and width in pixels to which images are resized, or the length of series."""
        return self.backbone.resolution

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self._weight().device

    @property
    def scheme(self) -> SelectionScheme:
        """The selection scheme.

        It can be set to a scheme, or to a sequence with one threshold or `None` for each exit point. Every
        placed exit must have a head.
        """
        return self._scheme

    @scheme.setter
    def scheme(self, scheme: SelectionScheme | Sequence[float | None]) -> None:
        if not isinstance(scheme, SelectionScheme):
            try:
                scheme = SelectionScheme(tuple(scheme))
            except ValueError as error:
                raise ConfigError(f"scheme: {error}") from error
        if len(scheme.thresholds) != self.exit_points:
            raise ConfigError(
                f"scheme: found {len(scheme.thresholds)} thresholds; allowed: {self.exit_points}, "
                "one for each exit point (`None` = no exit)"
            )
        if headless := set(scheme.placed) - set(self.points):
            raise ConfigError(
                f"scheme: exit {min(headless) + 1} has a threshold but no head; "
                f"exits with a head: {', '.join(str(point + 1) for point in self.points) or 'none'}"
            )
        self._scheme = scheme

    def logits(self, images: torch.Tensor | npt.NDArray[Any]) -> list[torch.Tensor]:
        """Return the logits (B, K) of every head by exit point, then of the last exit; gradients flow.

        The network may be in training mode or in eval mode. No sample exits early.

        Args:
            images: (B, C, H, W) or (C, H, W), uint8 or floats in [0, 1], of any size, or series; arrays of
                NumPy, too.

        Raises:
            DataError: The images have another shape, number of channels or type of values.

        Example:
            >>> from edanas.testing.evaluations import toy_network
            >>> [tuple(each.shape) for each in toy_network().train().logits(torch.zeros(3, 1, 12, 12))]
            [(3, 4), (3, 4)]
        """
        return self.prepared_logits(self._prepare(self._weight().dtype, self._batch(images)))

    def prepared_logits(self, prepared: torch.Tensor, phase: Phase | None = None) -> list[torch.Tensor]:
        """Return the logits (B, K) of every head by exit point, then of the last exit; gradients flow.

        Args:
            prepared: (B, C, resolution, resolution) images after `edanas.core.preprocess.prepare`.
            phase: Phase of training. Only the exits that the phase runs are computed, and gradients are
                tracked only for the modules that the phase trains. `None`, the default, computes all exits.
        """
        return exit_logits(self.exit_parts(), prepared, phase)

    def exit_parts(self) -> list[ExitPart]:
        """Return the modules of each exit by exit point, then of the last exit."""
        return exit_parts(self.backbone, {int(key): head for key, head in self.heads.items()})

    @torch.no_grad()
    def all_exits(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return predictions and confidences of every exit for all images; no image exits early.

        With the result, selection schemes can be scored without running the network again.

        Args:
            images: (B, C, H, W) or (C, H, W), uint8 or floats in [0, 1], of any size.

        Returns:
            Predicted classes (B, E) int64 and confidences (B, E). The E columns are the exit points in
            `answering` and the last exit.

        Raises:
            DataError: The images have another shape, number of channels or type of values.
            EdanasError: The network is in training mode.
        """
        self._check_mode()
        answers, confidences = self.decide(self.answering_logits(images))
        return torch.stack([each.argmax(dim=1) for each in answers], dim=1), torch.stack(confidences, dim=1)

    def answering_logits(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the logits (B, K) at each exit point in `answering`, then at the last exit.

        Args:
            images: See `all_exits`.
        """
        logits = self.logits(images)
        every = (*self.points, self.exit_points)
        return [logits[every.index(point)] for point in (*self.answering, self.exit_points)]

    def decide(self, logits: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the answers and confidences that follow from logits; no sample exits early, gradients flow.

        Args:
            logits: The result of `answering_logits`.

        Returns:
            For each exit, the answer (B, K) of the inference rule and, in a second list, its confidence (B,).
        """
        ran = (*self.answering, self.last_point)
        return decide_all([self._decision(ran[: at + 1]) for at in range(len(ran))], logits)

    def decision_costs(self) -> tuple[SegmentCost, ...]:
        """Return the cost of the decision at each exit point, then at the last exit.

        A decision is the inference rule together with the criterion; see `edanas.exits.decisions`.
        """
        return decision_costs(self.inference, self.criterion, len(self.classes), self.exit_points)

    def _decision(self, ran: tuple[int, ...]) -> Decision:
        return Decision(self.inference, self.criterion, ran)

    def _batch(self, images: object) -> torch.Tensor:
        return InputForm.of(self).batch(images).to(self.device)

    def _check_mode(self) -> None:
        if self.training:
            raise EdanasError("the network is in training mode; call `.eval()` before it classifies images")

    def _weight(self) -> torch.Tensor:
        return next(self.parameters(), torch.empty(0))

    def _prepare(self, dtype: torch.dtype, images: torch.Tensor) -> torch.Tensor:
        """Return images after `edanas.core.preprocess.prepare`, with values of type `dtype`."""
        key = self.mean, self.std, images.device
        if self._normal[0] != key:
            # Built once, because copying these numbers to an accelerator for every batch would stall it.
            # A tensor of inference mode could never be differentiated through.
            with torch.inference_mode(mode=False):
                numbers = (by_channel(each, images.device) for each in (self.mean, self.std))
                self._normal = key, *numbers
        _, mean, std = self._normal
        return prepare(images, self.input_size, mean, std).to(dtype)
