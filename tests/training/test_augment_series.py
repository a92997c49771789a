import pytest
import torch

from edanas.training.augment import augment
from edanas.training.augment_series import augment_series

NAMES = ("shift", "warp", "flip", "rotate", "scale", "jitter", "erase")


def padded_batch(seed: int = 0) -> torch.Tensor:
    series = torch.randn(6, 3, 1, 50, generator=torch.Generator().manual_seed(seed))
    lengths = torch.tensor([50, 1, 2, 17, 30, 49])
    return series.masked_fill(torch.arange(50) >= lengths.view(-1, 1, 1, 1), torch.nan)


@pytest.mark.parametrize("name", NAMES)
def test_padding_stays_where_it_is(name: str) -> None:
    series = padded_batch()
    changed = augment_series(series, [name], torch.Generator().manual_seed(3))
    assert torch.equal(changed.isnan(), series.isnan())
    assert not torch.equal(changed.nan_to_num(), series.nan_to_num())


@pytest.mark.parametrize("name", ["shift", "warp", "flip", "erase"])
def test_values_stay_within_those_of_the_series(name: str) -> None:
    series = padded_batch()[3:4]
    changed = augment_series(series, [name], torch.Generator().manual_seed(1))
    low, high = series[..., :17].amin(), series[..., :17].amax()
    assert changed[..., :17].amin() >= min(low, 0.0) - 1e-6
    assert changed[..., :17].amax() <= max(high, 0.0) + 1e-6


def test_a_rotation_keeps_the_length_of_the_vector_of_three_axes() -> None:
    series = torch.randn(5, 4, 1, 20)
    turned = augment_series(series, ["rotate"], torch.Generator().manual_seed(0))
    assert torch.allclose(turned[:, :3].norm(dim=1), series[:, :3].norm(dim=1), atol=1e-5)
    assert torch.equal(turned[:, 3:], series[:, 3:])


@pytest.mark.parametrize("padding", [0, 1, 40, 400])
def test_a_warped_ramp_still_rises_from_end_to_end(padding: int) -> None:
    ramp = torch.arange(40.0).view(1, 1, 1, 40)
    padded = torch.cat([ramp, torch.full((1, 1, 1, padding), torch.nan)], 3)
    warped = augment_series(padded, ["warp"], torch.Generator().manual_seed(0))[..., :40]
    assert (warped.diff(dim=3) >= 0).all()
    assert warped[..., 0].eq(0).all()
    assert torch.allclose(warped[..., -1], torch.tensor(39.0))
    plain = augment_series(ramp, ["warp"], torch.Generator().manual_seed(0))
    assert (warped - plain).abs().max() < 2


@pytest.mark.parametrize("length", [50, 1000, 20000])
def test_a_fifth_of_a_series_is_erased_however_much_is_padded(length: int) -> None:
    series = torch.ones(64, 1, 1, length)
    padded = series.masked_fill(torch.arange(length) >= 50, torch.nan)
    changed = augment_series(padded, ["erase"], torch.Generator().manual_seed(0))
    erased = (changed[..., :50] == 0).sum(3)
    assert ((erased >= 9) & (erased <= 11)).all()
    whole = augment_series(series, ["erase"], torch.Generator().manual_seed(0))
    assert (whole == 0).sum(3).eq(length // 5).all()


def test_equal_generators_give_equal_series_through_the_common_entry() -> None:
    first, second = (augment(padded_batch(), NAMES, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first.nan_to_num(), second.nan_to_num())


def test_a_spectrogram_loses_one_band_of_rows_and_one_of_columns() -> None:
    changed = augment(torch.ones(64, 1, 20, 20), ["spectrum"], torch.Generator().manual_seed(0))
    rows = (changed[:, 0] == 0).all(2).sum(1)
    columns = (changed[:, 0] == 0).all(1).sum(1)
    assert rows.max() <= 4
    assert columns.max() <= 4
    assert (rows > 0).any()
    assert (columns > 0).any()
