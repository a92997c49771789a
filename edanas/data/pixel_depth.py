"""Reduction of images with more than 8 bits per pixel, by the depth that their files state."""

import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

_BITS_PER_SAMPLE, _MAX_SAMPLE_VALUE, _SAMPLE_FORMAT, _S_MAX_SAMPLE_VALUE = 258, 281, 339, 341
"""Tags of TIFF files."""

_SIGNED = 2
"""Value of `_SAMPLE_FORMAT` for signed integers, one bit of which is the sign."""

_FEWEST_LEVELS = 16
"""Largest 8-bit value below which an image without a stated depth is refused: 12 bits in 16 give 15."""

_ALLOWED = (
    "allowed: 8 bits, or a depth that the file states (TIFF: BitsPerSample or MaxSampleValue; PNG: sBIT). "
    "Convert the image to 8 bits"
)


class Depth(NamedTuple):
    """Depth of a channel in a file.

    Args:
        bits: Number of bits that the file stores.
        largest: Value of a white pixel.
        is_stated: True if the file states `largest` besides the number of bits.
    """

    bits: int
    largest: int
    is_stated: bool


def grey_eight_bits(image: "Image.Image", path: Path) -> "Image.Image":
    """Return an image of integers with more than 8 bits, in Pillow's modes `I`, as 8 bits.

    Raises:
        ValueError: Pixels are negative or above the stated depth, or so dark that the depth is in doubt.
    """
    from PIL import Image

    depth = file_depth(image, path)
    values = np.asarray(image).astype(np.int64)
    if depth.bits == 32 and image.format == "TIFF" and _tag(image, _SAMPLE_FORMAT, 1) == 1:
        values &= 0xFFFFFFFF  # Pillow reads unsigned numbers as signed ones
    low, high = int(values.min()), int(values.max())
    if image.format == "PNG" and high > depth.largest:
        depth = Depth(16, 2**16 - 1, is_stated=True)  # significant bits in the upper bits, as PNG demands
    if low < 0 or high > depth.largest:
        raise ValueError(f"pixels from {low} to {high}; {_ALLOWED}, unsigned")
    _check_levels(high, depth)
    return Image.fromarray((values * 255 / depth.largest).round().astype(np.uint8))


def check_colour_depth(image: "Image.Image", path: Path) -> None:
    """Check a colour image whose channels Pillow reduced from 16 bits to the upper 8 bits.

    Raises:
        ValueError: The file states fewer than 16 bits, or the image is so dark that the depth is in doubt.
    """
    if image.format not in ("PNG", "TIFF") or image.mode not in ("RGB", "RGBA", "LA", "RGBX", "CMYK"):
        return
    depth = file_depth(image, path)
    if depth.bits <= 8:
        return
    if depth.largest != 2**depth.bits - 1:
        raise ValueError(f"colour of {depth.bits} bits with pixels up to {depth.largest} only; {_ALLOWED}")
    pixels: npt.NDArray[np.uint8] = np.asarray(image.convert("RGB"))
    _check_levels(int(pixels.max()) << 8, depth)


def file_depth(image: "Image.Image", path: Path) -> Depth:
    """Return the depth that an image file states; 16 bits for formats that state none."""
    if image.format == "PNG":
        return _png_depth(path)
    if image.format != "TIFF":
        return Depth(16, 2**16 - 1, is_stated=False)
    bits = _tag(image, _BITS_PER_SAMPLE, 1)
    largest = _tag(image, _MAX_SAMPLE_VALUE, 0) or _tag(image, _S_MAX_SAMPLE_VALUE, 0)
    full = 2 ** (bits - (_tag(image, _SAMPLE_FORMAT, 1) == _SIGNED)) - 1
    is_stated = 0 < largest < full
    return Depth(bits, largest if is_stated else full, is_stated=is_stated or bits not in (16, 32))


def _tag(image: "Image.Image", tag: int, default: int) -> int:
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return int(max(value) if isinstance(value, tuple) else value)


def _png_depth(path: Path) -> Depth:
    """Return the depth of a PNG file from its chunks `IHDR` and `sBIT`.

    Samples with fewer significant bits fill the upper bits, as the format demands, or the lower bits, as many
    cameras write them. The result holds for the lower bits.
    """
    bits, significant = 8, 0
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IDAT":
                break
            content = file.read(length + 4)
            if kind == b"IHDR":
                bits = content[8]
            elif kind == b"sBIT":
                significant = max(content[:length], default=0)
    is_stated = 0 < significant < bits
    return Depth(bits, 2 ** (significant if is_stated else bits) - 1, is_stated=is_stated)


def _check_levels(high: int, depth: Depth) -> None:
    if 0 < high * 255 < _FEWEST_LEVELS * depth.largest and not depth.is_stated:
        raise ValueError(
            f"pixels up to {high} in {depth.bits} bits, so that {high * 255 // depth.largest + 1} grey "
            f"levels would remain; {_ALLOWED}"
        )
