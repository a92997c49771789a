"""Windows of series that are longer than those of a network, and one answer from those of the windows."""

import torch

from edanas.core.contracts import ExitNetwork
from edanas.core.contracts.exit_network import Prediction
from edanas.core.series import at_length, valid_lengths


def window_length(network: ExitNetwork) -> int | None:
    """Return the length of the windows of a network for series.

    It is `None` for images, and for networks that take series of any length, such as candidates of a search.
    """
    return network.image_size[0] if network.series and network.image_size else None


def cut_windows(series: torch.Tensor, length: int | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the windows of series, and the row of the series of each window.

    Windows follow each other without gaps. The last one ends with the series, so it may overlap the window
    before it. Series of at most `length` values are one window.

    Args:
        series: Series (B, C, 1, L), NaN at padding.
        length: Length of a window; `None` returns the series themselves.

    Returns:
        The windows (W, C, 1, `length`), and the rows (W,) int64.

    Example:
        >>> windows, rows = cut_windows(torch.arange(5.0)[None, None, None], 2)
        >>> windows[:, 0, 0].tolist(), rows.tolist()
        ([[0.0, 1.0], [2.0, 3.0], [3.0, 4.0]], [0, 0, 0])
    """
    every = torch.arange(len(series), device=series.device)
    if length is None or series.shape[3] == length:
        return series, every
    if series.shape[3] < length:
        return at_length(series, length), every
    lengths = valid_lengths(series).clamp(min=length)
    rows = every.repeat_interleave(-(-lengths // length))
    first = torch.cat([torch.ones_like(rows[:1], dtype=torch.bool), rows[1:] != rows[:-1]])
    counter = torch.arange(len(rows), device=rows.device)
    number = counter - counter[first][rows]
    starts = torch.minimum(number * length, lengths[rows] - length)
    at = starts[:, None] + torch.arange(length, device=rows.device)
    windows = series[rows].gather(3, at[:, None, None].expand(-1, series.shape[1], 1, -1))
    return windows, rows


def merged(prediction: Prediction, rows: torch.Tensor, count: int) -> Prediction:
    """Return one answer for each series from the answers of its windows.

    The label is the one with the largest sum of confidences. The confidence is that sum, divided by the
    number of windows. The exit is the latest exit of a window.

    Args:
        prediction: The answers of W windows.
        rows: Row (W,) of the series of each window.
        count: Number of series.

    Example:
        >>> label, exit_ = torch.tensor([1, 0, 0]), torch.tensor([2, 0, 1])
        >>> confidence = torch.tensor([0.5, 0.4, 0.4])
        >>> merged(Prediction(label, exit_, confidence), torch.tensor([0, 0, 0]), 1)
        Prediction(label=tensor([0]), exit=tensor([2]), confidence=tensor([0.2667]))
    """
    if len(rows) == count:
        return prediction
    label, exit_, confidence = prediction
    rows = rows.to(label.device)
    sums = confidence.new_zeros(count, int(label.max()) + 1)
    sums.index_put_((rows, label), confidence, accumulate=True)
    windows = torch.bincount(rows, minlength=count)
    best, labels = sums.max(1)
    latest = torch.zeros_like(exit_[:count]).scatter_reduce(0, rows, exit_, "amax")
    return Prediction(labels, latest, best / windows)


def mean_by_row(values: torch.Tensor, rows: torch.Tensor, count: int) -> torch.Tensor:
    """Return the mean (count, K) of the values (W, K) of each row."""
    sums = values.new_zeros(count, values.shape[1]).index_add_(0, rows.to(values.device), values)
    return sums / torch.bincount(rows, minlength=count).to(values.device)[:, None]
