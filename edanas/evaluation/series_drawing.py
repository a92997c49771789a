"""Series drawn as curves, for the example samples of a report."""

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from PIL import Image

WIDTH, HEIGHT = 192, 96
"""Size of a drawing in pixels."""

_MARGIN = 4

_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf")
"""Colours of the channels, in turn."""


def draw_series(series: torch.Tensor) -> "Image.Image":
    """Return the curves of all channels in one drawing, from the smallest to the largest value.

    Padding is left out, so that a shorter series ends before the right border.

    Args:
        series: One series (C, 1, L), NaN at padding.

    Example:
        >>> draw_series(torch.tensor([[[0.0, 1.0, torch.nan]]])).size
        (192, 96)
    """
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    values = series[:, 0].double().cpu()
    valid = values[values.isfinite()]
    low, high = float(valid.min()), float(valid.max())
    across, up = (WIDTH - 2 * _MARGIN) / max(1, values.shape[1] - 1), (HEIGHT - 2 * _MARGIN)
    for number, channel in enumerate(values):
        heights = ((channel - low) / max(high - low, 1e-12)).tolist()
        points = [
            (_MARGIN + at * across, HEIGHT - _MARGIN - height * up)
            for at, height in enumerate(heights)
            if height == height
        ]
        pen.line(points, fill=_COLOURS[number % len(_COLOURS)], width=1)
    return picture
