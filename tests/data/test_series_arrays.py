import numpy as np
import pandas as pd
import pytest
import torch

from edanas.core.errors import DataError
from edanas.core.settings import SplitSettings
from edanas.core.types import ImageSet, LoadedData
from edanas.data.joined_parts import PartSamples, join_parts
from edanas.data.load_samples import Reading, load_samples
from edanas.data.long_series import cut_long
from edanas.data.sample_arrays import samples_of
from edanas.data.sample_set import EqualSamples, SampleSet, UnequalSamples
from edanas.data.series import as_series
from edanas.data.splits import split


def waves(*lengths: int, channels: int = 2) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(channels, length)) for length in lengths]


def test_a_list_of_unequal_series_and_the_same_with_nan_at_the_end_are_equal() -> None:
    listed = waves(5, 9, 7)
    padded = np.full((3, 2, 12), np.nan)
    for row, series in enumerate(listed):
        padded[row, :, : series.shape[1]] = series
    first, sentences = as_series(listed)
    second, same = as_series(padded)
    assert torch.equal(first.isnan(), second.isnan())
    assert torch.equal(first.nan_to_num(), second.nan_to_num())
    assert first.shape == (3, 2, 1, 9)
    assert (
        sentences
        == same
        == ("Series have lengths from 5 to 9; shorter series are padded to 9, and padding is masked.",)
    )


def test_cells_of_a_table_may_be_series() -> None:
    listed = waves(5, 9, 7)
    table = pd.DataFrame({channel: [pd.Series(each[channel]) for each in listed] for channel in (0, 1)})
    samples = samples_of(table)
    assert all(np.array_equal(samples[row], series) for row, series in enumerate(listed))
    table.iat[1, 0] = pd.Series([1.0])
    with pytest.raises(DataError, match=r"row 1: found channels of lengths \[1, 9\]"):
        samples_of(table)


def test_series_of_one_length_need_no_sentence() -> None:
    series, sentences = as_series(np.stack(waves(6, 6)))
    assert not series.isnan().any()
    assert sentences == ()


def test_series_beyond_the_largest_length_become_windows_of_one_group() -> None:
    samples = SampleSet.of(UnequalSamples.of(waves(32_005, 20)), ["long", "short"])
    short = cut_long(samples)
    assert [short.samples[row].shape[1] for row in range(len(short))] == [16_000] * 3 + [20]
    # The last window ends with the series, and no value is lost.
    whole = samples.samples[0]
    np.testing.assert_array_equal(short.samples[1], whole[:, 16_000:32_000])
    np.testing.assert_array_equal(short.samples[2], whole[:, 16_005:])
    assert short.groups == ("series 1",) * 3 + ("series 2",)
    assert short.labels.codes.tolist() == [0, 0, 0, 1]
    assert short.remarks[0].startswith("1 of 2 series is longer than 16,000 and is cut into windows")


def test_padding_makes_no_windows() -> None:
    padded = np.pad(np.stack(waves(6, 6)), ((0, 0), (0, 0), (0, 8)), constant_values=np.nan)
    samples = SampleSet.of(EqualSamples(padded), ["a", "b"])
    assert cut_long(samples, longest=6) is samples


