"""Images of any size and colour in one uint8 array."""

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn.functional import interpolate

Pixels = npt.NDArray[np.uint8]


class Gathered:
    """So many images in one array, so that no second copy of them is ever held but for a moment at the start.

    The first image says how large the array's are. It is laid out anew where another size comes, once, and
    where the first colours come, once.

    Args:
        count: How many images there will be.
        side: Images that are not all of one size become side x side.
        colour: Whether grey images become RGB, too, whatever comes.
    """

    def __init__(self, count: int, side: int, *, colour: bool) -> None:
        self.count, self.side, self.colour = count, side, colour
        self.filled = 0
        self.images: Pixels = np.empty((0, 1, 0, 0), dtype=np.uint8)

    def add(self, pixels: Pixels) -> None:
        """Take the next image: (H, W) where it is grey, else (H, W, 3)."""
        channels = 3 if self.colour or pixels.ndim == 3 else 1
        if not self.filled:
            self.images = np.empty((self.count, channels, *pixels.shape[:2]), dtype=np.uint8)
        same = pixels.shape[:2] == self.images.shape[2:]
        height, width = self.images.shape[2:] if same else (self.side, self.side)
        shape = (self.count, max(channels, self.images.shape[1]), height, width)
        if shape != self.images.shape:
            self._lay_out(shape)
        self._put(self.filled, pixels)
        self.filled += 1

    def _lay_out(self, shape: tuple[int, ...]) -> None:
        before, self.images = self.images, np.empty(shape, dtype=np.uint8)
        for number in range(self.filled):
            planes = before[number]
            self._put(number, planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0))

    def _put(self, number: int, pixels: Pixels) -> None:
        size = self.images.shape[:1:-1]
        if pixels.shape[1::-1] != size:
            resized = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BILINEAR)
            pixels = np.asarray(resized)
        self.images[number] = pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


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
