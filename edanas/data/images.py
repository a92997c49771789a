"""What the data sets share: fitting images to the searched networks, and the words that say so."""

import torch
from torch.nn.functional import interpolate

CHUNK = 512
"""Images resized at once: keeps the floats that resizing needs far below the size of the data."""


def fit(images: torch.Tensor, size: int) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Equal-sized images, resized (antialiased) to size x size where a side is longer than `size`.

    Args:
        images: (N, C, H, W) uint8.
        size: Side in pixels that the largest searched network reads.

    Returns:
        The images, uint8, and a remark where they were resized.
    """
    height, width = images.shape[-2:]
    if max(height, width) <= size:
        return images, ()
    fitted = torch.empty((len(images), images.shape[1], size, size), dtype=torch.uint8)
    for start in range(0, len(images), CHUNK):
        pixels = interpolate(
            images[start : start + CHUNK].float(),
            size=(size, size),
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )
        fitted[start : start + CHUNK] = pixels.round_().clamp_(0, 255).to(torch.uint8)
    return fitted, (f"All {len(images)} images were resized from {width}x{height} to {size}x{size}.",)
