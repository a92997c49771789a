"""Compilation with `torch.compile` of the backbones that every training step runs, on GPUs."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
from torch import nn

from edanas.core.contracts import ExitPart, Phase
from edanas.core.passes import exit_logits
from edanas.core.types import Backbone

Backend = str | Callable[..., Any]
"""As `torch.compile` takes it."""

_ROOM = 64
"""Stages of one class share one entry in torch's cache of kernels; so many kernels may be in it."""


def backend_for(device: torch.device) -> Backend | None:
    """The compiler that torch brings on a GPU; elsewhere `None`: nothing is compiled."""
    return "inductor" if device.type == "cuda" else None


class CompiledStages:
    """Runs a few backbones by kernels made for each of their stages and heads, which are static graphs.

    They are made at a backbone's first step, and again for each phase, size of batch and precision, by a
    trial forward and backward that leaves weights, statistics, gradients and random generators as they were.
    Where that fails, for whatever reason, nothing is compiled any more.

    Args:
        parts_of: The exits of a backbone on the supernet's weights.
        backbones: Those to compile; all others run as they are.
        backend: Who compiles; `None` = nobody.
    """

    def __init__(
        self,
        parts_of: Callable[[Backbone], list[ExitPart]],
        backbones: Iterable[Backbone],
        backend: Backend | None,
    ) -> None:
        self.parts_of, self.backend = parts_of, backend
        self.say: Callable[[str], object] = str
        """Told once if nothing can be compiled."""
        self._fixed = {backbone.id for backbone in backbones}
        self._made: dict[tuple[Any, ...], list[ExitPart]] = {}

    def logits(self, backbone: Backbone, images: torch.Tensor, phase: Phase) -> list[torch.Tensor] | None:
        """Prepared images (B, C, R, R) -> logits (B, K) of the exits that `phase` runs.

        `None` where the backbone is none of those that are compiled.
        """
        if self.backend is None or backbone.id not in self._fixed:
            return None
        device = images.device.type
        key = backbone.id, phase, images.shape, torch.is_autocast_enabled(device)
        with torch._dynamo.config.patch(recompile_limit=_ROOM):
            if key not in self._made:
                try:
                    self._made[key] = self._compiled(backbone, images, phase)
                except Exception as error:
                    # Compilers fail in many ways; what is the training's own fault shows without them.
                    cause = (str(error).strip() or "no reason given").splitlines()[0]
                    self.say(
                        f"Nothing is compiled: torch.compile fails here: {type(error).__name__}: {cause}"
                    )
                    self.backend = None
                    return None
            return exit_logits(self._made[key], images, phase)

    def _compiled(self, backbone: Backbone, images: torch.Tensor, phase: Phase) -> list[ExitPart]:
        parts = [
            ExitPart(tuple(self._one(stage) for stage in segment), self._one(head))
            for segment, head in self.parts_of(backbone)
        ]
        with warnings.catch_warnings():
            # torch looks at the gradients of features while it compiles, and warns itself of that.
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor")
            _try(parts, images, phase)
        return parts

    def _one(self, module: nn.Module) -> nn.Module:
        return cast(nn.Module, torch.compile(module, backend=self.backend or "", dynamic=False))


def _try(parts: Sequence[ExitPart], images: torch.Tensor, phase: Phase) -> None:
    """Forward and backward once, which makes the kernels of both; everything is left as it was."""
    modules = [module for segment, head in parts for module in (*segment, head)]
    weights = [p for module in modules for p in module.parameters() if p.requires_grad]
    buffers = [buffer for module in modules for buffer in module.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        with torch.random.fork_rng(devices=[images.device] if images.device.type == "cuda" else []):
            total = torch.stack([each.float().sum() for each in exit_logits(parts, images, phase)]).sum()
            torch.autograd.grad(total, weights, allow_unused=True)
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
