import numpy as np
import pytest
import torch
from series_networks import CHANNELS, LENGTH, series_network, series_parts

from edanas.core.errors import DataError
from edanas.core.preprocess import PREPROCESSING
from edanas.deploy.safetensors_export import SafetensorsExporter
from edanas.model.eenn import EENN
from edanas.model.loading import load
from edanas.model.part_latency import latency_costs
from edanas.model.probabilities import exit_probabilities


@pytest.fixture(scope="module")
def padded(tmp_path_factory: pytest.TempPathFactory) -> EENN:
    return series_network(tmp_path_factory.mktemp("padded"), padded=True)


@pytest.fixture(scope="module")
def equal(tmp_path_factory: pytest.TempPathFactory) -> EENN:
    return series_network(tmp_path_factory.mktemp("equal"))


@pytest.mark.parametrize("seed", range(5))
def test_more_padding_never_changes_an_answer(padded: EENN, seed: int) -> None:
    rng = np.random.default_rng(seed)
    length = int(rng.integers(1, LENGTH + 1))
    series = rng.normal(size=(4, CHANNELS, length)).astype(np.float32)
    first = padded.predict(series)
    for more in (1, 7, LENGTH, 1000):
        longer = np.concatenate([series, np.full((4, CHANNELS, more), np.nan, np.float32)], axis=2)
        again = padded.predict(longer)
        assert torch.equal(first.label, again.label)
        assert torch.equal(first.exit, again.exit)
        assert torch.equal(first.confidence, again.confidence)


def test_every_form_of_a_batch_gives_the_same_answers(equal: EENN) -> None:
    series = series_parts().test.images
    answers = equal(series)
    forms = [
        equal(series[:, :, 0]),
        equal.predict(series.numpy()),
        equal.predict(series[:, :, 0].double().numpy()),
        equal.predict([each[:, 0] for each in series], batch_size=5),
        equal(series[:, :, 0].transpose(1, 2).numpy()),
        equal.predict(list(series[:, :, 0].transpose(1, 2))),
        equal.predict([each[:, 0].tolist() for each in series]),
    ]
    for prediction in forms:
        assert torch.equal(prediction.exit, answers.exit)
        assert torch.allclose(prediction.confidence, answers.confidence, atol=1e-6)
    one = equal(series[0])
    assert int(one.label[0]) == int(answers.label[0])


def test_masked_values_and_missing_numbers_are_padding(padded: EENN) -> None:
    series = series_parts().test.images[:3, :, 0].numpy().copy()
    series[1, :, 20:] = np.nan
    expected = padded.predict(series)
    masked = np.ma.array(np.nan_to_num(series), mask=np.isnan(series))
    objects = np.where(np.isnan(series), None, series)  # type: ignore[call-overload]
    for form in (masked, list(masked), objects, series.astype(">f4")):
        assert torch.equal(padded.predict(form).confidence, expected.confidence)
    with pytest.raises(DataError, match="allowed: dense tensors of real numbers"):
        padded.predict(torch.zeros(2, CHANNELS, LENGTH).to_sparse())


def test_an_object_array_of_unequal_series_is_padded(padded: EENN) -> None:
    images = series_parts().test.images[:3]
    series = [each[:, 0, :length].numpy() for each, length in zip(images, (40, 17, 25), strict=True)]
    objects = np.empty(3, dtype=object)
    objects[:] = series
    answers = [int(padded(each).label[0]) for each in series]
    for form in (series, objects):
        assert padded(form).label.tolist() == answers
        assert padded.predict(form).label.tolist() == answers


def test_answers_of_the_windows_of_a_longer_series_are_merged(equal: EENN) -> None:
    series = series_parts().test.images[:4]
    longer = torch.cat([series[:3], series[1:]], dim=3)[..., :-9]
    last = longer[..., -LENGTH:]
    windows = [equal(series[:3]), equal(last)]
    answers = equal(longer)
    for row in range(3):
        sums = torch.zeros(3)
        for each in windows:
            sums[each.label[row]] += each.confidence[row]
        assert int(answers.label[row]) == int(sums.argmax())
        assert float(answers.confidence[row]) == pytest.approx(float(sums.max()) / 2, abs=1e-6)
        assert int(answers.exit[row]) == max(int(each.exit[row]) for each in windows)
    # Series of one call may differ in length, and longer and shorter series answer alike in any batch.
    mixed = equal.predict([longer[0], series[3], longer[2]], batch_size=2)
    alone = [equal(longer[:1]), equal(series[3:]), equal(longer[2:])]
    assert mixed.label.tolist() == [int(each.label[0]) for each in alone]
    assert torch.allclose(mixed.confidence, torch.cat([each.confidence for each in alone]), atol=1e-6)
    probabilities = exit_probabilities(equal, longer)
    expected = (exit_probabilities(equal, series[:3]) + exit_probabilities(equal, last)) / 2
    assert torch.allclose(probabilities, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (np.zeros((2, CHANNELS, 30)), "found length 30 in row 0; allowed: 40 or more"),
        (np.zeros((2, CHANNELS + 1, LENGTH)), r"found shape \(2, 4, 40\); allowed: \(B, 3, L\) or \(3, L\)"),
        (np.array([["a"]]), "found values of type <U1; allowed: numbers"),
        (np.zeros((2, CHANNELS, LENGTH), dtype=complex), "found values of type complex128"),
        ("series", "found a str"),
    ],
)
def test_wrong_series_are_one_clear_error(equal: EENN, series: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        equal(series)


def test_nan_inside_a_series_is_an_error_at_prediction_too(padded: EENN) -> None:
    series = np.zeros((2, CHANNELS, 30))
    series[1, 2, 11] = np.nan
    with pytest.raises(DataError, match="NaN in row 1, channel 2, position 11"):
        padded.predict(series)


@pytest.mark.parametrize("kind", ["padded", "equal"])
def test_a_frozen_network_and_a_loaded_one_answer_as_the_network(
    kind: str, request: pytest.FixtureRequest, tmp_path: object
) -> None:
    network: EENN = request.getfixturevalue(kind)
    samples = series_parts(padded=kind == "padded").test.images
    expected = network(samples)
    frozen = network.freeze()
    assert torch.equal(frozen(samples).exit, expected.exit)
    assert torch.allclose(frozen(samples).confidence, expected.confidence, atol=1e-5)
    (path, *_) = SafetensorsExporter().export(network, tmp_path / "net")  # type: ignore[operator]
    loaded = load(path)
    assert torch.equal(loaded(samples).confidence, expected.confidence)
    assert loaded.padded == (kind == "padded")
    assert loaded.description[PREPROCESSING]["series"] is True


def test_every_stage_has_a_latency(equal: EENN) -> None:
    costs = latency_costs(equal)
    assert costs.last > 0
    assert sum(costs.stages) > 0


def test_a_candidate_without_a_description_reads_whole_series(tmp_path) -> None:
    """A network of half the length resamples; its answers depend on the second half of each series."""
    network = series_network(tmp_path, smallest=True)
    series = series_parts().test.images[:8]
    assert network.resolution < series.shape[-1]
    expected = network.all_exits(series)[1]
    network.description = {}
    assert torch.equal(network.all_exits(series)[1], expected)
    assert not torch.equal(network.all_exits(series[..., : network.resolution])[1], expected)
    assert len(network.all_exits(series[..., :2])[1]) == 8
