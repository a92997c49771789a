"""Masks of padded series, which stages of `elastic-1d` pass on as one more channel.

A masked stage returns features (B, C + 1, 1, L). The last channel is the mask, 1 at valid positions and 0 at
padding. All channels are multiplied by L / V for V valid positions, and are 0 at padding. The mean of a
channel over all L positions is therefore its mean over the valid positions, and exits with average pooling
need no mask.
"""

import torch


def split_input(series: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return prepared series (B, C, 1, L), NaN at padding, as values with 0 at padding, and a mask.

    Example:
        >>> split_input(torch.tensor([[[[2.0, torch.nan]]]]))
        (tensor([[[[2., 0.]]]]), tensor([[[[1., 0.]]]]))
    """
    padded = series[:, :1].isnan()
    return torch.where(padded, torch.zeros_like(series), series), (~padded).to(series.dtype)


def join(features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return features (B, C + 1, 1, L) of features (B, C, 1, L), 0 at padding, and their mask (B, 1, 1, L).

    Example:
        >>> join(torch.tensor([[[[2.0, 4.0, 0.0]]]]), torch.tensor([[[[1.0, 1.0, 0.0]]]]))
        tensor([[[[3.0000, 6.0000, 0.0000]],
        <BLANKLINE>
                 [[1.5000, 1.5000, 0.0000]]]])
    """
    share = mask.mean(3, keepdim=True).clamp(min=1e-6)
    return torch.cat([features, mask], 1) / share


def split_features(joined: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the features (B, C, 1, L) and the mask (B, 1, 1, L) that `join` joined."""
    scale = joined[:, -1:].amax(3, keepdim=True).clamp(min=1e-6)
    return joined[:, :-1] / scale, (joined[:, -1:] > 0).to(joined.dtype)


def pooled(features: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return the means (B, C, 1, 1) of features (B, C, 1, L) over valid positions.

    Args:
        features: The features, 0 at padding.
        mask: The mask (B, 1, 1, L); `None` means that all positions are valid.
    """
    means = features.mean((2, 3), keepdim=True)
    return means if mask is None else means / mask.mean((2, 3), keepdim=True).clamp(min=1e-6)
