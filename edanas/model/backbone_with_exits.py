"""A backbone with exits, and what every exit says; nothing stops here."""

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
    """A backbone with heads at some of its exit points, and the scheme that says who leaves where.

    Args:
        backbone: M stages and the last exit.
        heads: Exit classifiers by exit point index, from 0 to M - 2. A head need not be placed by the scheme.
        scheme: N = M - 1 thresholds, `None` for "no exit here".
        criterion: How sure an exit is; one that learns, built for this network.
        mean: One number a channel, of pixels in [0, 1].
        std: One number a channel, of pixels in [0, 1].
        classes: The classes' names, by label.
        inference: What is answered where a sample leaves, as `criterion`; by default the exit's own answer.

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
        for index in heads:
            if not 0 <= index < self.exit_points:
                raise ConfigError(
                    f"heads: found exit point index {index}; allowed: 0 to {self.exit_points - 1}"
                )
        if len(mean) != len(std) or not len(mean) or min(std) <= 0.0:
            raise ConfigError(
                f"mean, std: found {list(mean)} and {list(std)}; allowed: one number a channel, std above 0"
            )
        self.backbone = backbone
        self.heads = nn.ModuleDict({str(index): heads[index] for index in sorted(heads)})
        self.scheme = scheme
        self.criterion = criterion
        self.inference = inference or EarlyStop()
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        self.classes = tuple(classes)
        self.description: dict[str, Any] = {}
        """What is needed to build this network again; whoever saves it fills this in. Plain values."""
        self._normal: tuple[Any, ...] = (None,)

    @property
    def points(self) -> tuple[int, ...]:
        """The exit points that have a head, ascending."""
        return tuple(int(key) for key in self.heads)

    @property
    def memory(self) -> bool:
        """Whether an answer or confidence depends on which exits stand before."""
        return self.criterion.memory or self.inference.memory

    @property
    def answering(self) -> tuple[int, ...]:
        """The exit points that `all_exits` asks: those with a head or, with a memory, those that stand."""
        return self._scheme.placed if self.memory else self.points

    @property
    def resolution(self) -> int:
        """Side in pixels that images are resized to."""
        return self.backbone.resolution

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self._weight().device

    @property
    def scheme(self) -> SelectionScheme:
        """Who leaves where. It can be set, also from plain thresholds; every placed exit must have a head."""
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
        if bare := set(scheme.placed) - set(self.points):
            raise ConfigError(
                f"scheme: exit {min(bare) + 1} has a threshold but no head; "
                f"exits with a head: {', '.join(str(point + 1) for point in self.points) or 'none'}"
            )
        self._scheme = scheme

    def logits(self, prepared: torch.Tensor, phase: Phase | None = None) -> list[torch.Tensor]:
        """The logits (B, K) of every head, ascending, the last exit's last. Nothing stops; gradients flow.

        Args:
            prepared: (B, C, resolution, resolution), as `edanas.core.preprocess.prepare` gives it.
            phase: Of a training; only the exits that it runs are computed, and only what it trains is
                tracked.
        """
        return exit_logits(self.exit_parts(), prepared, phase)

    def exit_parts(self) -> list[ExitPart]:
        """What belongs to each exit, the last one last."""
        return exit_parts(self.backbone, {int(key): head for key, head in self.heads.items()})

    @torch.no_grad()
    def all_exits(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What every exit would say, for scoring schemes without running the network again.

        Args:
            images: As for a call.

        Returns:
            Labels (B, E) int64 and confidences (B, E): a column for each of `answering`, then the last exit.
        """
        self._check_mode()
        answers, confidences = self.decide(self.answering_logits(images))
        return torch.stack([each.argmax(dim=1) for each in answers], dim=1), torch.stack(confidences, dim=1)

    def answering_logits(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Logits (B, K) of each of `answering` and the last exit; images as for a call."""
        found = self.logits(self._prepare(self._weight().dtype, self._batch(images)))
        every = (*self.points, self.exit_points)
        return [found[every.index(point)] for point in (*self.answering, self.exit_points)]

    def decide(self, logits: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Turn `answering_logits` into answers (B, K) and confidences (B,) of each exit.

        Nobody leaves, and gradients flow.
        """
        ran = (*self.answering, self.exit_points)
        return decide_all([self._decision(ran[: at + 1]) for at in range(len(ran))], logits)

    def decision_costs(self) -> tuple[SegmentCost, ...]:
        """What deciding costs at each exit point and the last exit; see `edanas.exits.decisions`."""
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
        """As `edanas.core.preprocess.prepare`, in a precision."""
        key = self.mean, self.std, images.device
        if self._normal[0] != key:
            # Made once: to send these to an accelerator would stall it at every batch.
            self._normal = key, by_channel(self.mean, images.device), by_channel(self.std, images.device)
        _, mean, std = self._normal
        return prepare(images, self.resolution, mean, std).to(dtype)
