"""The candidates that a new run takes over from an older one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edanas.core.archive import Archive
from edanas.core.config import resolve, to_plain
from edanas.core.errors import RunError
from edanas.core.fronts import Fronts
from edanas.core.packed_profile import PackedProfile
from edanas.core.settings import Settings
from edanas.core.space import SearchSpace
from edanas.core.types import CONTINUOUS, Candidate, Evaluation, ExitProfile, Metrics, SelectionScheme
from edanas.run.warm_start import best_candidates
from edanas.testing.toy_search import ToyAccuracy, ToyCost, ToyEvaluator, toy_space

OBJECTIVES = (ToyAccuracy(), ToyCost())


def settings(initial: int = 100, **changes: object) -> Settings:
    return resolve([("", {"search": {"initial": initial}, **changes})])


def older(folder: Path, space: SearchSpace, count: int = 60, *, broken: bool = False) -> list[Evaluation]:
    rng = np.random.default_rng(0)
    genomes = np.unique(space.sample(rng, count), axis=0)
    done = []
    with Archive(folder) as archive:
        archive.set_meta("space", space.signature())
        archive.set_meta("settings", to_plain(settings()))
        for genome in genomes:
            candidate = space.decode(genome)
            metrics = None if broken else ToyEvaluator().evaluate(candidate)
            done.append(Evaluation(candidate, 0, metrics, "no memory" if broken else None))
            archive.append(done[-1], genome)
    return done


def dominated(one: Evaluation, others: list[Evaluation]) -> bool:
    def beats(a: Evaluation) -> bool:
        assert a.metrics
        assert one.metrics
        gains = a.metrics.accuracy - one.metrics.accuracy, one.metrics.ada_macs - a.metrics.ada_macs
        return min(gains) >= 0 and max(gains) > 0

    return any(map(beats, others))


def test_the_pareto_set_is_taken_over(tmp_path: Path) -> None:
    space = toy_space()
    done = older(tmp_path, space)
    expected = {e.candidate.id for e in done if not dominated(e, done)}
    assert len(expected) > 5
    assert {c.id for c in best_candidates(tmp_path, space, OBJECTIVES, settings())} == expected


def test_at_most_half_of_the_initial_archive_the_ends_always(tmp_path: Path) -> None:
    space = toy_space()
    done = older(tmp_path, space)
    front = sorted((e for e in done if not dominated(e, done)), key=lambda e: e.metrics.ada_macs)
    result = best_candidates(tmp_path, space, OBJECTIVES, settings(initial=8))
    assert len(result) == 4
    assert {result[0].id, result[-1].id} == {front[0].candidate.id, front[-1].candidate.id}
    assert len(best_candidates(tmp_path, space, OBJECTIVES, settings(initial=2))) == 1


def test_of_backbones_those_are_taken_whose_trade_offs_are_on_the_common_front(tmp_path: Path) -> None:
    space = SearchSpace(toy_space().variables[:-2], CONTINUOUS, exit_points=2)
    good = {g.tobytes() for g in list(space.genomes())[::5]}

    class Profiled(ToyEvaluator):
        """Every fifth backbone leaves early at no loss; the rest have one costly scheme that errs."""

        def schemes(self, candidate: Candidate, profile: ExitProfile) -> list[SelectionScheme]:
            worth = space.encode(Candidate(candidate.backbone, SelectionScheme((1.0, 1.0)))).tobytes() in good
            return [SelectionScheme((0.0, 0.0)), SelectionScheme((0.5, 0.5))][: 1 + worth]

        def rescore(self, candidate: Candidate, profile: ExitProfile) -> Metrics:
            early = candidate.scheme.thresholds == (0.5, 0.5)
            accuracy, macs = (0.9, 1e3 + candidate.backbone["depth"]) if early else (0.1, 1e9)
            return replace(self.evaluate(candidate), accuracy=accuracy, ada_macs=macs)

    profile = ExitProfile((0, 1), np.zeros((4, 3), dtype=np.float32), np.ones((4, 3), dtype=np.bool_))
    with Archive(tmp_path) as archive:
        archive.set_meta("space", space.signature())
        for genome in space.genomes():
            candidate = space.decode(genome)
            archive.put_profile(candidate.id, PackedProfile.of(profile))
            archive.append(Evaluation(candidate, 0, ToyEvaluator().evaluate(candidate)), genome)
    fronts = Fronts(Profiled(), OBJECTIVES)
    result = best_candidates(tmp_path, space, OBJECTIVES, settings(thresholds="continuous"), fronts)
    assert result
    assert {space.encode(c).tobytes() for c in result} <= good
    assert {c.backbone["depth"] for c in result} == {1}


def test_another_space_is_refused_with_what_differs(tmp_path: Path) -> None:
    older(tmp_path, toy_space())
    with pytest.raises(
        RunError, match=r"another search space. Differing settings: thresholds: .*0\.7"
    ) as refused:
        best_candidates(tmp_path, toy_space(layers=2), OBJECTIVES, settings(thresholds=[0.7, "none"]))
    assert "\n" not in str(refused.value)


def test_no_run_and_nothing_that_succeeded_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"warm_start: .*nowhere holds no run"):
        best_candidates(tmp_path / "nowhere", toy_space(), OBJECTIVES, settings())
    assert not (tmp_path / "nowhere").exists()
    older(tmp_path, toy_space(), broken=True)
    with pytest.raises(RunError, match="evaluations, all of which failed"):
        best_candidates(tmp_path, toy_space(), OBJECTIVES, settings())


def test_an_older_run_without_cut_networks_starts_a_run_with_them(tmp_path: Path) -> None:
    space = toy_space(cut=True)
    older(tmp_path, space.whole())
    result = best_candidates(tmp_path, space, OBJECTIVES, settings())
    assert result
    assert all(candidate in space and "stages" not in candidate.backbone for candidate in result)


def test_a_run_with_cut_networks_is_no_start_for_a_run_without_them(tmp_path: Path) -> None:
    older(tmp_path, toy_space(cut=True))
    with pytest.raises(RunError, match=r"another search space. Differing settings: search.cut"):
        best_candidates(tmp_path, toy_space(), OBJECTIVES, settings(search={"cut": False}))
