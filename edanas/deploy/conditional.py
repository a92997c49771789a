"""An early-exit network as one module, in which `torch.cond` skips the segments after an exit that fires."""

from collections.abc import Sequence

import torch
from torch import nn

from edanas.core.errors import ExportError
from edanas.deploy.segments import ExportSegment

Decision = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Predicted class (int64), exit taken (int64) and confidence (float32) of one image, each of shape (1,)."""


class ConditionalSegment(nn.Module):
    """A segment with all later segments, which run only if its confidence is below its threshold.

    Args:
        segment: The segment that always runs.
        rest: The next segment, which contains all later segments; `None` for the last segment.
    """

    def __init__(self, segment: ExportSegment, rest: "ConditionalSegment | None") -> None:
        super().__init__()
        self.body, self.head, self.rest = segment.body, segment.head, rest
        self.exit, self.threshold = segment.exit, segment.threshold

    def forward(self, features: torch.Tensor, *memory: torch.Tensor) -> Decision:
        """Return the decision for one image.

        Args:
            features: The image (1, C, H, W) uint8 with C channels for the first segment; the features of the
                previous segment for any other segment.
            memory: Outputs of earlier heads.
        """
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
    """Return one module in eval mode, in which each segment contains the next segment.

    Args:
        segments: The segments of a network, ascending by exit.

    Raises:
        ExportError: `segments` is empty.
    """
    network: ConditionalSegment | None = None
    for segment in reversed(segments):
        network = ConditionalSegment(segment, network)
    if network is None:
        raise ExportError("the network has no segment")
    return network.eval()
