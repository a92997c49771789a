import numpy as np
import torch

from edanas.evaluation.series_drawing import HEIGHT, WIDTH, draw_series


def ink(series: torch.Tensor) -> np.ndarray:
    return np.asarray(draw_series(series)).min(axis=2) < 255


def test_a_rising_curve_begins_below_and_ends_above() -> None:
    drawn = ink(torch.linspace(-5, 5, 50).view(1, 1, 50))
    rows = [int(np.flatnonzero(drawn[:, column]).mean()) for column in (6, WIDTH // 2, WIDTH - 6)]
    assert HEIGHT - 8 < rows[0] < HEIGHT
    assert abs(rows[1] - HEIGHT // 2) < 4
    assert rows[2] < 8


def test_a_padded_series_ends_where_its_values_end() -> None:
    series = torch.randn(2, 1, 50)
    series[..., 25:] = torch.nan
    drawn = ink(series)
    assert drawn[:, : WIDTH // 2].any()
    assert not drawn[:, WIDTH // 2 + 4 :].any()


def test_every_channel_has_its_colour_and_a_constant_is_drawn() -> None:
    series = torch.stack([torch.zeros(1, 9), torch.ones(1, 9)])
    colours = {tuple(pixel) for row in np.asarray(draw_series(series)) for pixel in row}
    assert len(colours) == 3
    assert ink(torch.ones(1, 1, 9)).any()
