import pytest
import torch

from edanas.core.errors import DataError
from edanas.core.preprocess import prepare, resampled, size_for
from edanas.core.series import check_finite, valid_lengths


def test_a_constant_series_stays_constant_at_every_length() -> None:
    for before, after in ((7, 3), (3, 7), (50, 49), (8, 8)):
        assert torch.allclose(resampled(torch.full((1, 2, 1, before), 3.0), after), torch.tensor(3.0))


def test_resampling_a_padded_series_depends_on_its_valid_values_alone() -> None:
    series = torch.randn(1, 3, 1, 40)
    series[..., 23:] = torch.nan
    half = resampled(series, 20)
    valid = int(valid_lengths(half))
    assert valid == 12  # 23 of 40 values, in proportion
    assert half[..., :valid].isfinite().all()
    assert half[..., :valid].abs().max() <= series[..., :23].abs().max() + 1e-6


def test_one_valid_value_is_never_lost() -> None:
    series = torch.full((1, 1, 1, 64), torch.nan)
    series[..., 0] = 5.0
    assert resampled(series, 4)[0, 0, 0, 0] == 5.0


def test_images_keep_both_sides_and_series_keep_height_one() -> None:
    assert size_for(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), 4) == (4, 4)
    assert prepare(torch.zeros(2, 3, 1, 8), 4, [0.0] * 3, [1.0] * 3).shape == (2, 3, 1, 4)
    assert prepare(torch.zeros(2, 3, 1, 8, dtype=torch.uint8), 4, [0.0] * 3, [1.0] * 3).shape == (2, 3, 4, 4)


def test_series_are_normalised_by_channel_and_keep_their_range() -> None:
    series = torch.tensor([[[[10.0, 30.0]], [[-1.0, 1.0]]]])
    normalised = prepare(series, 2, [20.0, 0.0], [10.0, 0.5])
    assert normalised.tolist() == [[[[-1.0, 1.0]], [[-2.0, 2.0]]]]


@pytest.mark.parametrize(
    ("value", "word"), [(torch.nan, "NaN"), (torch.inf, "an infinite value"), (-torch.inf, "an infinite")]
)
def test_a_value_that_is_not_finite_is_named_by_row_channel_and_position(value: float, word: str) -> None:
    series = torch.zeros(3, 2, 1, 9)
    series[2, 1, 0, 4] = value
    with pytest.raises(DataError, match=f"found {word}.* in row 2, channel 1, position 4"):
        check_finite(series, valid_lengths(series))


def test_nan_at_the_end_of_one_channel_alone_is_no_padding() -> None:
    series = torch.zeros(1, 2, 1, 9)
    series[0, 1, 0, 8] = torch.nan
    with pytest.raises(DataError, match="row 0, channel 1, position 8"):
        check_finite(series, valid_lengths(series))


def test_an_empty_series_is_an_error() -> None:
    series = torch.zeros(2, 2, 1, 9)
    series[1] = torch.nan
    with pytest.raises(DataError, match="row 1 is empty"):
        check_finite(series, valid_lengths(series))
