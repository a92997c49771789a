"""A backbone with exits, and the outputs of all of them; samples do not exit early here."""

from collections.abc import Mapping, Sequence
from typing import Any

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
from edanas.model.inputs import as_batch


class BackboneWithExits(ExitNetwork):
    """A backbone with heads at some of its exit points, and a selection scheme.

    Args:
        backbone: M stages and the last exit.
        heads: Exit classifiers by exit point index, from 0 to M - 2. The scheme need not place them.
        scheme: N = M - 1 thresholds, `None` for no exit.
        criterion: The confidence criterion; one that learns is built for this network.
        mean: One number a channel, of pixels in [0, 1].
        std: One number a channel, of pixels in [0, 1].
        classes: Names of the classes, by label.
        inference: The inference rule, as `criterion`; by default the answer of the exit alone.

    Raises:
        ConfigError: Heads, scheme, mean and std do not fit the backbone or one another.
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
        if len(mean) != len(std) or not len(mean) or min(std) <= 0.0:
            raise ConfigError(
                f"mean, std: found {list(mean)} and {list(std)}; allowed: one number a channel, std above 0"
            )
        self.backbone = backbone
        self.heads = nn.ModuleDict({str(point): heads[point] for point in sorted(heads)})
        self.scheme = scheme
        self.criterion = criterion
        self.inference = inference or EarlyStop()
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        self.classes = tuple(classes)
        self.description: dict[str, Any] = {}
        """Plain values from which `edanas.load` builds the network again; set before the network is saved."""
        self._normal: tuple[Any, ...] = (None,)

    @property
    def points(self) -> tuple[int, ...]:
        """Exit points that have a head, ascending."""
        return tuple(int(key) for key in self.heads)

    @property
    def memory(self) -> bool:
        """True if an answer or confidence depends on the exits placed before."""
        return self.criterion.memory or self.inference.memory

    @property
    def answering(self) -> tuple[int, ...]:
        """Exit points in the columns of `all_exits`: those with a head or, with a memory, the placed ones."""
        return self._scheme.placed if self.memory else self.points

    @property
    def resolution(self) -> int:
        """Side in pixels to which images are resized."""
        return self.backbone.resolution

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self._weight().device

    @property
    def scheme(self) -> SelectionScheme:
        """The selection scheme. It can be set, also from thresholds; every placed exit must have a head."""
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
                f"scheme: found {len(scheme.thresholds)} thresholds; allowed: {self.exit_points}"
            )
        if headless := set(scheme.placed) - set(self.points):
            raise ConfigError(
                f"scheme: exit {min(headless) + 1} has a threshold but no head; "
                f"exits with a head: {', '.join(str(point + 1) for point in self.points) or 'none'}"
            )
        self._scheme = scheme

    def logits(self, prepared: torch.Tensor, phase: Phase | None = None) -> list[torch.Tensor]:
        """Return the logits (B, K) of every head, ascending, then of the last exit; gradients flow.

        Args:
            prepared: (B, C, resolution, resolution), as `edanas.core.preprocess.prepare` returns it.
            phase: A phase of training; only the exits that it runs are computed, and gradients are tracked
                only for what it trains.
        """
        return exit_logits(self.exit_parts(), prepared, phase)

    def exit_parts(self) -> list[ExitPart]:
        """Return the modules of each exit, the last exit last."""
        return exit_parts(self.backbone, {int(key): head for key, head in self.heads.items()})

    @torch.no_grad()
    def all_exits(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return labels and confidences of every exit, to score schemes without running the network again.

        Args:
            images: As for a call.

        Returns:
            Labels (B, E) int64 and confidences (B, E): a column for each of `answering`, then the last exit.
        """
        self._check_mode()
        answers, confidences = self.decide(self.answering_logits(images))
        return torch.stack([each.argmax(dim=1) for each in answers], dim=1), torch.stack(confidences, dim=1)

    def answering_logits(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the logits (B, K) of each of `answering` and of the last exit; images as for a call."""
        logits = self.logits(self._prepare(self._weight().dtype, self._batch(images)))
        every = (*self.points, self.exit_points)
        return [logits[every.index(point)] for point in (*self.answering, self.exit_points)]

    def decide(self, logits: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Turn `answering_logits` into answers (B, K) and confidences (B,) of each exit.

        All samples pass all exits, and gradients flow.
        """
        ran = (*self.answering, self.exit_points)
        return decide_all([self._decision(ran[: at + 1]) for at in range(len(ran))], logits)

    def decision_costs(self) -> tuple[SegmentCost, ...]:
        """Return the cost of the decision at each exit point and the last; see `edanas.exits.decisions`."""
        return decision_costs(self.inference, self.criterion, len(self.classes), self.exit_points)

    def _decision(self, ran: tuple[int, ...]) -> Decision:
        return Decision(self.inference, self.criterion, ran)

    def _batch(self, images: object) -> torch.Tensor:
        return as_batch(images, len(self.mean)).to(self.device)

    def _check_mode(self) -> None:
        if self.training:
            raise EdanasError("the network is in training mode; call `.eval()` before it classifies images")

    def _weight(self) -> torch.Tensor:
        return next(self.parameters(), torch.empty(0))

    def _prepare(self, dtype: torch.dtype, images: torch.Tensor) -> torch.Tensor:
        """Prepare images as `edanas.core.preprocess.prepare`, in a given precision."""
        key = self.mean, self.std, images.device
        if self._normal[0] != key:
            # Built once, because sending them to an accelerator for every batch would stall it.
            self._normal = key, by_channel(self.mean, images.device), by_channel(self.std, images.device)
        _, mean, std = self._normal
        return prepare(images, self.resolution, mean, std).to(dtype)
