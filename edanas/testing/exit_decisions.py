"""Checks that the suites for confidence criteria and inference rules share: both in a network."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

from edanas.core.contracts import ConfidenceCriterion, ExitReader, InferenceRule
from edanas.core.errors import type_of
from edanas.core.space import SearchSpace
from edanas.core.tracing import count_macs
from edanas.core.types import Task
from edanas.exits.decisions import Decision, decide_all, decision_costs
from edanas.model.eenn import EENN
from edanas.model.fitting import fit
from edanas.testing.conformance import require
from edanas.testing.toy_networks import PoolLinear, ToyProvider, toy_images

EXIT_POINTS = 3
"""Number of exit points of the networks in these suites."""

Reader = TypeVar("Reader", bound=ExitReader)


def built(reader: Reader, classes: int, exit_points: int = EXIT_POINTS) -> Reader:
    """Return a criterion or rule that is built for a network, and fitted to noisy logits if it needs that.

    The result is always the same for equal arguments.

    Args:
        reader: The criterion or rule before `build`.
        classes: Number of classes.
        exit_points: Number of exit points, by default `EXIT_POINTS`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(classes)
        copy = reader.build(classes, exit_points)
    require(
        reader,
        isinstance(copy, type(reader)),
        f"build gives {type_of(copy)}; expected {type_of(reader)}",
    )
    if copy.fits:
        points = tuple(range(exit_points + 1))
        generator = torch.Generator().manual_seed(7)
        labels = torch.randint(0, classes, (40,), generator=generator)
        logits = [torch.randn(40, classes, generator=generator) for _ in points]
        for each in logits:
            each[torch.arange(30), labels[:30]] += 2.0
        copy.fit(logits, labels, points)
    return copy


def check_network(owner: ExitReader, inference: InferenceRule, criterion: ConfidenceCriterion) -> None:
    """Check that every way to run a network gives the same predictions as a pass through all exits.

    A copy of the network with the same `state_dict` must give the same predictions, too.

    Args:
        owner: The implementation that errors name: `inference` or `criterion`.
        inference: The inference rule before `build`.
        criterion: The criterion before `build`.

    Raises:
        ConformanceError: Two ways to run the network give different predictions.
    """
    network = _network(inference, criterion)
    images = toy_images(24, seed=5).images
    labels, confidence = network.all_exits(images)
    network.scheme = tuple(_median_threshold(column) for column in confidence.T[:-1])
    thresholds = torch.tensor([*network.scheme.thresholds, -1.0], dtype=confidence.dtype)
    exits = (confidence >= thresholds).int().argmax(dim=1)
    expected = labels.gather(1, exits[:, None])[:, 0].tolist(), exits.tolist()
    predictions = {
        "in one batch": network(images),
        "without compaction": network.predict(images, compact="never"),
        "in batches": network.predict(images, batch_size=7, compact="always"),
        "one by one": network.predict(list(images), batch_size=1),
    }
    for how, (label, exit_, _) in predictions.items():
        result = label.tolist(), exit_.tolist()
        require(
            owner,
            result == expected,
            f"samples run {how} give {result}; a pass through all exits gives {expected}",
        )
    again = _network(inference, criterion, seed=1)
    again.load_state_dict(network.state_dict())
    again.scheme = network.scheme
    same = all(map(torch.equal, again.all_exits(images), network.all_exits(images)))
    require(owner, same, "predicts differently after its weights are saved and loaded")


def check_costs(owner: ExitReader, inference: InferenceRule, criterion: ConfidenceCriterion) -> None:
    """Check that the multiply-adds of a decision can be counted, and do not depend on other exits.

    Args:
        owner: The implementation that errors name: `inference` or `criterion`.
        inference: The inference rule before `build`.
        criterion: The criterion before `build`.

    Raises:
        ConformanceError: The cost at all exits is not the sum of the costs at each exit.
    """
    rule, built_criterion = built(inference, 5), built(criterion, 5)
    alone = decision_costs(rule, built_criterion, 5, EXIT_POINTS)
    points = tuple(range(EXIT_POINTS + 1))
    together = count_macs(_AllExits(rule, built_criterion, points), (1, 5))
    total = sum(cost.macs for cost in alone)
    require(
        owner,
        together == total,
        f"costs {together} multiply-adds at all exits together; the sum over single exits is {total}",
    )


class _AllExits(nn.Module):
    """The decisions of all exits on one sample, as one module."""

    def __init__(self, rule: InferenceRule, criterion: ConfidenceCriterion, points: Sequence[int]) -> None:
        super().__init__()
        self.rule, self.criterion, self.points = rule, criterion, points

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        placements = [tuple(self.points[: at + 1]) for at in range(len(self.points))]
        decisions = [Decision(self.rule, self.criterion, each) for each in placements]
        return decide_all(decisions, [logits] * len(placements))[0][-1]


def _network(inference: InferenceRule, criterion: ConfidenceCriterion, seed: int = 0) -> EENN:
    """Return a network with two exit points, in float64, so that the batch size changes no confidence."""
    provider, task = ToyProvider(), Task(1, 4)
    largest = SearchSpace.of(provider, (0.5, None)).largest()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = provider.build(largest, task)
        network = EENN(
            backbone,
            {at: PoolLinear(8, 4) for at in range(provider.exit_points)},
            (0.5,) * provider.exit_points,
            criterion.build(4, provider.exit_points),
            mean=(0.4,),
            std=(0.25,),
            classes=("a", "b", "c", "d"),
            inference=inference.build(4, provider.exit_points),
        )
        for parameter in network.parameters():
            parameter.data.mul_(3.0)  # spreads the confidences
    network.double().eval()
    fit(network, toy_images(24, seed=3))
    return network


def _median_threshold(confidence: torch.Tensor) -> float:
    """Return a threshold near the median of confidences, in the middle between two of them."""
    values = confidence.sort().values
    above = values[values > values[len(values) // 2 - 1]]
    if not len(above):
        return float(values[-1]) / 2
    return float(values[values < above[0]][-1] + above[0]) / 2
