"""A whole early-exit network as one module whose later segments run behind `torch.cond`."""

from collections.abc import Sequence

import torch
from torch import nn

from edanas.core.errors import ExportError
from edanas.deploy.segments import ExportSegment

Decision = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Label int64, exit int64 and confidence float32, each of shape (1,)."""


class ConditionalSegment(nn.Module):
    """A segment, and the later segments that run if its confidence is below the threshold.

    Args:
        segment: The first segment.
        rest: The later segments; `None` after the last exit.
    """

    def __init__(self, segment: ExportSegment, rest: "ConditionalSegment | None") -> None:
        super().__init__()
        self.body, self.head, self.rest = segment.body, segment.head, rest
        self.exit, self.threshold = segment.exit, segment.threshold

    def forward(self, features: torch.Tensor, *memory: torch.Tensor) -> Decision:
        """One image (1, C, H, W) uint8, or its features, and the outputs of earlier heads -> decision."""
        features = self.body(features)
        label, confidence, *outputs = self.head(features, *memory)
        exit_index = torch.full_like(label, self.exit)
        if self.rest is None or self.threshold is None:
            return label, exit_index, confidence
        rest = self.rest
        decision: Decision = torch.cond(
            (confidence >= self.threshold).squeeze(0),
            # A branch of `torch.cond` may not return its own inputs.
            lambda _, label, exit_index, confidence, *_memory: (
                label.clone(),
                exit_index.clone(),
                confidence.clone(),
            ),
            lambda features, _label, _exit, _confidence, *memory: rest(features, *memory),
            (features, label, exit_index, confidence, *memory, *outputs),
        )
        return decision


def conditional_network(segments: Sequence[ExportSegment]) -> ConditionalSegment:
    """Nest segments, the last exit innermost, into one module in eval mode.

    Raises:
        ExportError: There is no segment.
    """
    network: ConditionalSegment | None = None
    for segment in reversed(segments):
        network = ConditionalSegment(segment, network)
    if network is None:
        raise ExportError("the network has no segment")
    return network.eval()