@pytest.mark.parametrize("kind", [np.int16, np.uint8, np.float16, np.float64])
def test_numbers_of_any_type_become_floats(kind: type) -> None:
    series, _ = as_series((np.stack(waves(6, 6)) * 50 + 100).astype(kind))
    assert series.dtype == torch.float32


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ([np.array([["a", "b"]])], "found values of type <U1 in row 0; allowed: numbers"),
        ([np.ones((1, 3), dtype=bool)], "found values of type bool in row 0; allowed: numbers"),
        ([*waves(4, channels=2), *waves(4, channels=3)], "found 3 channels in row 1, and 2 in row 0"),
        ([np.array([[1.0, 2.0, 3.0], [7.0, 7.0, 7.0]])], "channel 1 .* is 7 everywhere"),
        ([np.zeros((2, 0))], r"found shape \(2, 0\) in row 0"),
        ([np.zeros((2, 2, 2))], r"found shape \(2, 2, 2\) in row 0"),
        ([np.array([[1.0, np.nan, 3.0]])], "found NaN in row 0, channel 0, position 1"),
        ([np.array([[np.nan, np.nan]])], "row 0 is empty"),
        ([], "found none"),
    ],
)
def test_wrong_series_are_named_once(samples: list[np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_series(samples)


def test_sample_sets_of_series_load_as_floats_with_their_labels() -> None:
    equal = EqualSamples(np.stack(waves(8, 8, 8)).astype(np.float32))
    loaded = load_samples(SampleSet.of(equal, ["run", "walk", "run"]), 8, Reading())
    assert loaded.samples.images.shape == (3, 2, 1, 8)
    assert loaded.samples.classes == ("run", "walk")
    unequal = UnequalSamples.of(waves(8, 5, 3))
    loaded = load_samples(SampleSet.of(unequal, [3, 1, 3]), 8, Reading())
    assert loaded.samples.images.isnan().any()
    assert "lengths from 3 to 8" in loaded.remarks[0]


def test_one_channel_may_come_without_its_axis() -> None:
    flat = EqualSamples(np.stack(waves(8, 8, channels=1))[:, 0])
    loaded = load_samples(SampleSet.of(flat, ["a", "b"]), 8, Reading())
    assert loaded.samples.images.shape == (2, 1, 1, 8)


def test_statistics_of_the_split_leave_padding_out() -> None:
    values = [np.array([[1.0, 3.0] * n]) for n in range(1, 25)]
    series, _ = as_series(values)
    labels = torch.arange(24) % 2
    parts = split(
        LoadedData(ImageSet(series, labels, ("a", "b")), np.full(24, ""), ()),
        SplitSettings(0.4, 0.2, 0.2, 0.2),
        seed=0,
    )
    assert parts.mean == (2.0,)
    assert parts.std == (1.0,)
    assert parts.series
    assert parts.padded


def test_channels_may_be_last() -> None:
    series = waves(9, 9, 9, 9, channels=3)
    expected = load_samples(SampleSet.of(EqualSamples(np.stack(series)), list("abab")), 8, Reading())
    last = SampleSet.of(EqualSamples(np.stack(series).swapaxes(1, 2)), list("abab"))
    with pytest.raises(DataError, match=r"\(N, 9, 3\) have two readings.*layout=NCL or data\.layout=NLC"):
        load_samples(last, 8, Reading())
    assert torch.equal(load_samples(last, 8, Reading("NLC")).samples.images, expected.samples.images)
    unequal = SampleSet.of(UnequalSamples.of([each.T for each in waves(5, 9, 3)]), list("aba"))
    assert load_samples(unequal, 8, Reading()).samples.images.shape == (3, 2, 1, 9)


def test_signed_bytes_are_series() -> None:
    values = (np.stack(waves(9, 9)) * 30).astype(np.int8)
    assert (
        load_samples(SampleSet.of(EqualSamples(values), ["a", "b"]), 8, Reading()).samples.images.shape[2]
        == 1
    )


def test_rows_of_several_types_of_numbers_join_where_that_is_safe() -> None:
    rows = samples_of([[1, 2, 3], [0.5, 1, 2, 3], np.float32([1.5, 2])])
    assert [rows[row].tolist() for row in range(3)] == [[1, 2, 3], [0.5, 1, 2, 3], [1.5, 2]]
    grey = np.zeros((4, 4), np.uint8)
    with pytest.raises(DataError, match="row 1 has numbers of type uint8, and row 0 of type float64"):
        samples_of([grey / 255, grey])
    with pytest.raises(DataError, match="row 1 has numbers of type int64"):
        samples_of([np.zeros((3, 4, 4)), np.zeros((3, 4, 4), np.int64)])


def test_parts_of_two_types_of_floats_are_joined() -> None:
    values = np.stack(waves(9, 9)).astype(np.float32)
    parts = [
        PartSamples("train", samples_of(values), [0, 1]),
        PartSamples("test", samples_of(values.astype(float)), [1, 0]),
    ]
    assert np.array_equal(join_parts(parts).samples[3], values[1])
