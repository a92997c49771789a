"""The decision at an exit: the answer by the inference rule, and its confidence by the criterion.

The memory of earlier exits accompanies each sample: their logits if the rule uses them, then their answers if
the criterion does. It is empty where neither has a memory.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from edanas.core.contracts import ConfidenceCriterion, InferenceRule
from edanas.core.contracts.exit_network import Memory
from edanas.core.tracing import measure
from edanas.core.types import SegmentCost


class Decision(NamedTuple):
    """Inference rule and criterion at one exit.

    Args:
        inference: The network's inference rule.
        criterion: The network's criterion.
        points: The exits that ran, this one last; N is the last exit.

    Example:
        >>> from edanas.exits.criteria import MaxProbability
        >>> from edanas.exits.inference import EarlyStop
        >>> decision = Decision(EarlyStop(), MaxProbability(), (0,))
        >>> answer, confidence, memory = decision(torch.zeros(1, 4))
        >>> float(confidence), memory
        (0.25, ())
    """

    inference: InferenceRule
    criterion: ConfidenceCriterion
    points: tuple[int, ...]

    def __call__(
        self, logits: torch.Tensor, memory: Memory = ()
    ) -> tuple[torch.Tensor, torch.Tensor, Memory]:
        """Logits (B, K) and memory -> answer (B, K), confidence (B,), and the memory for the next exit."""
        inference, criterion, points = self
        split = len(points) - 1 if inference.memory else 0
        all_logits = (*memory[:split], logits)
        answer = inference(all_logits, points[-len(all_logits) :])
        answers = (*memory[split:], answer)
        confidence = criterion.after(answers, points[-len(answers) :])
        memory = (all_logits if inference.memory else ()) + (answers if criterion.memory else ())
        return answer, confidence, memory


def decide_all(
    decisions: Sequence[Decision], logits: Sequence[torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return answers (B, K) and confidences (B,) at each exit, for all samples; gradients flow.

    Args:
        decisions: Decisions at the placed exits, in the order in which they run.
        logits: (B, K) of each.
    """
    answers, confidences = [], []
    memory: Memory = ()
    for decision, each in zip(decisions, logits, strict=True):
        answer, confidence, memory = decision(each, memory)
        answers.append(answer)
        confidences.append(confidence)
    return answers, confidences


def decision_costs(
    inference: InferenceRule, criterion: ConfidenceCriterion, classes: int, exit_points: int
) -> tuple[SegmentCost, ...]:
    """Return the cost of the decision for one sample at each exit point and at the last exit.

    It does not depend on the scheme. All parameters count at the last exit, which every scheme has.

    Raises:
        CostError: The cost cannot be counted.
    """
    costs = [
        measure(_DecisionModule(inference, criterion, point), (classes, 1, 1))
        for point in range(exit_points + 1)
    ]
    return (*(replace(cost, params=0) for cost in costs[:-1]), costs[-1])


class _DecisionModule(nn.Module):
    """A decision as a module of logits (1, K, 1, 1)."""

    def __init__(self, inference: InferenceRule, criterion: ConfidenceCriterion, point: int) -> None:
        super().__init__()
        # As attributes, so that their weights are counted.
        self.inference, self.criterion = inference, criterion
        self.point = point

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        decision = Decision(self.inference, self.criterion, (self.point,))
        answer, confidence, _ = decision(features.flatten(1))
        return answer * confidence[:, None]
