"""Compilation on GPUs, with `torch.compile`, of the backbones that every training step runs."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import torch
from torch import nn

from edanas.core.contracts import ExitPart, Phase
from edanas.core.passes import exit_logits
from edanas.core.types import Backbone

Backend = str | Callable[..., Any]
"""A backend of `torch.compile`: its name, or a function."""

_ROOM = 64
"""Largest number of compiled versions of a module class; all stages of a class share a cache entry."""


def backend_for(device: torch.device) -> Backend | None:
    """Return the name of torch's compiler on a GPU, and `None` (no compilation) on other devices."""
    return "inductor" if device.type == "cuda" else None


class CompiledStages:
    """Compiled stages and heads of a few backbones; each stage and each head is compiled separately.

    A backbone is compiled at its first step, and again for each phase, batch size and precision. Compilation
    runs one forward and backward pass, which changes no weights, statistics, gradients or random generators.
    If the compilation of one backbone fails, all backbones run uncompiled from then on.

    Args:
        parts_of: Function that returns the modules of each exit of a backbone, with the supernet's weights.
        backbones: The backbones to compile; all other backbones run uncompiled.
        backend: The compiler; `None` turns compilation off.
    """

    def __init__(
        self,
        parts_of: Callable[[Backbone], list[ExitPart]],
        backbones: Iterable[Backbone],
        backend: Backend | None,
    ) -> None:
        self.parts_of, self.backend = parts_of, backend
        self.report: Callable[[str], object] = str
        """Function that is called with an error message when compilation fails."""
        self._compiled_ids = {backbone.id for backbone in backbones}
        self._cache: dict[tuple[Any, ...], list[ExitPart]] = {}

    def logits(self, backbone: Backbone, images: torch.Tensor, phase: Phase) -> list[torch.Tensor] | None:
        """Return the logits of the exits that `phase` runs.

        Args:
            backbone: The backbone to run.
            images: Batch of B normalised images (B, C, R, R).
            phase: The current phase of the training.

        Returns:
            Logits (B, K) of each exit, for K classes; `None` if the backbone is not compiled.
        """
        if self.backend is None or backbone.id not in self._compiled_ids:
            return None
        device = images.device.type
        key = backbone.id, phase, images.shape, torch.is_autocast_enabled(device)
        with torch._dynamo.config.patch(recompile_limit=_ROOM):
            if key not in self._cache:
                try:
                    self._cache[key] = self._compile_backbone(backbone, images, phase)
                except Exception as error:
                    # Compilers raise many kinds of errors. Errors of the training recur without compilation.
                    cause = (str(error).strip() or "no reason given").splitlines()[0]
                    cause = f"{type(error).__name__}: {cause}"
                    self.report(f"Training runs uncompiled, since torch.compile failed: {cause}")
                    self.backend = None
                    return None
            return exit_logits(self._cache[key], images, phase)

    def _compile_backbone(self, backbone: Backbone, images: torch.Tensor, phase: Phase) -> list[ExitPart]:
        parts = [
            ExitPart(tuple(self._compile(stage) for stage in segment), self._compile(head))
            for segment, head in self.parts_of(backbone)
        ]
        with warnings.catch_warnings():
            # torch reads the gradients of features while it compiles, and warns of that.
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor")
            _run_once(parts, images, phase)
        return parts

    def _compile(self, module: nn.Module) -> nn.Module:
        return cast(nn.Module, torch.compile(module, backend=self.backend or "", dynamic=False))


def _run_once(parts: Sequence[ExitPart], images: torch.Tensor, phase: Phase) -> None:
    """Compile the forward and the backward pass by running them; restore buffers and random state."""
    modules = [module for segment, head in parts for module in (*segment, head)]
    weights = [p for module in modules for p in module.parameters() if p.requires_grad]
    buffers = [buffer for module in modules for buffer in module.buffers()]
    before = [buffer.clone() for buffer in buffers]
    try:
        with torch.random.fork_rng(devices=[images.device] if images.device.type == "cuda" else []):
            total = torch.stack([logits.float().sum() for logits in exit_logits(parts, images, phase)]).sum()
            torch.autograd.grad(total, weights, allow_unused=True)
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
