"""Which networks `benchmarks/cifar.py` fine-tunes, and up to which exit."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import space

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from cifar_networks import EARLY, SINGLE, UpTo, Wanted, best, last_served

from edanas.core.contracts import ExitBatch
from edanas.core.types import Candidate, Evaluation, Metrics, SelectionScheme
from edanas.exits.criteria import ScoreMargin
from edanas.training.phased_schemes import Layerwise
from edanas.training.schemes import Joint, Mixed


def judged(
    macs: float, accuracy: float, backbone_macs: int, backbone_accuracy: float, leave: tuple[float, ...]
) -> Evaluation:
    exits: tuple[float | None, ...] = (None,) * len(leave)
    metrics = Metrics(
        accuracy, leave, exits, macs, macs, backbone_accuracy, backbone_macs, params=1, activations=1
    )
    candidate = Candidate(space().smallest(), SelectionScheme((0.5,) * (len(leave) - 1)))
    return Evaluation(candidate, 0, metrics)


POOL = [
    judged(2.0, 0.60, 3, 0.75, (0.5, 0.5, 0.0)),
    judged(4.0, 0.70, 9, 0.90, (0.9, 0.09, 0.01)),
    judged(6.0, 0.80, 5, 0.85, (0.0, 0.0, 1.0)),
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
        replace(judged(3.0, accuracy, 3, 0.75, (1.0,)), candidate=Candidate(other, SelectionScheme((0.5,))))
        for accuracy in (0.61, 0.65)
    )
    assert best([*POOL, worse, better], 5.0, EARLY, 3) == [POOL[1], better]
    assert best([*POOL, worse, better], 5.0, EARLY, 1) == [POOL[1]]
    assert best([*POOL, worse, better], 1.0, EARLY, 3) == [POOL[0]]


def test_exits_behind_which_hardly_anybody_leaves_serve_nobody() -> None:
    assert [last_served(each) for each in POOL] == [1, 1, 2]


def test_names_tell_networks_apart_that_are_trained_up_to_other_exits() -> None:
    backbone = space().smallest()
    wanted = [Wanted(EARLY, 3.0, backbone, 1), Wanted(EARLY, 3.0, backbone, 2), Wanted(SINGLE, 3.0, backbone)]
    assert len({each.name for each in wanted}) == 3


def test_a_scheme_up_to_an_exit_runs_and_trains_nothing_behind_it() -> None:
    points = (0, 1, 2, 3, 4)
    (phase,) = UpTo(Joint(), 1).phases(points)
    assert phase.exits == phase.segments == phase.heads == (0, 1)
    logits = [torch.randn(8, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    labels = torch.arange(8) % 3
    batch = ExitBatch(logits, labels, phase, points, ScoreMargin())
    expected = sum(torch.nn.functional.cross_entropy(each, labels) for each in logits)
    assert UpTo(Joint(), 1).loss(batch) == pytest.approx(float(expected))


def test_phases_without_any_exit_left_fall_away() -> None:
    phases = UpTo(Mixed(), 1).phases((0, 1, 2, 3, 4))
    assert [phase.exits for phase in phases] == [(0, 1)]


@pytest.mark.parametrize("scheme", [Mixed(), Layerwise()])
def test_a_scheme_up_to_the_last_exit_is_itself(scheme: Mixed | Layerwise) -> None:
    assert UpTo(scheme, 4).phases((0, 1, 2, 3, 4)) == scheme.phases((0, 1, 2, 3, 4))
