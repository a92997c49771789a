"""Series as float tensors (B, C, 1, L): B samples, C channels, length L. NaN at their end is padding."""

import torch

from edanas.core.errors import DataError


def at_length(batch: torch.Tensor, length: int) -> torch.Tensor:
    """Return series (B, C, 1, L) cropped at their end, or padded with NaN, to a length.

    Example:
        >>> at_length(torch.ones(1, 1, 1, 2), 3)
        tensor([[[[1., 1., nan]]]])
    """
    if batch.shape[3] < length:
        return torch.nn.functional.pad(batch, (0, length - batch.shape[3]), value=torch.nan)
    return batch[..., :length]


def valid_lengths(batch: torch.Tensor) -> torch.Tensor:
    """Return the length (B,) of each series (B, C, 1, L) without the NaN at its end in all channels.

    Example:
        >>> valid_lengths(torch.tensor([[[[1.0, torch.nan, 2.0, torch.nan]]]]))
        tensor([3])
    """
    valid = ~batch.isnan().all(1)[:, 0]
    positions = torch.arange(1, batch.shape[3] + 1, device=batch.device)
    return (valid * positions).amax(1)


def check_finite(batch: torch.Tensor, lengths: torch.Tensor) -> None:
    """Check that series are not empty, and that all values before their padding are finite.

    Args:
        batch: Series (B, C, 1, L).
        lengths: Length (B,) of each series without padding.

    Raises:
        DataError: A series is empty, or a value is NaN or infinite; the message names the row, the channel
            and the position, each from 0 as in NumPy.
    """
    if len(lengths) and not bool(lengths.min()):
        raise DataError(f"series: row {int(lengths.argmin())} is empty; allowed: one value or more")
    inside = torch.arange(batch.shape[3], device=batch.device) < lengths[:, None]
    wrong = ~batch.isfinite() & inside[:, None, None]
    if wrong.any():
        row, channel, _, position = (int(at) for at in wrong.nonzero()[0])
        value = "NaN" if batch[row, channel, 0, position].isnan() else "an infinite value"
        raise DataError(
            f"series: found {value} in row {row}, channel {channel}, position {position} (each from 0); "
            "allowed: finite values, and NaN after the end of a shorter series in all channels"
        )
