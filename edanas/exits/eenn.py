"""An early-exit network that really stops: what has left is not computed any further."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from edanas.core.contracts import ConfidenceCriterion, StagedBackbone
from edanas.core.errors import ConfigError, DataError, EdanasError
from edanas.core.preprocess import prepare
from edanas.core.types import SelectionScheme

_ROUNDING = 1e-3
"""How far floats may leave [0, 1]: some decoders and resizers overshoot a little."""


class Prediction(NamedTuple):
    """What an EENN says about B images.

    Args:
        label: (B,) int64, from 0; the name is `network.classes[label]`.
        exit: (B,) int64, the index of the exit point where each sample left, or N for the last exit.
        confidence: (B,) floats in [0, 1], at that exit.
    """

    label: torch.Tensor
    exit: torch.Tensor
    confidence: torch.Tensor


class EENN(nn.Module):
    """A backbone with heads at some of its exit points, and the scheme that says who leaves where.

    Calling it (in `eval` mode) is the deployed network: images to `Prediction`. `logits` is for training.

    Args:
        backbone: M stages and the last exit.
        heads: Exit classifiers by exit point index, from 0 to M - 2. A head need not be placed by the scheme.
        scheme: N = M - 1 thresholds, `None` for "no exit here".
        criterion: Logits (B, K) -> confidence (B,).
        mean: One number a channel, of pixels in [0, 1].
        std: One number a channel, of pixels in [0, 1].
        classes: The classes' names, by label.

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
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)
        self.classes = tuple(classes)
        self.description: dict[str, Any] = {}
        """What is needed to build this network again; whoever saves it fills this in. Plain values."""

    @property
    def points(self) -> tuple[int, ...]:
        """The exit points that have a head, ascending."""
        return tuple(int(key) for key in self.heads)

    @property
    def resolution(self) -> int:
        """Side in pixels that images are resized to."""
        return self.backbone.resolution

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

    def logits(self, prepared: torch.Tensor) -> list[torch.Tensor]:
        """Every head's logits (B, K), ascending, the last exit's last. Nothing stops; gradients flow.

        Args:
            prepared: (B, C, resolution, resolution), as `edanas.core.preprocess.prepare` gives it.
        """
        found = []
        features = prepared
        for index, stage in enumerate(self.backbone.stages):
            features = stage(features)
            if str(index) in self.heads:
                found.append(self.heads[str(index)](features))
        found.append(self.backbone.head(features))
        return found

    @torch.no_grad()
    def all_exits(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What every exit would say, for scoring schemes without running the network again.

        Args:
            images: As for a call.

        Returns:
            Labels (B, E) int64 and confidences (B, E): a column for each head, ascending, then the last exit.
        """
        logits = self.logits(self._prepare(images))
        labels = torch.stack([each.argmax(dim=1) for each in logits], dim=1)
        return labels, torch.stack([self.criterion(each) for each in logits], dim=1)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> Prediction:
        """Classify, letting each sample go at the first placed exit that is sure enough.

        After each exit only the samples that stay are carried on; when none is left, no further stage runs.

        Args:
            images: (B, C, H, W) or (C, H, W), uint8 or floats in [0, 1], of any size. The range of floats is
                checked in the host's memory only: to look at those on an accelerator would stall it.

        Raises:
            DataError: Another shape, number of channels, or type of values.
            EdanasError: The network is in training mode.
        """
        features = self._prepare(images)
        count = len(features)
        label = torch.zeros(count, dtype=torch.int64, device=features.device)
        left_at = torch.full_like(label, self.exit_points)
        confidence = torch.zeros(count, dtype=torch.float32, device=features.device)
        active = torch.arange(count, device=features.device)
        if not count:
            return Prediction(label, left_at, confidence)

        def note(index: int, logits: torch.Tensor, sure: torch.Tensor) -> None:
            # Everyone still here is written down, and a later exit overwrites those who stay: picking out who
            # leaves would need one more wait for the device.
            label.index_copy_(0, active, logits.argmax(dim=1))
            left_at.index_fill_(0, active, index)
            confidence.index_copy_(0, active, sure.to(confidence.dtype))

        for index, stage in enumerate(self.backbone.stages):
            features = stage(features)
            threshold = self._scheme.thresholds[index] if index < self.exit_points else None
            if threshold is None:
                continue
            logits = self.heads[str(index)](features)
            sure = self.criterion(logits)
            note(index, logits, sure)
            staying = (~(sure >= threshold)).nonzero().squeeze(1)
            if not len(staying):
                return Prediction(label, left_at, confidence)
            if len(staying) < len(active):
                active = active[staying]
                features = features.index_select(0, staying)
        logits = self.backbone.head(features)
        note(self.exit_points, logits, self.criterion(logits))
        return Prediction(label, left_at, confidence)

    def _prepare(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            raise EdanasError("the network is in training mode; call `.eval()` before it classifies images")
        batch = _checked(images, channels=len(self.mean))
        weight = next(self.parameters(), torch.empty(0))
        prepared = prepare(batch.to(weight.device), self.resolution, self.mean, self.std)
        return prepared.to(weight.dtype)


def _checked(images: object, channels: int) -> torch.Tensor:
    """`images` as a batch, or a `DataError`."""
    if not isinstance(images, torch.Tensor):
        raise DataError(f"images: found a {type(images).__name__}; allowed: a torch tensor")
    batch = images.unsqueeze(0) if images.dim() == 3 else images
    if batch.dim() != 4 or batch.shape[1] != channels or 0 in batch.shape[1:]:
        allowed = f"allowed: (B, {channels}, H, W) or ({channels}, H, W)"
        raise DataError(f"images: found shape {tuple(images.shape)}; {allowed}")
    if batch.dtype == torch.uint8:
        return batch
    if not batch.is_floating_point():
        raise DataError(f"images: found values of type {batch.dtype}; allowed: uint8, or floats in [0, 1]")
    if batch.device.type == "cpu" and batch.numel():
        low, high = (float(end) for end in batch.aminmax())
        if not (low >= -_ROUNDING and high <= 1.0 + _ROUNDING):
            raise DataError(f"images: found floats from {low:g} to {high:g}; allowed: 0 to 1, or uint8")
    return batch
