"""Choice of the networks that `benchmarks/cifar.py` fine-tunes, and of their last exit."""

import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from small_runs import space

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from cifar_networks import EARLY, SINGLE, UpTo, Wanted, best, last_served, reported

from edanas.core.contracts import ExitBatch
from edanas.core.types import Candidate, Evaluation, Metrics, SelectionScheme
from edanas.exits.criteria import ScoreMargin
from edanas.training.phased_schemes import Layerwise
from edanas.training.schemes import Joint, Mixed


def evaluated(
    macs: float, accuracy: float, backbone_macs: int, backbone_accuracy: float, utilization: tuple[float, ...]
) -> Evaluation:
    exits: tuple[float | None, ...] = (None,) * len(utilization)
    metrics = Metrics(
        accuracy, utilization, exits, macs, macs, backbone_accuracy, backbone_macs, params=1, activations=1
    )
    candidate = Candidate(space().smallest(), SelectionScheme((0.5,) * (len(utilization) - 1)))
    return Evaluation(candidate, 0, metrics)


POOL = [
    evaluated(2.0, 0.60, 3, 0.75, (0.5, 0.5, 0.0)),
    evaluated(4.0, 0.70, 9, 0.90, (0.9, 0.09, 0.01)),
    evaluated(6.0, 0.80, 5, 0.85, (0.0, 0.0, 1.0)),
]


@pytest.mark.parametrize(
    ("kind", "budget", "chosen"),
    [
        (EARLY, 5.0, 1),
        (EARLY, 6.0, 2),
        (EARLY, 1.0, 0),
        (SINGLE, 5.0, 2),
        (SINGLE, 20.0, 1),
        (SINGLE, 1.0, 0),
    ],
)
def test_the_most_accurate_within_the_budget_or_else_the_cheapest(
    kind: str, budget: float, chosen: int
) -> None:
    assert best(POOL, budget, kind) == [POOL[chosen]]


def test_the_best_few_are_different_backbones_each_with_its_best_trade_off() -> None:
    other = space().largest()
    worse, better = (
        replace(
            evaluated(3.0, accuracy, 3, 0.75, (1.0,)), candidate=Candidate(other, SelectionScheme((0.5,)))
        )
        for accuracy in (0.61, 0.65)
    )
    assert best([*POOL, worse, better], 5.0, EARLY, 3) == [POOL[1], better]
    assert best([*POOL, worse, better], 5.0, EARLY, 1) == [POOL[1]]
    assert best([*POOL, worse, better], 1.0, EARLY, 3) == [POOL[0]]


def test_the_last_served_exit_is_the_first_one_after_which_few_samples_exit() -> None:
    assert [last_served(each) for each in POOL] == [1, 1, 2]


def test_networks_with_different_last_exits_have_different_names() -> None:
    backbone = space().smallest()
    orders = [Wanted(EARLY, 3.0, backbone, 1), Wanted(EARLY, 3.0, backbone, 2), Wanted(SINGLE, 3.0, backbone)]
    assert len({each.name for each in orders}) == 3


def test_a_scheme_up_to_an_exit_neither_runs_nor_trains_later_parts() -> None:
    points = (0, 1, 2, 3, 4)
    (phase,) = UpTo(Joint(), 1).phases(points)
    assert phase.exits == phase.segments == phase.heads == (0, 1)
    logits = [torch.randn(8, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    labels = torch.arange(8) % 3
    batch = ExitBatch(logits, labels, phase, points, ScoreMargin())
    expected = sum(torch.nn.functional.cross_entropy(each, labels) for each in logits)
    assert UpTo(Joint(), 1).loss(batch) == pytest.approx(float(expected))


def test_phases_without_remaining_exits_are_dropped() -> None:
    phases = UpTo(Mixed(), 1).phases((0, 1, 2, 3, 4))
    assert [phase.exits for phase in phases] == [(0, 1)]


@pytest.mark.parametrize("scheme", [Mixed(), Layerwise()])
def test_a_scheme_up_to_the_last_exit_is_unchanged(scheme: Mixed | Layerwise) -> None:
    assert UpTo(scheme, 4).phases((0, 1, 2, 3, 4)) == scheme.phases((0, 1, 2, 3, 4))


def test_the_report_part_is_profiled_after_temperatures_are_set() -> None:
    """Thresholds of an offer belong to the confidences that its temperatures give."""
    calls: list[str] = []
    networks = Mock()

    def offers(*_: object) -> list[Mock]:
        calls.append("temperatures")
        return [Mock(accuracy=0.5)]

    networks.offers.side_effect = offers
    networks.test_profile.side_effect = lambda _: calls.append("report part")
    networks.cuts.return_value = []
    reported(networks, [Wanted(EARLY, 1e6, space().smallest())], [1e6])
    assert calls == ["temperatures", "report part"]
