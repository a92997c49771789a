"""Decoding of image files of any size and colour mode into uint8 tensors, with a report of conversions."""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch

from edanas.core.errors import DataError
from edanas.core.mapped import release
from edanas.core.preprocess import resize
from edanas.data.image_array import ImageArray, Pixels
from edanas.data.pixel_depth import check_colour_depth, grey_eight_bits

if TYPE_CHECKING:
    from PIL import Image

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
"""Suffixes of image files, in lower case; upper-case suffixes are accepted too."""

FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")
"""Formats that are decoded, whatever the suffix of the file; Pillow decodes them without other programs."""

TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""EXIF orientation -> the operation that sets the image upright, by its name in Pillow's `Transpose`."""

Fit = int | tuple[int, int]
"""Size in pixels that decoded images get.

A number is the largest side: an image with a longer side becomes a square of that side, other images keep
their size. A pair is the width and height of every image.
"""

_INSPECTION_SIDE = 64
"""Side in pixels to which a larger image is reduced before its colours are inspected."""

_CHUNK = 4096
"""Number of files that are decoded together, which bounds the memory of decoded images outside the array."""


@dataclass(frozen=True)
class _Original:
    """Properties of an image file before its conversion."""

    size: tuple[int, int]
    """Width and height in pixels, after rotation by the EXIF orientation."""
    mode: str
    """Pillow's name for the pixel format, e.g. `RGB` or `L`."""
    colour: bool
    """True if any pixel is not grey."""
    transparent: bool
    """True if any pixel is transparent."""
    turned: bool
    """True if the EXIF orientation requires a rotation or reflection."""
    animated: bool
    """True if the file holds several frames."""


_Read = tuple[Pixels, _Original] | DataError
_Results = tuple[int, Iterator[_Read]]


class Decoded(NamedTuple):
    """Decoded images.

    Args:
        images: The images (N, C, H, W), uint8, in the order of their files.
        remarks: One sentence for each kind of conversion, and one on unreadable files.
        read: Indices of the N files that were read, ascending.
    """

    images: torch.Tensor
    remarks: tuple[str, ...]
    read: Sequence[int]


def decode(files: Sequence[Path], fit: Fit, channels: str, *, skip_unreadable: bool = False) -> Decoded:
    """Decode image files in threads into one tensor.

    Args:
        files: Paths of N image files, one or more.
        fit: Size of the images; see `Fit`. If it is a largest side, and the images differ in size or one of
            them is larger, all images become squares of that side.
        channels: `grey` (one channel), `rgb` (three channels), or `auto`: one channel if all images are grey.
        skip_unreadable: Skip files that cannot be read as images.

    Raises:
        DataError: Files cannot be read as images, or none can. The message names the first five, and the
            number of the others.
    """
    workers = min(len(files), 4 + (os.cpu_count() or 1))
    read = partial(_attempt, formats=_formats(), fit=fit, grey=channels == "grey")
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        # Pillow warns of odd metadata and of large images; the pixels are valid in both cases.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        return _collect(_in_order(pool, read, files), fit, channels, skip_unreadable=skip_unreadable)


def convert_arrays(arrays: Sequence[Pixels], fit: Fit, channels: str) -> Decoded:
    """Convert images in arrays as `decode` converts images in files of the same pixels.

    Args:
        arrays: N images, one or more, of shape (H, W) or (H, W, C) with 1, 3 or 4 channels; the fourth is
            opacity.
        fit: See `decode`.
        channels: See `decode`.
    """
    convert = partial(_convert_array, fit=fit, grey=channels == "grey")
    with ThreadPoolExecutor(4 + (os.cpu_count() or 1)) as pool:
        return _collect(_in_order(pool, convert, arrays), fit, channels)


_Item = TypeVar("_Item")


def _in_order(pool: ThreadPoolExecutor, read: Callable[[_Item], _Read], items: Sequence[_Item]) -> _Results:
    """Return the number of items, and the result of `read` for each, with few results in memory."""

    def results() -> Iterator[_Read]:
        for start in range(0, len(items), _CHUNK):
            chunk = range(start, min(start + _CHUNK, len(items)))
            yield from pool.map(lambda number: read(items[number]), chunk)
            release()

    return len(items), results()


def _collect(results: _Results, fit: Fit, channels: str, *, skip_unreadable: bool = False) -> Decoded:
    """Collect converted images, or the errors of unreadable ones, in one tensor; see `decode`."""
    count, converted = results
    array = ImageArray(count, fit if isinstance(fit, int) else max(fit), colour=channels == "rgb")
    originals, unreadable = Counter[_Original](), dict[int, DataError]()
    for number, each in enumerate(converted):
        if isinstance(each, DataError):
            unreadable[number] = each
            continue
        array.add(each[0])
        originals[each[1]] += 1
    errors = list(unreadable.values())
    if errors and (not skip_unreadable or not array.filled):
        raise unreadable_error(errors)
    height, width = array.images.shape[2:]
    remarks = [*skipped_remarks(errors), *_remarks(originals, (width, height), channels)]
    indices = [number for number in range(count) if number not in unreadable]
    return Decoded(torch.from_numpy(array.images[: array.filled]), tuple(remarks), indices)


