"""Surrogates that learn from exit profiles, against brute force and exact values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.contracts import ExitInsight, SurrogateModel
from edanas.core.space import CONTINUOUS, SearchSpace
from edanas.core.types import ExitProfile, SelectionScheme
from edanas.surrogates.adaptive import AdaptiveSwitching, kendall_tau, split_folds
from edanas.surrogates.backbone_smoother import fit_gene_smoother, indicators
from edanas.surrogates.counted_costs import CountedCosts
from edanas.surrogates.exit_curves import ExitCurves
from edanas.surrogates.exit_profiles import ExitProfiles
from edanas.surrogates.gp import GP
from edanas.surrogates.profile_bits import ProfileBits
from edanas.surrogates.profile_model import MOST, outcome_of
from edanas.testing.toy_exit_insight import toy_archive, toy_cost, toy_insight, toy_profile, toy_values
from edanas.thresholds.profiles import outcome
from edanas.thresholds.schemes import ended_profile

both = pytest.mark.parametrize("model", [ExitCurves, ExitProfiles])
THRESHOLD = st.none() | st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0])


def profile(rng: np.random.Generator, samples: int, points: tuple[int, ...]) -> ExitProfile:
    """An exit profile whose confidences often equal a threshold."""
    confidence = rng.choice(
        np.array([0, 0.1, 0.2, 0.3, 0.5, 1.0], dtype=np.float32), (samples, len(points) + 1)
    )
    return ExitProfile(points, confidence, rng.random(confidence.shape) < 0.6)


@given(st.lists(THRESHOLD, min_size=3, max_size=3), st.integers(1, 200), st.integers(0, 99))
@settings(max_examples=60)
def test_shares_are_those_of_the_profile_s_own_outcome(
    thresholds: list[float | None], samples: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    points = [(0, 1, 2), (1,), (0, 2), ()]
    profiles = [profile(rng, samples + at, each) for at, each in enumerate(points)]
    bits, scheme = ProfileBits(profiles, 3), SelectionScheme(tuple(thresholds))
    covered = bits.covers(scheme.placed)
    assert covered.tolist() == [set(scheme.placed) <= set(each) for each in points]
    shares = bits.shares(scheme)
    for row in np.flatnonzero(covered):
        expected = outcome(profiles[row], scheme)
        np.testing.assert_allclose(shares.exiting[row], expected.utilization, atol=1e-12)
        right = shares.exiting[row] - shares.wrong[row]
        expected_right = [
            s * (a or 0.0) for s, a in zip(expected.utilization, expected.exit_accuracy, strict=True)
        ]
        np.testing.assert_allclose(right, expected_right, atol=1e-12)
        for at in scheme.placed:
            column = profiles[row].points.index(at)
            sure = profiles[row].confidence[:, column] >= np.float32(thresholds[at] or 0.0)
            missed = sure & ~profiles[row].correct[:, column]
            single = [each[row] for each in bits.single_exit(at, thresholds[at] or 0.0)]
            np.testing.assert_allclose(single, [sure.mean(), missed.mean()])


def test_weights_are_those_of_kriging_by_its_formulas() -> None:
    space, genomes = toy_archive(30)
    rows, owners = indicators(space, genomes, np.zeros((30, 0), dtype=np.bool_))
    outputs = np.random.default_rng(0).normal(size=(20, 3)) + rows[:20] @ np.arange(rows.shape[1])[:, None]
    fitted = fit_gene_smoother(rows[:20], owners, outputs)
    weights = fitted.weights(rows[20:])
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    process, known = fitted.process, rows[:20] * fitted.scale
    decay, linear = 2 * process.theta, process.kernel.linear

    def covariance(m: np.ndarray) -> np.ndarray:
        return np.exp(decay * (m - 1)) + linear * m

    K = covariance(known @ known.T) + process.noise * np.eye(20)
    k = covariance(known @ (rows[20:] * fitted.scale).T)
    y = outputs[:, 0]
    inverse = np.linalg.inv(K)
    mean = inverse.sum(axis=0) @ y / inverse.sum()
    np.testing.assert_allclose(weights @ y, mean + k.T @ inverse @ (y - mean), rtol=1e-6)


def informed(
    make: type[SurrogateModel], own_exits: bool = False, count: int = 60
) -> tuple[SurrogateModel, ExitInsight, np.ndarray, np.ndarray, np.ndarray]:
    """A fitted model, its insight, unseen genomes with their values, and the training genomes."""
    space, genomes = toy_archive(count + 80)
    insight = toy_insight(space, genomes, own_exits=own_exits)
    values = toy_values(insight, genomes)
    model = make()
    model.inform(insight)
    model.fit(genomes[:count].astype(float), values[:count])
    return model, insight, genomes[count:], values[count:], genomes[:count]


@both
@pytest.mark.parametrize("own_exits", [False, True])
def test_profiles_predict_better_than_genes_alone(model: type[SurrogateModel], own_exits: bool) -> None:
    fitted, insight, unseen, truth, training = informed(model, own_exits)
    plain = GP().fit(training.astype(float), toy_values(insight, training))
    tau = kendall_tau(fitted.predict(unseen.astype(float)), truth)
    assert tau > 0.9
    assert tau > kendall_tau(plain.predict(unseen.astype(float)), truth)


@both
def test_an_archived_backbone_with_another_scheme_is_predicted_exactly(model: type[SurrogateModel]) -> None:
    fitted, insight, _, _, training = informed(model)
    others = training.copy()
    others[:, -2:] = (others[:, -2:] + 1) % 3
    np.testing.assert_allclose(fitted.predict(others.astype(float)), toy_values(insight, others))


def test_profiles_with_other_exits_are_not_used() -> None:
    """If networks are trained with their own exits, a backbone with other exits is another network."""
    fitted, insight, _, _, training = informed(ExitProfiles, own_exits=True)

    def network(row: np.ndarray) -> tuple[bytes, tuple[int, ...]]:
        return row[:-2].tobytes(), insight.space.decode(row).scheme.placed

    known = {network(row) for row in training}
    other = np.array([row for row in training if insight.space.decode(row).scheme.exits == 2])
    other[:, -1] = 2
    assert {insight.space.decode(row).scheme.exits for row in other} == {1}
    other = np.array([row for row in other if network(row) not in known])
    assert len(other) > 0
    assert (fitted.predict(other.astype(float)) != toy_values(insight, other)).all()


@both
def test_few_profiles_make_the_model_learn_from_genes(model: type[SurrogateModel]) -> None:
    space, genomes = toy_archive(40)
    insight = toy_insight(space, genomes[:3])
    values = toy_values(insight, genomes)
    fitted = model()
    fitted.inform(insight)
    fitted.fit(genomes.astype(float), values)
    by_genes = CountedCosts(GP())
    by_genes.inform(insight)
    expected = by_genes.fit(genomes.astype(float), values).predict(genomes.astype(float))
    np.testing.assert_allclose(fitted.predict(genomes.astype(float)), expected)


@both
def test_many_backbones_are_thinned_and_all_are_predicted_exactly(
    model: type[SurrogateModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edanas.surrogates.profile_model.MOST", 20)
    assert MOST > 20
    fitted, insight, unseen, truth, training = informed(model)
    np.testing.assert_allclose(fitted.predict(training.astype(float)), toy_values(insight, training))
    assert kendall_tau(fitted.predict(unseen.astype(float)), truth) > 0.7


@both
def test_continuous_thresholds_are_predicted(model: type[SurrogateModel]) -> None:
    """With genomes of backbones alone, candidates have every exit at threshold 1."""
    discrete, _ = toy_archive(1)
    space = SearchSpace(discrete.variables[:-2], CONTINUOUS, 2)
    genomes = np.array(list(space.genomes()))
    profiles = {row.tobytes(): toy_profile(space.decode(row)) for row in genomes}
    insight = ExitInsight(space, profiles, toy_cost)
    values = toy_values(insight, genomes)
    fitted = model()
    fitted.inform(insight)
    fitted.fit(genomes[::2].astype(float), values[::2])
    assert kendall_tau(fitted.predict(genomes[1::2].astype(float)), values[1::2]) > 0.8


class Recording(GP):
    """A model that records insights and folds."""

    insights: list[ExitInsight]
    folds: list[list[np.ndarray]]

    def inform(self, insight: ExitInsight) -> None:
        type(self).insights.append(insight)

    def cross_validate(self, genomes, values, folds):  # type: ignore[no-untyped-def]
        type(self).folds.append(list(folds))
        return super().cross_validate(genomes, values, folds)


def test_switching_gives_profiles_to_all_models_and_keeps_a_backbone_in_one_fold() -> None:
    space, genomes = toy_archive(60)
    insight = toy_insight(space, genomes)
    Recording.insights, Recording.folds = [], []
    switch = AdaptiveSwitching({"one": Recording, "two": Recording, "profiles": ExitProfiles})
    switch.inform(insight)
    switch.fit(genomes.astype(float), toy_values(insight, genomes))
    assert switch.chosen == "profiles"
    assert all(each is insight for each in Recording.insights)
    assert len(Recording.insights) >= 2
    for folds in Recording.folds:
        assert sorted(np.concatenate(folds)) == list(range(60))
        backbones = [{row[:-2].tobytes() for row in genomes[fold]} for fold in folds]
        assert sum(map(len, backbones)) == len(set().union(*backbones))


def _crowds(count: int) -> st.SearchStrategy[list[int]]:
    """Groups in random order, with fewer further rows than groups."""
    more = st.lists(st.integers(0, count - 1), max_size=count - 2)
    return more.flatmap(lambda extra: st.permutations([*range(count), *extra]))


@given(st.lists(st.integers(0, 12), min_size=4, max_size=80), st.integers(0, 9))
@settings(max_examples=60)
def test_folds_hold_every_row_once(groups: list[int], seed: int) -> None:
    folds = split_folds(len(groups), 10, seed, np.unique(groups, return_inverse=True)[1])
    assert sorted(np.concatenate(folds).tolist()) == list(range(len(groups)))
    assert len(folds) >= 2
    assert all(len(fold) for fold in folds)


@given(st.integers(4, 13).flatmap(_crowds), st.integers(0, 9))
@settings(max_examples=60)
def test_groups_are_never_split_where_there_are_enough(groups: list[int], seed: int) -> None:
    numbers = np.unique(groups, return_inverse=True)[1]
    held = [set(numbers[fold].tolist()) for fold in split_folds(len(groups), 10, seed, numbers)]
    assert sum(map(len, held)) == len(set(groups))


@both
def test_a_failed_fold_leaves_no_state(model: type[SurrogateModel]) -> None:
    """Profiles of a cross-validation must not affect a later fit."""
    fitted, insight, _, _, training = informed(model)
    values = toy_values(insight, training)
    before = fitted.predict(training.astype(float))
    with pytest.raises(IndexError):
        fitted.cross_validate(training[:20].astype(float), values[:20], [np.arange(10), np.array([20])])
    fitted.fit(training.astype(float), values)
    np.testing.assert_allclose(fitted.predict(training.astype(float)), before)
    np.testing.assert_allclose(before, values)


def test_a_candidate_that_no_profile_covers_is_predicted_from_genes() -> None:
    """With too few profiles with both exits, the model uses genes and values."""
    space, genomes = toy_archive(120)
    exits = np.array([space.decode(row).scheme.exits for row in genomes])
    known = genomes[exits < 2]
    insight = toy_insight(space, known, own_exits=True)
    values = toy_values(insight, known)
    fitted = ExitProfiles()
    fitted.inform(insight)
    fitted.fit(known.astype(float), values)
    unseen = genomes[exits == 2].astype(float)
    by_genes = CountedCosts(GP())
    by_genes.inform(insight)
    expected = by_genes.fit(known.astype(float), values).predict(unseen)
    np.testing.assert_allclose(fitted.predict(unseen), expected)


@both
def test_a_network_that_ends_earlier_on_an_archived_backbone_is_predicted_exactly(
    model: type[SurrogateModel],
) -> None:
    space, genomes = toy_archive(200, cut=True)
    whole = np.array([genome for genome in genomes if genome[0] == 2])[:40]
    insight = toy_insight(space, whole)
    fitted = model()
    fitted.inform(insight)
    fitted.fit(whole.astype(float), toy_values(insight, whole))
    for end in (0, 1):
        shorter = whole.copy()
        shorter[:, 0] = end
        shorter = space.canonical(shorter)
        np.testing.assert_allclose(fitted.predict(shorter.astype(float)), toy_values(insight, shorter))


@both
@pytest.mark.parametrize("own_exits", [False, True])
def test_profiles_of_networks_that_end_at_different_exits_predict_new_ones(
    model: type[SurrogateModel], own_exits: bool
) -> None:
    space, genomes = toy_archive(220, cut=True)
    insight = toy_insight(space, genomes, own_exits=own_exits)
    values = toy_values(insight, genomes)
    fitted = model()
    fitted.inform(insight)
    fitted.fit(genomes[:120].astype(float), values[:120])
    assert kendall_tau(fitted.predict(genomes[120:].astype(float)), values[120:]) > 0.9


@given(st.integers(0, 3), st.integers(1, 100), st.integers(0, 99))
@settings(max_examples=30)
def test_shares_of_a_network_that_ends_at_an_exit_are_those_of_its_profile(
    end: int, samples: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    whole = profile(rng, samples, (0, 1, 2))
    short = whole if end == 3 else ended_profile(whole, end)
    scheme = SelectionScheme(tuple(0.3 if at < end else None for at in range(3)))
    expected = outcome(short, scheme)
    bits = ProfileBits([whole, short], 3, [3, end])
    shares = bits.shares(scheme, end)
    for row in (0, 1):
        result = outcome_of(shares.exiting[row], shares.wrong[row], bits.single_exit(end, 0.0)[1][row], end)
        np.testing.assert_allclose(result.utilization, expected.utilization, atol=1e-12)
        assert result.accuracy == pytest.approx(expected.accuracy)
        assert result.backbone_accuracy == pytest.approx(expected.backbone_accuracy)
    assert bits.covers((*scheme.placed, end)).all()
