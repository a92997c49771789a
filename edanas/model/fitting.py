"""Fitting of the inference rule and the confidence criterion after the training of a network."""

import torch

from edanas.core.contracts import ExitNetwork
from edanas.core.costs import Costs
from edanas.core.types import ImageSet
from edanas.model.profiling import eval_mode
from edanas.thresholds.schemes import exit_costs
from edanas.training.precision import FP32, compute_precision


def fit(network: ExitNetwork, data: ImageSet, batch_size: int = 256) -> None:
    """Fit the inference rule to the logits of the exits, then the criterion to the answers of the rule.

    A rule or criterion that cannot be fitted does not change.

    Args:
        network: Network whose rule and criterion are fitted in place. If one of them depends on earlier
            exits, it is fitted for the placed exits only.
        data: Labelled samples on which the network was not trained.
        batch_size: Number of samples that the network computes at once.
    """
    if not len(data) or not (network.inference.fits or network.criterion.fits):
        return
    outputs, labels, points = _answers_after_rule(network, data, batch_size)
    network.criterion.fit(outputs, labels, points)


def assign(
    network: ExitNetwork, data: ImageSet, costs: Costs, budget: float, batch_size: int = 256
) -> tuple[float, ...]:
    """Fit the inference rule as `fit` does, then the criterion for a budget.

    Args:
        network: Network whose rule and criterion are fitted in place.
        data: Labelled samples on which the network was not trained.
        costs: Costs of the network, in multiply-adds.
        budget: Multiply-adds per sample on average.
        batch_size: Number of samples that the network computes at once.

    Returns:
        The share of samples for each exit, the last exit included; see `ConfidenceCriterion.assign`.
    """
    outputs, labels, points = _answers_after_rule(network, data, batch_size)
    costs_of_exits = exit_costs(costs, points[:-1]).tolist()
    return network.criterion.assign(outputs, labels, points, costs_of_exits, budget)


def _answers_after_rule(
    network: ExitNetwork, data: ImageSet, batch_size: int
) -> tuple[list[torch.Tensor], torch.Tensor, tuple[int, ...]]:
    """Fit the inference rule, and return its outputs (S, K) at each exit, the labels, and the exit points."""
    points = (*network.answering, network.last_point)
    with eval_mode(network), torch.no_grad(), compute_precision(FP32, network.device):
        batches = [
            network.answering_logits(data.images[at : at + batch_size])
            for at in range(0, len(data), batch_size)
        ]
        logits = [torch.cat(each) for each in zip(*batches, strict=True)]
        labels = data.labels.to(logits[0].device)
        rule = network.inference
        rule.fit(rule.corrected_for_training(logits, points), labels, points)
        return network.decide(logits)[0], labels, points
