"""Inference rules that are built in: what the network answers for a sample that leaves at an exit."""

from collections.abc import Callable, Sequence

import torch

from edanas.core.contracts import InferenceRule
from edanas.core.hookspecs import hookimpl


class EarlyStop(InferenceRule):
    """The exit where a sample leaves answers alone (Section III of the paper)."""

    def __call__(self, logits: Sequence[torch.Tensor], points: Sequence[int]) -> torch.Tensor:
        """See `InferenceRule`."""
        return logits[-1]


@hookimpl
def edanas_inference_rules() -> dict[str, Callable[..., InferenceRule]]:
    """The built-in inference rules."""
    return {"early-stop": EarlyStop}
