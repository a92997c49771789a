"""Collection of images with different sizes and colours in one uint8 array."""

import numpy as np
import numpy.typing as npt
import torch

from edanas.core.mapped import empty_bytes
from edanas.core.preprocess import resize, resize_all

Pixels = npt.NDArray[np.uint8]
"""Pixels of one or more images, from 0 to 255."""


class ImageArray:
    """An array of images that is filled image by image.

    The first image sets the height, width and number of channels. The array is rebuilt at most twice: when
    the first image of a different size is added, and when the first colour image is added. Only a rebuild
    needs memory for a second array.

    Args:
        count: Number of images that will be added.
        side: Side in pixels to which all images are resized if their sizes differ.
        colour: Store three channels even if all images are grey.

    Example:
        >>> array = ImageArray(2, side=8, colour=False)
        >>> array.add(np.zeros((8, 8), dtype=np.uint8))
        >>> array.add(np.zeros((4, 6, 3), dtype=np.uint8))
        >>> array.images.shape
        (2, 3, 8, 8)
    """

    def __init__(self, count: int, side: int, *, colour: bool) -> None:
        self.count, self.side, self.colour = count, side, colour
        self.filled = 0
        self.images: Pixels = np.empty((0, 1, 0, 0), dtype=np.uint8)

    def add(self, pixels: Pixels) -> None:
        """Add the next image, of shape (H, W) if it is grey, else (H, W, 3)."""
        channels = 3 if self.colour or pixels.ndim == 3 else 1
        if not self.filled:
            self.images = empty_bytes((self.count, channels, *pixels.shape[:2]))
        same_size = pixels.shape[:2] == self.images.shape[2:]
        height, width = self.images.shape[2:] if same_size else (self.side, self.side)
        shape = (self.count, max(channels, self.images.shape[1]), height, width)
        if shape != self.images.shape:
            self._rebuild(shape)
        self._put(self.filled, pixels)
        self.filled += 1

    def _rebuild(self, shape: tuple[int, ...]) -> None:
        before, self.images = self.images, empty_bytes(shape)
        for number in range(self.filled):
            planes = before[number]
            self._put(number, planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0))

    def _put(self, number: int, pixels: Pixels) -> None:
        from PIL import Image

        height, width = self.images.shape[2:]
        if pixels.shape[:2] != (height, width):
            pixels = np.asarray(resize(Image.fromarray(np.ascontiguousarray(pixels)), (width, height)))
        self.images[number] = pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def fit(images: torch.Tensor, size: int) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Resize images to size x size, with antialiasing, if a side is longer than `size`.

    Args:
        images: N images (N, C, H, W), uint8.
        size: Largest side in pixels.

    Returns:
        The images, uint8, and the remarks: one sentence if the images were resized, otherwise empty.

    Example:
        >>> images, remarks = fit(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), size=6)
        >>> remarks
        ('All 2 images were resized from 8x8 to 6x6.',)
    """
    height, width = images.shape[-2:]
    if max(height, width) <= size:
        return images, ()
    fitted = resize_all(images, (size, size))
    return fitted, (f"All {len(images)} images were resized from {width}x{height} to {size}x{size}.",)
