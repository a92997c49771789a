"""Searches with a front of thresholds for each backbone, and searches that end when gains stop."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edanas.core.archive import Archive
from edanas.core.contracts import Evaluator, SearchStrategy
from edanas.core.engine import COMPLETED, CONVERGED, Engine, SearchOutcome, SearchSetup
from edanas.core.fronts import Fronts
from edanas.core.progress import Silent
from edanas.core.settings import SearchSettings
from edanas.core.space import SearchSpace
from edanas.core.types import CONTINUOUS, Candidate, ExitProfile, Metrics, SelectionScheme
from edanas.executors.serial import Serial
from edanas.numerics.pareto import normalised_hypervolume, reference_point
from edanas.testing.toy_search import ToyAccuracy, ToyCost, ToyEvaluator, toy_problem, toy_space

LENGTH = SearchSettings(initial=6, iterations=3, per_iteration=4)
OBJECTIVES = (ToyAccuracy(), ToyCost())


def backbones_only() -> SearchSpace:
    return SearchSpace(toy_space().variables[:-2], CONTINUOUS, exit_points=2)


class Profiled(ToyEvaluator):
    """Evaluator with a profile of random confidences and three schemes for each backbone."""

    def profile(self, candidate: Candidate) -> ExitProfile:
        rng = np.random.default_rng(int(candidate.backbone.id, 16))
        return ExitProfile((0, 1), rng.random((20, 3), dtype=np.float32), rng.random((20, 3)) < 0.8)

    def schemes(self, candidate: Candidate, profile: ExitProfile) -> Sequence[SelectionScheme]:
        middle = float(np.median(profile.confidence[:, 0]))
        return [SelectionScheme(t) for t in ((None, None), (middle, None), (middle, 0.2))]

    def rescore(self, candidate: Candidate, profile: ExitProfile) -> Metrics:
        return self.evaluate(candidate)


class Watching(SearchStrategy):
    """Strategy that returns random backbones and stores the profiles that it receives."""

    def start(self, problem: Any) -> None:
        self.problem, self.held, self.profiles = problem, set(), []

    def initial(self) -> list[Candidate]:
        return self.ask(self.problem.initial)

    def ask(self, count: int) -> list[Candidate]:
        space = self.problem.space
        rng = np.random.default_rng([self.problem.seed, len(self.held)])
        left = [g for g in space.genomes() if g.tobytes() not in self.held]
        return [space.decode(left[i]) for i in rng.permutation(len(left))[:count]]

    def tell(
        self,
        genomes: Any,
        objectives: Any,
        profiles: Sequence[ExitProfile | None] = (),
        _excesses: Any = None,
    ) -> None:
        self.held |= {row.tobytes() for row in genomes}
        self.profiles += profiles


def search(
    folder: Path, length: SearchSettings = LENGTH, evaluator: Evaluator | None = None, *, nested: bool = True
) -> tuple[SearchOutcome, Watching]:
    evaluator = evaluator or Profiled()
    strategy = Watching()
    space = backbones_only() if nested else toy_space()
    strategy.start(replace(toy_problem(space, seed=3), initial=length.initial))
    fronts = Fronts(evaluator, OBJECTIVES) if nested else None
    with Archive(folder) as archive:
        setup = SearchSetup(space, strategy, evaluator, Serial(), OBJECTIVES, length, fronts)
        return Engine(setup, archive, lambda *_args, **_values: None, Silent()).run(), strategy


def test_the_hypervolume_counts_the_whole_front_of_a_backbone(tmp_path: Path) -> None:
    outcome, strategy = search(tmp_path)
    evaluator = Profiled()
    points: list[list[float]] = []
    volumes = []
    ideal = reference = np.zeros(2)
    for i, evaluation in enumerate(outcome.evaluations):
        profile = evaluator.profile(evaluation.candidate)
        for scheme in evaluator.schemes(evaluation.candidate, profile):
            metrics = evaluator.evaluate(Candidate(evaluation.candidate.backbone, scheme))
            points.append([-metrics.accuracy, metrics.ada_macs])
        if i + 1 == LENGTH.initial:
            reference = reference_point(np.array(points))
            ideal = np.minimum(np.min(points, axis=0), [-1.0, 0.0])
        if i + 1 in (6, 10, 14, 18):
            volumes.append(normalised_hypervolume(np.array(points), ideal, reference))
    assert outcome.hypervolumes == tuple(volumes)
    assert all(e.candidate.scheme == SelectionScheme((1.0, 1.0)) for e in outcome.evaluations)
    profiles = [evaluator.profile(e.candidate) for e in outcome.evaluations]
    assert len(profiles) == len(strategy.profiles)
    for one, other in zip(profiles, strategy.profiles, strict=True):
        np.testing.assert_array_equal(one.confidence, other.confidence)
        np.testing.assert_array_equal(one.correct, other.correct)


def test_trade_offs_are_of_the_iteration_that_evaluated_their_backbone(tmp_path: Path) -> None:
    evaluator = Profiled()
    fronts = Fronts(evaluator, OBJECTIVES)
    outcome, _ = search(tmp_path)
    for evaluation in outcome.evaluations:
        profile = evaluator.profile(evaluation.candidate)
        values = fronts(evaluation.candidate, profile)
        trade_offs = fronts.evaluations(evaluation, profile)
        assert {e.iteration for e in trade_offs} == {evaluation.iteration}
        points = [[-e.metrics.accuracy, e.metrics.ada_macs] for e in trade_offs if e.metrics]
        np.testing.assert_array_equal(values, points)


def test_a_resumed_search_counts_the_same_fronts(tmp_path: Path) -> None:
    whole, strategy = search(tmp_path / "whole")
    search(tmp_path / "cut", replace(LENGTH, max_evals=9))
    resumed, again = search(tmp_path / "cut")
    assert resumed.hypervolumes == whole.hypervolumes
    assert [e.candidate.id for e in resumed.evaluations] == [e.candidate.id for e in whole.evaluations]
    assert len(again.profiles) == len(strategy.profiles)


def test_an_evaluation_without_a_profile_is_the_only_failure(tmp_path: Path) -> None:
    class Forgetful(Profiled):
        def profile(self, candidate: Candidate) -> ExitProfile | None:
            return None if candidate.backbone["resolution"] == 16 else super().profile(candidate)

    outcome, _ = search(tmp_path, evaluator=Forgetful())
    failed = [e for e in outcome.evaluations if not e.ok]
    assert {e.candidate.backbone["resolution"] for e in failed} == {16}
    assert all("keeps no exit profile" in str(e.error) for e in failed)
    assert len(failed) < len(outcome.evaluations)


class Flat(ToyEvaluator):
    """Evaluator whose metrics are poor after the sixth evaluation."""

    def __init__(self, calls: int = 0) -> None:
        self.calls = calls

    def evaluate(self, candidate: Candidate) -> Metrics:
        self.calls += 1
        metrics = super().evaluate(candidate)
        return metrics if self.calls <= 6 else replace(metrics, accuracy=0.0, ada_macs=1e12)


@pytest.mark.parametrize("patience", [1, 2])
def test_a_search_ends_when_the_hypervolume_stops_growing(tmp_path: Path, patience: int) -> None:
    length = replace(LENGTH, iterations=9, patience=patience)
    outcome, _ = search(tmp_path, length, Flat(), nested=False)
    assert outcome.stopped == CONVERGED
    assert len(outcome.hypervolumes) == 1 + patience
    assert len(outcome.evaluations) == 6 + 4 * patience
    more = replace(length, patience=patience + 1)
    further, _ = search(tmp_path, more, Flat(len(outcome.evaluations)), nested=False)
    assert len(further.hypervolumes) == 2 + patience
    assert further.evaluations[: len(outcome.evaluations)] == outcome.evaluations


def test_only_a_gain_above_the_minimum_continues_a_search(tmp_path: Path) -> None:
    generous = replace(LENGTH, iterations=9, patience=2)
    growing, _ = search(tmp_path / "any", generous, ToyEvaluator(), nested=False)
    picky, _ = search(tmp_path / "large", replace(generous, min_gain=0.5), ToyEvaluator(), nested=False)
    assert (growing.stopped, picky.stopped) == (COMPLETED, CONVERGED)
    assert len(picky.hypervolumes) == 3
