"""Forward passes through chosen exits of a network, with chosen parts frozen."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from edanas.core.contracts import ExitPart, Phase, StagedBackbone


def exit_parts(backbone: StagedBackbone, heads: Mapping[int, nn.Module]) -> list[ExitPart]:
    """Return the modules of each exit, ascending, the last exit last.

    Args:
        backbone: The network of stages and the last exit.
        heads: Heads of the early exits by exit point, from 0.
    """
    return [
        ExitPart(tuple(stages), heads.get(exit_, backbone.head)) for exit_, stages in backbone.segments(heads)
    ]


def exit_logits(
    parts: Sequence[ExitPart], images: torch.Tensor, phase: Phase | None = None
) -> list[torch.Tensor]:
    """Return the logits (B, K) of each exit that runs, ascending.

    Parameters that the phase does not train get no gradient. The modules stay in training or eval mode.

    Args:
        parts: The modules of each exit, the last exit last.
        images: Prepared images (B, C, R, R); R is the backbone's resolution.
        phase: The exits that run and the modules that learn; `None`, the default, means all of them.
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
    """Compute no gradients of the modules' parameters inside the context; inputs still get gradients."""
    held = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in held:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad = True


def _rescaled(features: torch.Tensor, factor: float) -> torch.Tensor:
    """Return equal features; the backward pass multiplies their gradient by `factor`."""
    if not features.requires_grad:
        return features
    same = features.clone()
    same.register_hook(lambda gradient: gradient * factor)  # type: ignore[no-untyped-call]
    return same
