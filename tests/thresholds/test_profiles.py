import numpy as np
import pytest
import torch
from early_exit_nets import CLASSES, make_eenn
from hypothesis import given, settings
from hypothesis import strategies as st

from edanas.core.errors import CandidateError, DataError
from edanas.core.types import ExitProfile, ImageSet, SelectionScheme
from edanas.model.profiling import collect_profile
from edanas.thresholds.profiles import exit_columns, outcome


def image_set(count: int, seed: int = 0) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=generator)
    return ImageSet(images, torch.randint(0, 3, (count,), generator=generator), CLASSES)


def one_by_one(profile: ExitProfile, scheme: SelectionScheme) -> tuple[list[int], list[int], int]:
    """Columns, exits (N for the last) and how many are right, sample by sample."""
    columns, exits, right = [], [], 0
    for sample in range(len(profile)):
        column, exit_ = len(profile.points), len(scheme.thresholds)
        for point, threshold in enumerate(scheme.thresholds):
            if threshold is None:
                continue
            at = profile.points.index(point)
            if profile.confidence[sample, at] >= np.float32(threshold):
                column, exit_ = at, point
                break
        columns.append(column)
        exits.append(exit_)
        right += bool(profile.correct[sample, column])
    return columns, exits, right


@st.composite
def scored_profiles(draw):
    exit_points = draw(st.integers(0, 4))
    points = tuple(sorted(draw(st.sets(st.integers(0, exit_points - 1))))) if exit_points else ()
    samples = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    # Tenths, so that confidences tie with one another and with thresholds, 0 and 1 included.
    confidence = (rng.integers(0, 11, (samples, len(points) + 1)) / 10).astype(np.float32)
    correct = rng.random((samples, len(points) + 1)) < 0.6
    choices = st.one_of(st.none(), st.integers(0, 10).map(lambda tenths: tenths / 10))
    scheme = tuple(draw(choices) if point in points else None for point in range(exit_points))
    return ExitProfile(points, confidence, correct), SelectionScheme(scheme)


@settings(max_examples=150)
@given(scored_profiles())
def test_scoring_equals_a_loop_over_samples(case):
    profile, scheme = case
    columns, exits, right = one_by_one(profile, scheme)
    assert exit_columns(profile, scheme).tolist() == columns
    found = outcome(profile, scheme)
    assert found.accuracy == pytest.approx(right / len(profile))
    assert found.backbone_accuracy == pytest.approx(profile.correct[:, -1].sum() / len(profile))
    assert sum(found.utilization) == pytest.approx(1.0)
    assert len(found.utilization) == len(found.exit_accuracy) == len(scheme.thresholds) + 1
    for exit_ in range(len(scheme.thresholds) + 1):
        there = [s for s in range(len(profile)) if exits[s] == exit_]
        assert found.utilization[exit_] == pytest.approx(len(there) / len(profile))
        if there:
            correct = np.mean([profile.correct[s, columns[s]] for s in there])
            assert found.exit_accuracy[exit_] == pytest.approx(correct)
        else:
            assert found.exit_accuracy[exit_] is None


def test_a_removed_exit_does_not_fire_at_a_confidence_of_one():
    profile = ExitProfile((0,), np.ones((2, 2), np.float32), np.ones((2, 2), bool))
    assert exit_columns(profile, SelectionScheme((None,))).tolist() == [1, 1]
    assert exit_columns(profile, SelectionScheme((1.0,))).tolist() == [0, 0]


def test_a_scheme_that_does_not_fit_the_profile_is_refused():
    profile = ExitProfile((0, 2), np.zeros((2, 3), np.float32), np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="exit at 1"):
        exit_columns(profile, SelectionScheme((0.5, 0.5, None)))
    with pytest.raises(ValueError, match="2 thresholds"):
        exit_columns(profile, SelectionScheme((0.5, None)))
    with pytest.raises(ValueError, match="without samples"):
        outcome(ExitProfile((), np.zeros((0, 1), np.float32), np.zeros((0, 1), bool)), SelectionScheme(()))


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_a_profile_holds_what_every_exit_says(batch_size):
    network = make_eenn((None, None, None), heads=[0, 2])
    data = image_set(9)
    profile = collect_profile(network, data, batch_size=batch_size, device="cpu")
    labels, confidence = network.all_exits(data.images)
    assert profile.points == (0, 2)
    assert profile.confidence.dtype == np.float32
    np.testing.assert_allclose(profile.confidence, confidence.numpy(), atol=1e-6)
    np.testing.assert_array_equal(profile.correct, (labels == data.labels[:, None]).numpy())


def test_the_network_that_stops_does_what_its_profile_says():
    network = make_eenn((0.4, None, 0.6), heads=[0, 1, 2], seed=3).float()
    data = image_set(40)
    profile = collect_profile(network, data)
    thresholds = [float(np.median(profile.confidence[:, e])) for e in range(3)]
    for scheme in ((thresholds[0], None, thresholds[2]), (None, thresholds[1], None), (None, None, None)):
        # A little lower than the sample at the median, whose last bits depend on the batch.
        network.scheme = tuple(None if t is None else max(0.0, t - 1e-5) for t in scheme)
        found = network(data.images)
        column = exit_columns(profile, network.scheme)
        assert found.exit.tolist() == [(*profile.points, 3)[c] for c in column]
        accuracy = float((found.label == data.labels).float().mean())
        assert outcome(profile, network.scheme).accuracy == pytest.approx(accuracy)


def test_collecting_puts_every_module_back_into_its_mode():
    network = make_eenn((None, None)).train()
    frozen = network.backbone.stages[0][1]
    frozen.eval()
    statistics = frozen.running_mean.clone()
    modes = {name: module.training for name, module in network.named_modules()}
    collect_profile(network, image_set(4))
    assert {name: module.training for name, module in network.named_modules()} == modes
    assert torch.equal(frozen.running_mean, statistics)


def test_a_network_without_numbers_is_a_failed_candidate():
    network = make_eenn((None, None), heads=[1])
    with torch.no_grad():
        network.heads["1"][-1].weight.fill_(float("nan"))
    with pytest.raises(CandidateError, match="confidence of exit 2 is not a number"):
        collect_profile(network, image_set(4))
    with torch.no_grad():
        network.backbone.stages[0][0].weight.fill_(float("nan"))
        network.heads["1"][-1].weight.fill_(0.0)
    with pytest.raises(CandidateError, match=r"exit 2|the last exit"):
        collect_profile(network, image_set(4))


def test_no_samples_is_an_error():
    with pytest.raises(DataError, match="no samples"):
        collect_profile(make_eenn((None,)), image_set(0))