SKIPPED = "Skipped, because unreadable"
"""First words of a remark on skipped files."""

_NAMED = 5
"""Number of unreadable files that a message names."""


def unreadable_error(errors: Sequence[DataError]) -> DataError:
    """Return one error for unreadable files, which names the first five, and the number of the others.

    Example:
        >>> errors = [DataError(f"{number}.png: bad") for number in range(7)]
        >>> print(str(unreadable_error(errors)).partition(" Repair")[0])
        7 files cannot be read. 0.png: bad; 1.png: bad; 2.png: bad; 3.png: bad; 4.png: bad; and 2 more.
    """
    advice = "Repair or delete {}, or add --skip-unreadable (data.skip_unreadable = true)"
    if len(errors) == 1:
        return DataError(f"{errors[0]}. {advice.format('it')}")
    return DataError(f"{len(errors)} files cannot be read. {_listed(errors)}. {advice.format('them')}")


def skipped_remarks(errors: Sequence[DataError]) -> tuple[str, ...]:
    """Return a sentence on skipped files, which names the first five; no sentence if there are none."""
    noun = "file" if len(errors) == 1 else "files"
    return (f"{SKIPPED}: {len(errors)} {noun}. {_listed(errors)}.",) if errors else ()


def _listed(errors: Sequence[DataError]) -> str:
    more = [f"and {len(errors) - _NAMED} more"] if len(errors) > _NAMED else []
    return "; ".join([*map(str, errors[:_NAMED]), *more])


def decode_each(files: Sequence[Path], fit: Fit, *, grey: bool) -> list[torch.Tensor | DataError]:
    """Decode image files in threads, each independently of the others.

    Args:
        files: Paths of image files; may be empty.
        fit: Size of the images; see `Fit`.
        grey: Return images with one channel; otherwise images have three channels.

    Returns:
        A list in the order of `files`: the image (C, H, W), uint8, or the error if the file is unreadable.
    """

    def decode_one(path: Path) -> torch.Tensor | DataError:
        decoded = _attempt(path, formats, fit, grey=grey)
        if isinstance(decoded, DataError):
            return decoded
        image = torch.tensor(decoded[0])
        return image.expand(1 if grey else 3, -1, -1) if image.dim() == 2 else image.permute(2, 0, 1)

    formats = _formats()
    with warnings.catch_warnings(), ThreadPoolExecutor(4 + (os.cpu_count() or 1)) as pool:
        warnings.filterwarnings("ignore", module=r"PIL\.")
        return list(pool.map(decode_one, files))


