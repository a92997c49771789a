"""Forward passes through chosen exits of a network, with chosen parts frozen."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from edanas.core.contracts import ExitPart, Phase, StagedBackbone


def exit_parts(backbone: StagedBackbone, heads: Mapping[int, nn.Module]) -> list[ExitPart]:
    """Return the modules of each exit in order, the last exit last; `heads` by exit point."""
    parts, segment = [], []
    for index, stage in enumerate(backbone.stages):
        segment.append(stage)
        if index in heads:
            parts.append(ExitPart(tuple(segment), heads[index]))
            segment = []
    return [*parts, ExitPart(tuple(segment), backbone.head)]


def exit_logits(
    parts: Sequence[ExitPart], images: torch.Tensor, phase: Phase | None = None
) -> list[torch.Tensor]:
    """Return the logits (B, K) of the exits that `phase` runs, or of all exits, for images (B, C, R, R).

    Parameters that the phase does not train get no gradient. The modules' modes do not change.
    """
    phase = phase or Phase.whole(len(parts))
    logits, features = [], images
    for index, (segment, head) in enumerate(parts[: max(phase.exits) + 1]):
        with frozen(segment if index not in phase.segments else ()):
            for stage in segment:
                features = stage(features)
        runs, served = index in phase.exits, sum(index <= each for each in phase.exits)
        if phase.rescale:
            features = _rescaled(features, 1 / served)
        if runs:
            with frozen([head] if index not in phase.heads else ()):
                logits.append(head(features))
        if phase.rescale:
            features = _rescaled(features, served - runs)
    return logits


@contextmanager
def frozen(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Keep no gradient for the modules' parameters inside the context; gradients pass through them."""
    held = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in held:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad = True


def _rescaled(features: torch.Tensor, factor: float) -> torch.Tensor:
    """Return the same values; their gradient is multiplied by `factor` in the backward pass."""
    if not features.requires_grad:
        return features
    same = features.clone()
    same.register_hook(lambda gradient: gradient * factor)  # type: ignore[no-untyped-call]
    return same
