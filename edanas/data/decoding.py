"""Image files of any size, mode and format -> one uint8 tensor, and remarks on what was done to them."""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image

from edanas.core.errors import DataError
from edanas.data.image_array import Gathered, Pixels

SUFFIXES = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tga",
        ".tif",
        ".tiff",
        ".webp",
    }
)
"""Names that end so, in either case, are images."""

FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")
"""What a file is tried as, whatever its name: pixel formats only, none that starts another program."""

SIXTEEN_BIT = 65535

_GLANCE = 64
"""Side in pixels to which an image is reduced to be looked at."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets an image of this EXIF orientation upright."""

_CHUNK = 4096
"""Files that are read at once, so that what waits for its place stays small."""


@dataclass(frozen=True)
class _Seen:
    """What an image was before."""

    size: tuple[int, int]
    """Width and height, upright."""
    mode: str
    colour: bool
    transparent: bool
    turned: bool
    frames: bool


def decode(files: Sequence[Path], size: int, channels: str) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Read image files, in threads.

    Args:
        files: One or more files.
        size: Equal images no larger than this keep their size; all others become size x size.
        channels: `grey`, `rgb`, or `auto`: grey where all images are.

    Returns:
        (N, C, H, W) uint8 in the order of `files`, and one sentence for each thing done.

    Raises:
        DataError: A file cannot be read as an image; the first such by order is named.
    """
    workers = min(len(files), 4 + (os.cpu_count() or 1))
    read = partial(_read, formats=_formats(), size=size, grey=channels == "grey")
    gathered, seen = Gathered(len(files), size, colour=channels == "rgb"), Counter[_Seen]()
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        # Pillow warns of odd metadata and of large images; neither hinders reading the pixels.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for start in range(0, len(files), _CHUNK):
            for pixels, each in pool.map(read, files[start : start + _CHUNK]):
                gathered.add(pixels)
                seen[each] += 1
    height, width = gathered.images.shape[2:]
    return torch.from_numpy(gathered.images), _remarks(seen, (width, height), channels)


def decode_each(files: Sequence[Path], size: int, *, grey: bool) -> list[torch.Tensor | DataError]:
    """Read image files, in threads, each one by itself: what one becomes does not depend on the others.

    Args:
        files: Any number of files.
        size: An image that is larger in width or height becomes size x size; others keep their size.
        grey: Whether to give one channel, or three.

    Returns:
        For each file (C, H, W) uint8, or what is wrong with it.
    """

    def one(path: Path) -> torch.Tensor | DataError:
        try:
            pixels, _ = _read(path, formats, size, grey=grey)
        except DataError as error:
            return error
        image = torch.tensor(pixels)
        return image.expand(1 if grey else 3, -1, -1) if image.dim() == 2 else image.permute(2, 0, 1)

    formats = _formats()
    with warnings.catch_warnings(), ThreadPoolExecutor(4 + (os.cpu_count() or 1)) as pool:
        warnings.filterwarnings("ignore", module=r"PIL\.")
        return list(pool.map(one, files))


def look(path: Path) -> tuple[tuple[int, int], bool]:
    """One image's width and height, upright, and whether it is grey, whatever its mode.

    Raises:
        DataError: It cannot be read as an image.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        _, seen = _read(path, _formats(), _GLANCE, grey=False)
    return seen.size, not seen.colour


def _read(path: Path, formats: Sequence[str], size: int, *, grey: bool) -> tuple[Pixels, _Seen]:
    """(H, W) where it is grey, else (H, W, 3)."""
    try:
        with Image.open(path, formats=list(formats)) as image:
            return _convert(image, size, grey=grey)
    except PermissionError as error:
        raise DataError(f"{path}: no permission to read this image") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: image too large to be read safely: {error}") from error
    except Exception as error:
        # Decoders raise nearly anything on a damaged file.
        cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise DataError(f"{path}: cannot be read as an image ({cause})") from error


def _convert(image: Image.Image, size: int, *, grey: bool) -> tuple[Pixels, _Seen]:
    mode, full = image.mode, image.size
    frames = bool(getattr(image, "is_animated", False))
    image.draft(None, (2 * size, 2 * size))
    image.load()
    plain, transparent = _plain(image)
    orientation = _orientation(image)
    turn = TURNS.get(orientation)
    if turn is not None:
        plain = plain.transpose(turn)
        full = full[::-1] if orientation > 4 else full
    if grey:
        plain = plain.convert("L")
    if max(full) > size:
        plain = plain.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(plain)
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = np.ascontiguousarray(pixels[..., 0])
    return pixels, _Seen(full, mode, pixels.ndim == 3, transparent, turn is not None, frames)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        # Broken metadata beside good pixels is common, and no reason to refuse the image.
        return 1


def _plain(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image in mode `L` or `RGB`, and whether any of it was transparent."""
    if image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.int64)
        if values.min() < 0 or values.max() > SIXTEEN_BIT:
            raise ValueError(f"pixels from {values.min()} to {values.max()}; allowed: 8 or 16 bits, unsigned")
        return Image.fromarray((values * 255 / SIXTEEN_BIT).round().astype(np.uint8)), False
    if image.mode == "F":
        raise ValueError("floating-point pixels; allowed: 8 or 16 bits, unsigned")
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        transparent = int(np.asarray(layers.getchannel("A")).min()) < 255
        return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert(
            "RGB"
        ), transparent
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB"), False


def _formats() -> list[str]:
    """Those of `FORMATS` that this build of Pillow has."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _remarks(seen: Mapping[_Seen, int], size: tuple[int, int], channels: str) -> tuple[str, ...]:
    remarks = []
    total = sum(seen.values())

    def remark(count: int, done: str) -> None:
        if count:
            remarks.append(f"{count} of {total} images {done}.")

    def how_many(what: Callable[[_Seen], bool]) -> int:
        return sum(count for each, count in seen.items() if what(each))

    strange = [each.size for each in seen if each.size != size]
    if strange:
        smallest, largest = min(strange, key=_area), max(strange, key=_area)
        span = _by(smallest) if smallest == largest else f"{_by(smallest)}..{_by(largest)}"
        remark(how_many(lambda each: each.size != size), f"were resized from {span} to {_by(size)}")
    modes = Counter[str]()
    for each, count in seen.items():
        modes[each.mode] += count * (each.mode not in ("L", "RGB"))
    named = ", ".join(f"{mode} {count}" for mode, count in sorted(modes.items()) if count)
    remark(modes.total(), f"were converted to 8-bit grey or RGB (by mode: {named})")
    remark(how_many(lambda each: each.transparent), "are transparent in part and were laid over white")
    remark(how_many(lambda each: each.turned), "were turned or mirrored as their EXIF orientation says")
    remark(how_many(lambda each: each.frames), "hold several frames, of which the first was taken")
    grey = how_many(lambda each: not each.colour)
    if channels == "auto" and grey < total:
        remark(grey, "are grey and were made RGB like the others")
    return tuple(remarks)


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
