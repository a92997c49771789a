"""The decision at an exit: the answer of the inference rule, and the answer's confidence by the criterion.

An answer is the output (B, K) of the inference rule. The memory of a sample holds the results of earlier
exits: first their corrected logits if the rule uses earlier exits, then their answers if the criterion uses
earlier exits. The memory is empty if both use the current exit alone.
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
    """Inference rule and confidence criterion at one exit.

    Args:
        inference: Rule that turns the exit's logits into the answer.
        criterion: Criterion that turns the answer into its confidence.
        points: Exit points of the placed exits up to the current exit, which comes last; N for the last exit
            of a network with N exit points.

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
        """Return the answer (B, K), the confidence (B,), and the memory for the next exit.

        Args:
            logits: (B, K), of the current exit.
            memory: Memory that the decision at the previous placed exit returned; empty at the first.
        """
        inference, criterion, points = self
        split = len(points) - 1 if inference.memory else 0
        earlier = memory[:split]
        if inference.corrects:
            logits = inference.corrected(logits, earlier[-1] if earlier else None, points[-1])
        all_logits = (*earlier, logits)
        answer = inference(all_logits, points[-len(all_logits) :])
        answers = (*memory[split:], answer)
        confidence = criterion.after(answers, points[-len(answers) :])
        memory = (all_logits if inference.memory else ()) + (answers if criterion.memory else ())
        return answer, confidence, memory


def decide_all(
    decisions: Sequence[Decision], logits: Sequence[torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return the decisions at all exits for all samples, as if no sample exited early; gradients flow.

    Args:
        decisions: Decisions at the placed exits and the last exit, in the order in which they run.
        logits: Logits (B, K) of each exit, in the same order.

    Returns:
        A list of answers (B, K) and a list of confidences (B,), one item for each exit.
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
    """Return the cost of one sample's decision at each exit point, then at the last exit.

    Costs do not depend on the selection scheme. The weights of rule and criterion count at the last exit,
    which exists under every scheme.

    Args:
        inference: Inference rule of the network.
        criterion: Confidence criterion of the network.
        classes: Number of classes.
        exit_points: Number N of exit points.

    Returns:
        N + 1 costs.

    Raises:
        CostError: The operations of the rule or the criterion cannot be counted.
    """
    costs = [
        measure(_DecisionModule(inference, criterion, point), (classes, 1, 1))
        for point in range(exit_points + 1)
    ]
    return (*(replace(cost, params=0) for cost in costs[:-1]), costs[-1])


class _DecisionModule(nn.Module):
    """A decision as a module, so that its cost can be measured; its input is logits (1, K, 1, 1)."""

    def __init__(self, inference: InferenceRule, criterion: ConfidenceCriterion, point: int) -> None:
        super().__init__()
        # Attributes register the weights, so that they are counted.
        self.inference, self.criterion = inference, criterion
        self.point = point

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        decision = Decision(self.inference, self.criterion, (self.point,))
        answer, confidence, _ = decision(features.flatten(1))
        return answer * confidence[:, None]
