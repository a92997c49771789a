"""What an exit makes of its logits: the answer by the inference rule, and how sure the criterion is of it.

What earlier exits said goes along with each sample as `Memory`: their logits where the rule looks back, then
their answers where the criterion does; nothing at all where neither has a memory.
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
    """What is decided at one exit.

    Args:
        inference: Of the network.
        criterion: Of the network.
        points: The exits that ran, this one last; N is the last exit.
    """

    inference: InferenceRule
    criterion: ConfidenceCriterion
    points: tuple[int, ...]

    def __call__(
        self, logits: torch.Tensor, memory: Memory = ()
    ) -> tuple[torch.Tensor, torch.Tensor, Memory]:
        """Logits (B, K) and what earlier exits left -> answer (B, K), confidence (B,), what is left now."""
        inference, criterion, points = self
        split = len(points) - 1 if inference.memory else 0
        said = (*memory[:split], logits)
        answer = inference(said, points[-len(said) :])
        answers = (*memory[split:], answer)
        sure = criterion.after(answers, points[-len(answers) :])
        return answer, sure, (said if inference.memory else ()) + (answers if criterion.memory else ())


def decide_all(
    decisions: Sequence[Decision], logits: Sequence[torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Answers (B, K) and confidences (B,) at each exit, as if nobody had left before; gradients flow.

    Args:
        decisions: Of the exits that stand, in the order in which they run.
        logits: (B, K) of each.
    """
    answers, confidences = [], []
    memory: Memory = ()
    for decision, each in zip(decisions, logits, strict=True):
        answer, sure, memory = decision(each, memory)
        answers.append(answer)
        confidences.append(sure)
    return answers, confidences


def decision_costs(
    inference: InferenceRule, criterion: ConfidenceCriterion, classes: int, exit_points: int
) -> tuple[SegmentCost, ...]:
    """What deciding costs for one sample at each exit point and at the last exit, whichever exits stand.

    The parameters are all with the last exit, which always stands.

    Raises:
        CostError: It cannot be counted.
    """
    found = [
        measure(_DecisionModule(inference, criterion, at), (classes, 1, 1)) for at in range(exit_points + 1)
    ]
    return (*(replace(cost, params=0) for cost in found[:-1]), found[-1])


class _DecisionModule(nn.Module):
    """A decision as a module of logits (1, K, 1, 1)."""

    def __init__(self, inference: InferenceRule, criterion: ConfidenceCriterion, point: int) -> None:
        super().__init__()
        # So that the weights are seen, if there are any.
        self.inference, self.criterion = inference, criterion
        self.point = point

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        decision = Decision(self.inference, self.criterion, (self.point,))
        answer, sure, _ = decision(features.flatten(1))
        return answer * sure[:, None]
