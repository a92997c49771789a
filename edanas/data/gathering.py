"""Decoded images of any size and colour, put into one array as they come."""

import numpy as np
import numpy.typing as npt
from PIL import Image

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