def inspect_image(path: Path) -> tuple[tuple[int, int], bool]:
    """Return the size of an image, and True if all its pixels are grey.

    The size is (width, height) in pixels, after rotation by the EXIF orientation.

    Raises:
        DataError: The file cannot be read as an image.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        _, original = _read(path, _formats(), _INSPECTION_SIDE, grey=False)
    return original.size, not original.colour


def inspect_array(pixels: Pixels, *, grey: bool = False) -> tuple[tuple[int, int], bool]:
    """Return width and height of an image in an array, and True if all its pixels are grey."""
    _, original = _convert_array(pixels, _INSPECTION_SIDE, grey=grey)
    return original.size, not original.colour


def _attempt(
    path: Path, formats: Sequence[str], fit: Fit, *, grey: bool
) -> tuple[Pixels, _Original] | DataError:
    """Return the result of `_read`, or its error."""
    try:
        return _read(path, formats, fit, grey=grey)
    except DataError as error:
        return error


def _read(path: Path, formats: Sequence[str], fit: Fit, *, grey: bool) -> tuple[Pixels, _Original]:
    """Decode one file; the pixels have shape (H, W) if all are grey, else (H, W, 3)."""
    from PIL import Image

    try:
        with Image.open(path, formats=list(formats)) as image:
            return _convert(path, image, fit, grey=grey)
    except PermissionError as error:
        raise DataError(f"{path}: no permission to read this image") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: image too large to be read safely: {error}") from error
    except Exception as error:
        # Decoders raise nearly anything on a damaged file.
        cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise DataError(f"{path}: cannot be read as an image ({cause})") from error


def _convert_array(pixels: Pixels, fit: Fit, *, grey: bool) -> tuple[Pixels, _Original]:
    """Convert an image of shape (H, W) or (H, W, C)."""
    from PIL import Image

    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    return _convert(Path(), Image.fromarray(np.ascontiguousarray(flat)), fit, grey=grey)


def upright_pixels(image: "Image.Image") -> Pixels:
    """Return an image of Pillow as (H, W) or (H, W, 3), upright and on white, as files are read.

    Example:
        >>> from PIL import Image
        >>> upright_pixels(Image.new("RGBA", (4, 2))).shape
        (2, 4, 3)
    """
    from PIL import Image

    name = getattr(image, "filename", "")
    # A depth is stated in a file alone; an image out of memory loses its format.
    converted, _ = _to_grey_or_rgb(Path(name), image if name else image.copy())
    turn = TURNS.get(_orientation(image))
    return np.asarray(converted if turn is None else converted.transpose(Image.Transpose[turn]))


def _convert(path: Path, image: "Image.Image", fit: Fit, *, grey: bool) -> tuple[Pixels, _Original]:
    from PIL import Image

    longest = fit if isinstance(fit, int) else max(fit)
    mode, full_size = image.mode, image.size
    animated = bool(getattr(image, "is_animated", False))
    image.draft(None, (2 * longest, 2 * longest))
    image.load()
    converted, transparent = _to_grey_or_rgb(path, image)
    orientation = _orientation(image)
    turn = TURNS.get(orientation)
    if turn is not None:
        converted = converted.transpose(Image.Transpose[turn])
        full_size = full_size[::-1] if orientation > 4 else full_size
    # Colours are inspected before resizing, which can hide them, so that the result depends on no size.
    if grey or (converted.mode == "RGB" and _is_grey(converted)):
        converted = converted.convert("L")
    if not isinstance(fit, int):
        converted = resize(converted, fit)
    elif max(full_size) > fit:
        converted = resize(converted, (fit, fit))
    pixels = np.asarray(converted)
    return pixels, _Original(full_size, mode, pixels.ndim == 3, transparent, turn is not None, animated)


def _is_grey(image: "Image.Image") -> bool:
    pixels = np.asarray(image)
    return bool((pixels == pixels[..., :1]).all())


def _orientation(image: "Image.Image") -> int:
    from PIL import ExifTags

    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        # Broken metadata is common in images with intact pixels, which can still be used.
        return 1


def _to_grey_or_rgb(path: Path, image: "Image.Image") -> tuple["Image.Image", bool]:
    """Return the image in Pillow's mode `L` or `RGB`, and True if any pixel was transparent."""
    from PIL import Image

    if image.mode.startswith("I"):
        return grey_eight_bits(image, path), False
    if image.mode == "F":
        raise ValueError("floating-point pixels; allowed: 8 or 16 bits, unsigned")
    check_colour_depth(image, path)
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        transparent = int(np.asarray(layers.getchannel("A")).min()) < 255
        white = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(white, layers).convert("RGB"), transparent
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB"), False


def _formats() -> list[str]:
    """Return the formats of `FORMATS` that the installed Pillow supports."""
    from PIL import Image

    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _remarks(originals: Mapping[_Original, int], size: tuple[int, int], channels: str) -> tuple[str, ...]:
    """Return one sentence for each kind of conversion, with the number of images."""
    remarks = []
    total = sum(originals.values())

    def remark(count: int, conversion: str) -> None:
        if count:
            remarks.append(f"{count} of {total} images {conversion}.")

    def count_where(condition: Callable[[_Original], bool]) -> int:
        return sum(count for original, count in originals.items() if condition(original))

    other_sizes = [original.size for original in originals if original.size != size]
    if other_sizes:
        smallest, largest = min(other_sizes, key=_area), max(other_sizes, key=_area)
        sizes = (
            _size_text(smallest) if smallest == largest else f"{_size_text(smallest)}..{_size_text(largest)}"
        )
        resized = count_where(lambda image: image.size != size)
        remark(resized, f"were resized from {sizes} to {_size_text(size)}")
    modes = Counter[str]()
    for original, count in originals.items():
        modes[original.mode] += count * (original.mode not in ("L", "RGB"))
    mode_counts = ", ".join(f"{mode} {count}" for mode, count in sorted(modes.items()) if count)
    remark(modes.total(), f"were converted to 8-bit grey or RGB (by mode: {mode_counts})")
    remark(count_where(lambda image: image.transparent), "have transparent pixels and were put on white")
    remark(count_where(lambda image: image.turned), "were rotated or mirrored by their EXIF orientation")
    remark(count_where(lambda image: image.animated), "hold several frames; the first frame is used")
    grey = count_where(lambda image: not image.colour)
    if channels == "auto" and grey < total:
        remark(grey, "are grey and were converted to RGB like the others")
    return tuple(remarks)


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _size_text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
