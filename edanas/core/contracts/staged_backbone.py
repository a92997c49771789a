"""Backbones as a sequence of stages, with exit points between them."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import nn

from edanas.core.idle_stages import idle_stages


class StagedBackbone(nn.Module):
    """A single-exit network of M stages, with an exit point after each stage except the last stage.

    Args:
        stages: The M stages in sequence. The first stage takes float images (B, C, R, R), or series
            (B, C, 1, R); R = `resolution`.
        head: The last exit, which turns the features of the last stage into logits (B, K).
        resolution: Height and width of the input images in pixels, or the length of input series.
        series: True if the inputs are series; false, the default, for images.

    Attributes:
        ends: Number of stages that run; below M if the backbone is cut.
        image_stages: Indices of the stages after the first one that read the image.

    Stages for padded series append a mask to their features; see `SupernetProvider.masked`. A module that
    does so has an attribute `masked`. Set to false, the stage takes series without padding and appends none.

    A stage may be a network that reads the image, whose logits are the last numbers of the features. It has
    an attribute `image_network`: the module from images to logits. Its input is the image, or the features of
    the stage before, which must hold the image. The stages before it run only for an exit before it.

    Example:
        >>> backbone = StagedBackbone([nn.Flatten()], nn.Linear(12, 10), resolution=2)
        >>> backbone(torch.zeros(5, 3, 2, 2)).shape
        torch.Size([5, 10])
    """

    def __init__(
        self, stages: Sequence[nn.Module], head: nn.Module, resolution: int, *, series: bool = False
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.head = head
        self.resolution = resolution
        self.series = series
        self.ends = len(self.stages)
        self.image_stages = tuple(
            at for at, stage in enumerate(self.stages) if at and hasattr(stage, "image_network")
        )

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the input; the height of a series is 1."""
        return (1 if self.series else self.resolution), self.resolution

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, K) of the last exit; all stages run."""
        features = images
        for stage in self.stages:
            features = stage(features)
        logits: torch.Tensor = self.head(features)
        return logits

    def cut(self, stages: int, head: nn.Module) -> "StagedBackbone":
        """Return a backbone that ends after a number of stages; it shares the modules of these stages.

        The number of exit points stays. Modules without weights or work stand for the later stages.

        Args:
            stages: Number of stages that run.
            head: The last exit: the exit classifier for the features of the last stage that runs.

        Example:
            >>> backbone = StagedBackbone([nn.Flatten(), nn.Linear(12, 4)], nn.Linear(4, 10), resolution=2)
            >>> backbone.cut(1, nn.Linear(12, 10)).stages[1]
            Identity()
        """
        rest = [nn.Identity() for _ in self.stages[stages:]]
        image_stages = tuple(at for at in self.image_stages if at < stages)
        return self._changed([*self.stages[:stages], *rest], head, stages, image_stages)

    def without_idle(self, exits: Collection[int]) -> "StagedBackbone":
        """Return a backbone without the stages that do not run; it shares the modules of the others.

        The number of stages stays. Modules without weights or work stand for idle stages.

        Args:
            exits: Indices of the exit points that may have an exit.

        Returns:
            The backbone itself if all stages run.

        Example:
            >>> backbone = StagedBackbone([nn.Flatten(), nn.Linear(12, 4)], nn.Linear(4, 10), resolution=2)
            >>> backbone.without_idle(()) is backbone
            True
        """
        idle = idle_stages(self.image_stages, exits)
        if not idle:
            return self
        stages = [IdleStage() if at in idle else stage for at, stage in enumerate(self.stages)]
        return self._changed(stages, self.head, self.ends, self.image_stages)

    def segments(self, exits: Collection[int]) -> list[tuple[int, list[nn.Module]]]:
        """Return the stages that run before each exit, since the exit before it; the last exit comes last.

        Args:
            exits: Indices of the exit points with an exit.

        Returns:
            The index of each exit, M - 1 for the last exit, with its stages in sequence.

        Example:
            >>> backbone = StagedBackbone([nn.Flatten(), nn.Linear(12, 4)], nn.Linear(4, 10), resolution=2)
            >>> [(exit_, len(stages)) for exit_, stages in backbone.segments((0,))]
            [(0, 1), (1, 1)]
        """
        idle = idle_stages(self.image_stages, exits)
        segments: list[tuple[int, list[nn.Module]]] = []
        stages: list[nn.Module] = []
        for at, stage in enumerate(self.stages):
            if at < self.ends and at not in idle:
                stages.append(stage)
            if at in exits:
                segments.append((at, stages))
                stages = []
        return [*segments, (len(self.stages) - 1, stages)]

    def _changed(
        self, stages: Sequence[nn.Module], head: nn.Module, ends: int, image_stages: tuple[int, ...]
    ) -> "StagedBackbone":
        changed = StagedBackbone(stages, head, self.resolution, series=self.series)
        changed.ends, changed.image_stages = ends, image_stages
        # The modes of the shared modules stay as they are.
        changed.training = changed.stages.training = self.training
        return changed


class IdleStage(nn.Identity):
    """A stage that does not run.

    Weights in files of earlier versions are ignored, which also hold those of stages that do not run.
    """

    def _load_from_state_dict(self, *_: Any) -> None:
        pass
